namespace HsmRemote.Services.Containers;

/// <summary>Words that a POSIX shell reads back as they are.</summary>
static class ShellWord
{
    internal static string Quote(string word) =>
        word.Length > 0 && word.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/' or ':' or '=' or ',' or '@' or '+')
            ? word
            : $"'{word.Replace("'", @"'\''", StringComparison.Ordinal)}'";

    internal static string Join(IEnumerable<string> words) => string.Join(' ', words.Select(Quote));
}

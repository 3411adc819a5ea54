using System.Collections.ObjectModel;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace HsmRemote.Shell;

/// <summary>Completes paths: the engine does it with cmdlets of a module that is not here.</summary>
internal static class PathCompletion
{
    // What these do to a word takes running it.
    private const string Special = "$`";

    // Besides letters and digits, what is itself wherever it stands in a word.
    private const string Plain = "/._-+:=";

    /// <summary>What a word may be that has a slash in it, where the engine found a word and nothing for it.</summary>
    /// <param name="found">What the engine found.</param>
    /// <param name="text">The line.</param>
    /// <param name="location">The directory that the session is in.</param>
    public static CommandCompletion Complete(CommandCompletion found, string text, string location)
    {
        if (found.CompletionMatches.Count > 0 || found.ReplacementIndex < 0 || found.ReplacementIndex + found.ReplacementLength > text.Length)
            return found;
        var word = text.Substring(found.ReplacementIndex, found.ReplacementLength).Trim('\'', '"');
        var name = word.LastIndexOf('/') + 1;
        if (name == 0 || word.AsSpan().IndexOfAny(Special) >= 0)
            return found;
        var directory = word[..name];
        if (directory.StartsWith("~/", StringComparison.Ordinal))
            directory = Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) + directory[1..];
        var matches = Entries(Path.Combine(location, directory), word[name..]).Select(entry => Match(directory + entry));
        return new(new Collection<CompletionResult>([.. matches]), -1, found.ReplacementIndex, found.ReplacementLength);
    }

    private static IEnumerable<string> Entries(string directory, string start)
    {
        try
        {
            return
            [
                .. new DirectoryInfo(directory).EnumerateFileSystemInfos()
                    // Hidden ones for who begins with a dot.
                    .Where(entry => entry.Name.StartsWith(start, StringComparison.Ordinal) && (start.Length > 0 || entry.Name[0] != '.'))
                    .Select(entry => Directory.Exists(entry.FullName) ? entry.Name + "/" : entry.Name)
                    .Order(StringComparer.Ordinal),
            ];
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return [];
        }
    }

    private static CompletionResult Match(string path)
    {
        var isPlain = path.All(static character => char.IsLetterOrDigit(character) || Plain.Contains(character));
        var word = isPlain ? path : $"'{CodeGeneration.EscapeSingleQuotedStringContent(path)}'";
        return new(word, path, CompletionResultType.ProviderItem, path);
    }
}

namespace HsmRemote.Services.Server;

/// <summary>Reads an option's value out of a command line, in all the forms of getopt_long(3): -u NAME, -uNAME, --user NAME, --user=NAME.</summary>
static class CommandOption
{
    internal static string? Value(IReadOnlyList<string> command, char letter, string word)
    {
        for (var i = 0; i < command.Count; i++)
        {
            var argument = command[i];
            if (string.Equals(argument, $"-{letter}", StringComparison.Ordinal) || string.Equals(argument, word, StringComparison.Ordinal))
                return i + 1 < command.Count ? command[i + 1] : null;
            if (argument.StartsWith($"-{letter}", StringComparison.Ordinal))
                return argument[2..];
            if (argument.StartsWith($"{word}=", StringComparison.Ordinal))
                return argument[(word.Length + 1)..];
        }

        return null;
    }
}

using System.Text.RegularExpressions;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>The p11-kit server that a unit runs: directly, by its own program, or from within a shell.</summary>
sealed partial class ServerCommand
{
    readonly IReadOnlyList<(string Value, CommandWord Word)> operands;

    ServerCommand(bool isRemote, P11KitOptions options, IReadOnlyList<(string Value, CommandWord Word)> operands, IReadOnlyList<string>? plain)
    {
        IsRemote = isRemote;
        Options = options;
        this.operands = operands;
        Plain = plain;
    }

    /// <summary>Whether it serves standard input (<c>p11-kit remote</c>), rather than a socket of its own (<c>p11-kit server</c>).</summary>
    internal bool IsRemote { get; }

    internal P11KitOptions Options { get; }

    /// <summary>The command without its URIs, where systemd itself runs it and its URIs are written in it; else null.</summary>
    internal IReadOnlyList<string>? Plain { get; }

    /// <summary>The target as the server gets it, an argument each.</summary>
    internal IEnumerable<string> Target => operands.Select(operand => operand.Value).Where(value => value.Length > 0);

    /// <summary>The variable that holds the target; null when the URIs are written in the command.</summary>
    internal string? TargetVariable => TargetWord?.Variable;

    /// <summary>Whether the variable becomes an argument for each URI in it; otherwise it can hold one only.</summary>
    internal bool TakesSeveral => TargetWord?.Splits ?? true;

    CommandWord? TargetWord { get; set; }

    /// <summary>The p11-kit server in a unit's ExecStart=; null when it runs something else.</summary>
    internal static ServerCommand? Find(UnitProperties service, ServiceEnvironment environment)
    {
        foreach (var row in service.Rows("ExecStart"))
        {
            // The first word is what it is called, and may be anything; the path is what runs.
            var arguments = ((List<object?>)row[1]!).Cast<string>().Skip(1).Prepend((string)row[0]!).ToList();
            var words = arguments.ConvertAll(environment.Expand);
            if ((Find(words, arguments) ?? FindInScript(words, environment)) is { } command)
                return command;
        }

        return null;
    }

    // sh -c 'exec p11-kit server …', socat … EXEC:'p11-kit remote …'.
    static ServerCommand? FindInScript(List<CommandWord> words, ServiceEnvironment environment) =>
        words.SelectMany(word => word.Values)
            .Select(text => Mention().Match(text))
            .Where(match => match.Success)
            .SelectMany(match => ShellWords.Commands(match.Groups["script"].Value, name => environment[name]))
            .Select(command => Find(command, null))
            .FirstOrDefault(command => command is not null);

    static ServerCommand? Find(IReadOnlyList<CommandWord> words, List<string>? written)
    {
        var values = words.SelectMany(word => word.Values.Select(value => (Value: value, Word: word))).ToList();
        for (var i = 0; i < values.Count; i++)
        {
            switch (Path.GetFileName(values[i].Value))
            {
                case "p11-kit-server":
                    return Create(isRemote: false, i + 1);
                case "p11-kit-remote":
                    return Create(isRemote: true, i + 1);
                case "p11-kit":
                    // Its own -v and -q come before the verb.
                    var verb = i + 1;
                    while (verb < values.Count && values[verb].Value is ['-', ..])
                        verb++;
                    if (verb < values.Count && values[verb].Value is "server" or "remote")
                        return Create(values[verb].Value is "remote", verb + 1);
                    break;
            }
        }

        return null;

        ServerCommand Create(bool isRemote, int first)
        {
            var arguments = values[first..];
            var options = P11KitOptions.Parse([.. arguments.Select(argument => argument.Value)]);
            var uris = options.Operands.ConvertAll(index => arguments[index]).FindAll(uri => uri.Value is not InstanceForm.NoToken);
            // A variable that is empty leaves no argument behind, and is looked for among the words themselves.
            var variables = words.Where(word => word.Variable is not null && (word.Values.Count == 0 || uris.Exists(uri => ReferenceEquals(uri.Word, word)))).ToList();
            var target = variables.Find(word => word.Values.Any(IsUri))
                ?? (uris.Exists(uri => IsUri(uri.Value)) ? null
                    : variables.Find(word => word.Variable is InstanceLayout.TargetVariable) ?? variables.LastOrDefault());
            // Written back, every word but the URIs has to be what it was.
            var plain = written is null || target is not null
                ? null
                : written.Zip(words).Where(pair => !uris.Exists(uri => ReferenceEquals(uri.Word, pair.Second))).Select(pair => pair.First).ToList();
            return new ServerCommand(isRemote, options, uris, plain) { TargetWord = target };
        }
    }

    static bool IsUri(string value) => value.StartsWith("pkcs11:", StringComparison.Ordinal);

    // From the start of the word that names the program, its directory and an exec before it included.
    [GeneratedRegex(@"(?<script>[^\s:;&|]*\bp11-kit(?:-|\s+(?:-\S+\s+)*)(?:remote|server)\b.*)\z", RegexOptions.CultureInvariant | RegexOptions.Singleline, 1000)]
    private static partial Regex Mention();
}

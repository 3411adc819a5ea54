namespace HsmRemote.Services.P11Kit;

/// <summary>The options of <c>p11-kit server</c> and <c>p11-kit remote</c>, p11-kit(8), as getopt_long(3) reads them.</summary>
sealed record P11KitOptions
{
    // Those that take a value; a letter or a word that is not here is a flag.
    static readonly Dictionary<char, string> Letters = new()
    {
        ['n'] = "name", ['u'] = "user", ['g'] = "group", ['a'] = "run-as-user", ['z'] = "run-as-group", ['t'] = "timeout", ['p'] = "provider",
    };

    static readonly string[] Flags = ["verbose", "quiet", "help", "foreground", "sh", "csh", "kill"];

    readonly Dictionary<string, string> values = new(StringComparer.Ordinal);

    /// <summary>Where it listens: -n.</summary>
    internal string? Name => values.GetValueOrDefault("name");

    /// <summary>The user that a peer has to be: -u.</summary>
    internal string? User => values.GetValueOrDefault("user");

    /// <summary>The group that a peer has to have: -g.</summary>
    internal string? Group => values.GetValueOrDefault("group");

    /// <summary>The user that it becomes: -a.</summary>
    internal string? RunAsUser => values.GetValueOrDefault("run-as-user");

    /// <summary>The only module that it loads: -p.</summary>
    internal string? Provider => values.GetValueOrDefault("provider");

    /// <summary>The indices of the arguments that are no options: the URIs.</summary>
    internal List<int> Operands { get; } = [];

    internal static P11KitOptions Parse(IReadOnlyList<string> arguments)
    {
        var options = new P11KitOptions();
        var onlyOperands = false;
        for (var i = 0; i < arguments.Count; i++)
        {
            var argument = arguments[i];
            if (onlyOperands || argument is not ['-', _, ..])
                options.Operands.Add(i);
            else if (argument is "--")
                onlyOperands = true;
            else if (argument.StartsWith("--", StringComparison.Ordinal))
                options.ReadWord(argument[2..], arguments, ref i);
            else
                options.ReadLetters(argument, arguments, ref i);
        }

        return options;
    }

    // --user NAME, --user=NAME, and any beginning that fits one word only.
    void ReadWord(string word, IReadOnlyList<string> arguments, ref int i)
    {
        var parts = word.Split('=', 2);
        var names = Letters.Values.Concat(Flags).Where(name => name.StartsWith(parts[0], StringComparison.Ordinal)).ToList();
        var name = names.Contains(parts[0], StringComparer.Ordinal) ? parts[0] : names is [var only] ? only : null;
        if (name is null || Flags.Contains(name, StringComparer.Ordinal))
            return;
        if (parts is [_, var value])
            values[name] = value;
        else if (i + 1 < arguments.Count)
            values[name] = arguments[++i];
    }

    // -u NAME, -uNAME, -fuNAME.
    void ReadLetters(string argument, IReadOnlyList<string> arguments, ref int i)
    {
        for (var at = 1; at < argument.Length; at++)
        {
            if (!Letters.TryGetValue(argument[at], out var name))
                continue;
            if (at + 1 < argument.Length)
                values[name] = argument[(at + 1)..];
            else if (i + 1 < arguments.Count)
                values[name] = arguments[++i];
            return;
        }
    }
}

using System.IO.Enumeration;
using System.Text.RegularExpressions;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>A word of a command line, with the variables in it replaced.</summary>
/// <param name="Values">What it becomes: one argument, or as many as the variable has.</param>
/// <param name="Variable">The variable that it is, when it is nothing else; else null.</param>
/// <param name="Splits">Whether the variable's value becomes an argument for each of its words.</param>
sealed record CommandWord(IReadOnlyList<string> Values, string? Variable = null, bool Splits = false);

/// <summary>The environment that systemd starts a service in, as far as its units decide it, systemd.exec(5).</summary>
sealed partial class ServiceEnvironment
{
    internal const string RuntimeDirectory = "RUNTIME_DIRECTORY";

    readonly Dictionary<string, string> variables = new(StringComparer.Ordinal);
    readonly Dictionary<string, string> origins = new(StringComparer.Ordinal);

    internal string? this[string name] => variables.GetValueOrDefault(name);

    /// <summary>All of them.</summary>
    internal IReadOnlyDictionary<string, string> Variables => variables;

    /// <summary>The files that are named, in the order in which they are read; patterns are replaced by what they fit.</summary>
    internal List<string> Files { get; } = [];

    /// <summary>The files that are named, are not there, and without which the service does not start.</summary>
    internal List<string> Missing { get; } = [];

    /// <summary>The file that a variable has its value from; null when it has it from elsewhere, or has none.</summary>
    internal string? FileOf(string variable) => origins.GetValueOrDefault(variable);

    /// <exception cref="HsmRemoteException">The caller may not read one of the files.</exception>
    internal static ServiceEnvironment Of(string instance, UnitProperties service)
    {
        var environment = new ServiceEnvironment();
        if (service.Texts("RuntimeDirectory").ToList() is { Count: > 0 } directories)
            environment.variables[RuntimeDirectory] = string.Join(':', directories.Select(directory => $"/run/{directory}"));
        foreach (var assignment in service.Texts("Environment"))
        {
            if (assignment.Split('=', 2) is [var name, var value])
                environment.variables[name] = value;
        }

        // After Environment=, in their order: the later one wins.
        foreach (var row in service.Rows("EnvironmentFiles"))
            environment.Add(instance, (string)row[0]!, isOptional: row[1] is true);
        foreach (var unset in service.Texts("UnsetEnvironment"))
        {
            if (unset.Split('=', 2) is not [var name, var value] || string.Equals(environment[name], value, StringComparison.Ordinal))
                environment.variables.Remove(unset.Split('=')[0]);
        }

        return environment;
    }

    void Add(string instance, string path, bool isOptional)
    {
        var found = path.AsSpan().IndexOfAny("*?[") < 0 ? [path] : Matching(path);
        foreach (var file in found)
        {
            var target = TargetFile.Read(instance, file);
            Files.Add(file);
            if (!target.Exists && !isOptional)
                Missing.Add(file);
            foreach (var (name, value) in target.Assignments)
            {
                variables[name] = value;
                origins[name] = file;
            }
        }

        if (found.Count == 0 && !isOptional)
            Missing.Add(path);
    }

    static List<string> Matching(string pattern)
    {
        var directory = Path.GetDirectoryName(pattern)!;
        return Directory.Exists(directory)
            ? [.. Directory.EnumerateFiles(directory)
                .Where(file => FileSystemName.MatchesSimpleExpression(Path.GetFileName(pattern), Path.GetFileName(file), ignoreCase: false))
                .Order(StringComparer.Ordinal)]
            : [];
    }

    /// <summary>What systemd makes of an argument of ExecStart=: $NAME as a word of its own is split at white space, ${NAME} is not.</summary>
    internal CommandWord Expand(string argument)
    {
        if (WholeVariable().Match(argument) is { Success: true } whole)
            return new(ShellWords.Split(this[whole.Groups["name"].Value] ?? ""), whole.Groups["name"].Value, Splits: true);
        var only = BracedVariable().Match(argument) is { Success: true } braced && braced.Length == argument.Length ? braced.Groups["name"].Value : null;
        return new([Escaped().Replace(argument, match => match.Groups["name"] is { Success: true } name ? this[name.Value] ?? "" : "$")], only);
    }

    [GeneratedRegex(@"\A\$(?<name>[A-Za-z_][A-Za-z0-9_]*)\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex WholeVariable();

    [GeneratedRegex(@"\A\$\{(?<name>[A-Za-z_][A-Za-z0-9_]*)\}", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex BracedVariable();

    [GeneratedRegex(@"\$(?:\$|\{(?<name>[A-Za-z_][A-Za-z0-9_]*)\})", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Escaped();
}

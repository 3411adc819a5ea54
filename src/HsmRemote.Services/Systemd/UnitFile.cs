using System.Text;

namespace HsmRemote.Services.Systemd;

/// <summary>Writes a unit file, systemd.unit(5), with the escaping that each directive wants.</summary>
sealed class UnitFile
{
    /// <summary>Where an administrator's units are; they come before a package's.</summary>
    internal const string Directory = "/etc/systemd/system";

    readonly StringBuilder text = new();

    internal UnitFile Comment(string line)
    {
        text.Append("# ").Append(line).Append('\n');
        return this;
    }

    internal UnitFile Section(string name)
    {
        if (text.Length > 0)
            text.Append('\n');
        text.Append('[').Append(name).Append("]\n");
        return this;
    }

    /// <summary>A directive whose value is taken as it is: systemd expands the specifiers in it.</summary>
    /// <exception cref="HsmRemoteException">A line cannot hold the value.</exception>
    internal UnitFile Set(string directive, string value)
    {
        SystemdText.RequireLine(value, $"{directive}=");
        text.Append(directive).Append('=').Append(value).Append('\n');
        return this;
    }

    /// <summary>A directive whose value means itself: its percent signs are no specifiers.</summary>
    internal UnitFile SetLiteral(string directive, string value) => Set(directive, Literal(value));

    internal UnitFile SetAll(IEnumerable<(string Directive, string Value)> directives)
    {
        foreach (var (directive, value) in directives)
            Set(directive, value);
        return this;
    }

    /// <summary>Text that systemd reads as itself where it expands specifiers.</summary>
    internal static string Literal(string value) => value.Replace("%", "%%", StringComparison.Ordinal);

    /// <summary>Text that systemd reads as one word that means itself, in a directive that takes several.</summary>
    internal static string Word(string value) =>
        value.Length > 0 && value.All(c => char.IsAsciiLetterOrDigit(c) || c is '/' or '-' or '_' or '.' or '=' or '%')
            ? Literal(value)
            : $"\"{Literal(value).Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal)}\"";

    /// <summary>One argument of a command line (systemd.service(5)) that means itself: its dollar signs are no variables.</summary>
    internal static string Argument(string value) => Word(value).Replace("$", "$$", StringComparison.Ordinal);

    /// <summary>The value of a directive in a file, its drop-ins left out; null when the file does not have it. The last one counts.</summary>
    internal static string? ValueOf(string path, string directive) =>
        LinesOf(path)
            .LastOrDefault(line => line.StartsWith(directive, StringComparison.Ordinal) && line.AsSpan(directive.Length).TrimStart() is ['=', ..])
            ?.Split('=', 2)[1].Trim().Replace("%%", "%", StringComparison.Ordinal);

    /// <summary>The lines of a unit's file; none of one that is not there, as of a masked unit, or that the caller may not read.</summary>
    internal static string[] LinesOf(string path) => Read(path, File.ReadAllLines, otherwise: []);

    /// <summary>The whole text of a unit's file; empty where <see cref="LinesOf"/> is.</summary>
    internal static string TextOf(string path) => Read(path, File.ReadAllText, otherwise: "");

    static T Read<T>(string path, Func<string, T> read, T otherwise)
    {
        try
        {
            return path.Length > 0 ? read(path) : otherwise;
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            return otherwise;
        }
    }

    public override string ToString() => text.ToString();
}

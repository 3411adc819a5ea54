using System.Text;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Containers;

/// <summary>A .container unit, podman-systemd.unit(5), of podman 5 and later.</summary>
static class QuadletUnit
{
    internal static string Write(P11ContainerConfig config, SocketAccess socket, string name)
    {
        var unit = new UnitFile()
            .Comment(FileMark.Of(config))
            .Section("Unit")
            .Set("Description", UnitFile.Literal($"{name}, with the token of {config.Name}"));
        // A container finds its directory only when that is there before it.
        if (socket.Scope == P11KitServerScope.User == config.Rootless)
            unit.Set("Wants", socket.Unit).Set("After", socket.Unit);
        unit.Section("Container");
        if (config.Image is { } image)
            unit.Set("Image", Line("image", image));
        if (config.User is { } user)
        {
            var parts = user.Split(':');
            unit.Set("User", Line("user", parts[0]));
            if (parts.Length > 1)
                unit.Set("Group", Line("user", parts[1]));
        }

        if (config.SupplementaryGroup is { } group)
            unit.Set("GroupAdd", group);
        if (config.UserNamespace is { } userNamespace)
            unit.Set("UserNS", Line("user namespace", userNamespace));
        if (config.SecurityLabel is not null)
            unit.Set("SecurityLabelDisable", "true");
        var (option, mount) = RunArguments.Mount(config.Mount);
        if (option is "mount")
            unit.Set("Mount", Word(mount));
        else
            unit.Set("Volume", Line("socket's path", mount));
        foreach (var (variable, value) in config.Environment)
            unit.Set("Environment", Word($"{variable}={value}"));
        return unit.Section("Install").Set("WantedBy", config.Rootless ? "default.target" : "multi-user.target").ToString();
    }

    // What the generator makes of it is read by systemd, which expands specifiers and variables.
    static string Value(string value) => UnitFile.Literal(value).Replace("$", "$$", StringComparison.Ordinal);

    /// <summary>A value that is the whole line: white space at its ends is dropped, and a backslash at its end joins the next line.</summary>
    static string Line(string what, string value) =>
        value.Length == 0 || value.Contains('\\', StringComparison.Ordinal) || char.IsWhiteSpace(value[0]) || char.IsWhiteSpace(value[^1])
            ? throw ContainerValues.Invalid(what, "a unit's line cannot be empty, and carries no backslashes and no white space at its ends", value)
            : Value(value);

    /// <summary>One word of a list, systemd.syntax(7).</summary>
    static string Word(string value)
    {
        if (value.All(c => char.IsAsciiLetterOrDigit(c) || c is '_' or '-' or '.' or '/' or ':' or '=' or ',' or '+' or '@'))
            return value;
        var word = new StringBuilder("\"");
        foreach (var c in Value(value))
        {
            _ = c switch
            {
                '"' or '\\' => word.Append('\\').Append(c),
                '\n' => word.Append(@"\n"),
                '\t' => word.Append(@"\t"),
                < ' ' or '\x7F' => word.Append(@"\x").Append(((int)c).ToString("x2", System.Globalization.CultureInfo.InvariantCulture)),
                _ => word.Append(c),
            };
        }

        return word.Append('"').ToString();
    }
}

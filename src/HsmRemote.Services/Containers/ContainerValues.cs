namespace HsmRemote.Services.Containers;

/// <summary>What no engine takes, whatever the format: refused before anything is written.</summary>
static class ContainerValues
{
    internal static void Check(P11ContainerConfig config)
    {
        foreach (var (what, value) in new[] { ("image", config.Image), ("user", config.User), ("socket's path", config.SocketPath), ("user namespace", config.UserNamespace) })
        {
            if (value is null)
                continue;
            if (value.Length == 0 || value.Any(char.IsControl))
                throw Invalid(what, "it is empty or has control characters", value);
            if (value[0] == '-')
                throw Invalid(what, "an engine would take it for an option", value);
        }

        foreach (var (name, value) in config.Environment)
        {
            if (!IsName(name))
                throw Invalid("variable's name", "it is letters, digits and '_', and does not begin with a digit", name);
            if (value.Contains('\0', StringComparison.Ordinal))
                throw Invalid($"variable {name}", "no environment can hold a NUL", name);
        }
    }

    /// <summary>A user's or group's number, which the engines take up to half of what the kernel does.</summary>
    internal static uint CheckId(uint id) => id <= int.MaxValue ? id : throw Invalid("user's number", $"engines take numbers from 0 to {int.MaxValue}", id);

    internal static bool IsName(string name) =>
        name.Length > 0 && !char.IsAsciiDigit(name[0]) && name.All(c => char.IsAsciiLetterOrDigit(c) || c == '_');

    internal static HsmRemoteException Invalid(string what, string why, object target) => new(
        "ContainerValueInvalid", FailureKind.InvalidArgument, $"The {what} cannot be written for this engine: {why}.", "Give another value.", target);
}

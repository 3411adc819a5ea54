namespace HsmRemote.Services.Containers;

/// <summary>The arguments of docker run and podman run, docker-run(1), podman-run(1).</summary>
static class RunArguments
{
    internal static IReadOnlyList<string> Write(P11ContainerConfig config)
    {
        List<string> arguments = [];
        if (config.User is { } user)
            arguments.AddRange(["--user", user]);
        if (config.SupplementaryGroup is { } group)
            arguments.AddRange(["--group-add", group]);
        if (config.UserNamespace is { } userNamespace)
            arguments.AddRange(["--userns", userNamespace]);
        if (config.SecurityLabel is { } label)
            arguments.AddRange(["--security-opt", label]);
        var (option, mount) = Mount(config.Mount);
        arguments.AddRange([$"--{option}", mount]);
        foreach (var (name, value) in config.Environment)
            arguments.AddRange(["--env", $"{name}={value}"]);
        if (config.Image is { } image)
            arguments.Add(image);
        return arguments;
    }

    /// <summary>A mount as an option: --mount, which fails when the directory is not there, or --volume where --mount cannot carry the path.</summary>
    internal static (string Option, string Value) Mount(P11ContainerMount mount)
    {
        if (mount.Source.IndexOfAny([',', '"']) < 0)
            return ("mount", $"type=bind,source={mount.Source},target={mount.Target}{(mount.ReadOnly ? ",readonly" : "")}");
        if (!mount.Source.Contains(':', StringComparison.Ordinal))
            return ("volume", mount.ToString());
        throw ContainerValues.Invalid("socket's path", "it has both a colon and a comma or a quote, which --volume and --mount cannot carry", mount.Source);
    }
}

namespace HsmRemote.Services.Containers;

/// <summary>A service of a compose file.</summary>
static class ComposeService
{
    /// <summary>The name that a PIN has as a secret; in the container it is the file /run/secrets/NAME.</summary>
    internal const string PinSecret = "pkcs11_pin";

    /// <summary>The settings that a service needs, in the order in which they are written.</summary>
    internal static Dictionary<string, object> Settings(P11ContainerConfig config, bool withPinSecret)
    {
        Dictionary<string, object> service = new(StringComparer.Ordinal);
        if (config.Image is { } image)
            service["image"] = Literal(image);
        if (config.User is { } user)
            service["user"] = Literal(user);
        if (config.SupplementaryGroup is { } group)
            service["group_add"] = new List<object> { group };
        if (config.UserNamespace is { } userNamespace)
            service["userns_mode"] = Literal(userNamespace);
        if (config.SecurityLabel is { } label)
            service["security_opt"] = new List<object> { label };
        service["environment"] = config.Environment.ToDictionary(v => v.Key, object (v) => Literal(v.Value), StringComparer.Ordinal);
        service["volumes"] = new List<object>
        {
            new Dictionary<string, object>(StringComparer.Ordinal)
            {
                ["type"] = "bind", ["source"] = Literal(config.Mount.Source), ["target"] = Literal(config.Mount.Target), ["read_only"] = config.Mount.ReadOnly,
            },
        };
        if (withPinSecret)
            service["secrets"] = new List<object> { PinSecret };
        return service;
    }

    /// <summary>The secrets of the file, for a PIN that is in a file beside it.</summary>
    internal static Dictionary<string, object> Secrets(string pinFile) => new(StringComparer.Ordinal)
    {
        [PinSecret] = new Dictionary<string, object>(StringComparer.Ordinal) { ["file"] = Literal(pinFile) },
    };

    /// <summary>A file with this service alone.</summary>
    internal static string Write(string name, Dictionary<string, object> service) => YamlText.Write(
        new Dictionary<string, object>(StringComparer.Ordinal)
        {
            ["services"] = new Dictionary<string, object>(StringComparer.Ordinal) { [name] = service },
        });

    // Compose replaces variables in every value; a dollar of our own is two.
    internal static string Literal(string value) => value.Replace("$", "$$", StringComparison.Ordinal);
}

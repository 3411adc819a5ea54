using System.Globalization;

namespace HsmRemote.Services.Containers;

/// <summary>A patch for a Pod. What it holds is a Pod of its own as well, when it has an image.</summary>
static class KubernetesPod
{
    const int MaxNameLength = 63;

    internal static string Write(P11ContainerConfig config, string name)
    {
        var volume = Name($"p11-kit-{config.Name}");
        Dictionary<string, object> container = Map(("name", name));
        if (config.Image is { } image)
            container["image"] = image;
        container["env"] = config.Environment.Select(object (v) => Map(("name", v.Key), ("value", Literal(v.Value)))).ToList();
        container["volumeMounts"] = new List<object>
        {
            Map(("name", volume), ("mountPath", config.Mount.Target), ("readOnly", config.Mount.ReadOnly)),
        };

        Dictionary<string, object> spec = new(StringComparer.Ordinal);
        if (SecurityContext(config) is { Count: > 0 } context)
            spec["securityContext"] = context;
        spec["containers"] = new List<object> { container };
        spec["volumes"] = new List<object>
        {
            // Directory: a node without the instance fails the Pod, and gets no empty directory made.
            Map(("name", volume), ("hostPath", Map(("path", config.Mount.Source), ("type", "Directory")))),
        };
        return $"# {FileMark.Of(config)}\n" + YamlText.Write(Map(("apiVersion", "v1"), ("kind", "Pod"), ("metadata", Map(("name", name))), ("spec", spec)));
    }

    /// <summary>A name that Kubernetes takes (a DNS label, RFC 1123), as near as can be to one of ours.</summary>
    internal static string Name(string text)
    {
        var label = new string([.. text.ToLowerInvariant().Select(c => char.IsAsciiLetterOrDigit(c) ? c : '-')]).Trim('-');
        return label.Length > MaxNameLength ? label[..MaxNameLength].TrimEnd('-') : label;
    }

    static Dictionary<string, object> SecurityContext(P11ContainerConfig config)
    {
        Dictionary<string, object> context = new(StringComparer.Ordinal);
        if (config.User is { } user)
        {
            var parsed = ContainerUser.Parse(user);
            if (parsed.Id is not { } id)
                throw ContainerValues.Invalid("user", "a Pod takes a user by number only: -Uid and -Gid", user);
            context["runAsUser"] = id;
            if (parsed.GroupId is { } primary)
                context["runAsGroup"] = primary;
        }

        if (config.SupplementaryGroup is { } group)
            context["supplementalGroups"] = new List<object> { uint.Parse(group, CultureInfo.InvariantCulture) };
        if (config.SecurityLabel is { } label)
            context["seLinuxOptions"] = Map(("type", label));
        return context;
    }

    // Kubernetes replaces $(NAME) in a value; a dollar of our own before a parenthesis is two.
    static string Literal(string value) => value.Replace("$(", "$$(", StringComparison.Ordinal);

    static Dictionary<string, object> Map(params (string Key, object Value)[] entries) => entries.ToDictionary(e => e.Key, e => e.Value, StringComparer.Ordinal);
}

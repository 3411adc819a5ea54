using System.Globalization;

namespace HsmRemote.Services.Containers;

/// <summary>Who a container runs as: by number, by a name of the image's, or (neither) the image's own user.</summary>
sealed record ContainerUser(uint? Id, uint? GroupId, string? Name)
{
    internal static ContainerUser Of(P11ContainerRequest request) =>
        request.UserName is { } name
            ? Parse(name)
            : new(request.UserId, request.UserId is { } id ? request.GroupId ?? id : null, null);

    /// <summary>Reads <c>UID</c>, <c>UID:GID</c> or a name, as engines and compose files have it.</summary>
    internal static ContainerUser Parse(string? text)
    {
        if (text is null or "")
            return new(null, null, null);
        var parts = text.Split(':');
        if (parts is ["root"] or ["0"] or ["root" or "0", "root" or "0"])
            return new(0, 0, null);
        if (!uint.TryParse(parts[0], CultureInfo.InvariantCulture, out var id))
            return new(null, null, text);
        // A number that no image knows has the primary group 0.
        return parts.Length == 1 ? new(id, 0, null)
            : uint.TryParse(parts[1], CultureInfo.InvariantCulture, out var group) ? new(id, group, null)
            : new(null, null, text);
    }

    internal bool IsRoot => Id == 0;

    /// <summary>Whether it is the image's own, which may be anybody.</summary>
    internal bool IsImages => Id is null && Name is null;

    /// <summary>As engines take it; null: nothing is said.</summary>
    public override string? ToString() => Name ?? (Id is null ? null : string.Create(CultureInfo.InvariantCulture, $"{Id}:{GroupId}"));
}

using System.Globalization;

namespace HsmRemote.Services.Containers;

/// <summary>Who a container runs as.</summary>
/// <param name="Id">The number, or null: it is the image's to know, or compose's.</param>
/// <param name="GroupId">The primary group, or null where nobody gave one: the image may know the user, and then it has a say.</param>
/// <param name="Text">As engines take it; null: nothing is said, and it is the image's own user.</param>
sealed record ContainerUser(uint? Id, uint? GroupId, string? Text)
{
    internal static ContainerUser Of(P11ContainerRequest request) =>
        request.UserName is { } name ? Parse(name)
        : request.UserId is { } id ? Parse(string.Create(CultureInfo.InvariantCulture, $"{id}:{request.GroupId ?? id}"))
        : Parse(null);

    /// <summary>Reads <c>UID</c>, <c>UID:GID</c> or a name, as engines and compose files have it.</summary>
    internal static ContainerUser Parse(string? text)
    {
        if (text is null or "")
            return new(null, null, null);
        var parts = text.Split(':');
        if (parts is ["root"] or ["0"] or ["root" or "0", "root" or "0"])
            return new(0, 0, text);
        if (!uint.TryParse(parts[0], CultureInfo.InvariantCulture, out var id))
            return new(null, null, text);
        ContainerValues.CheckId(id);
        return parts.Length == 1 ? new(id, null, text)
            : uint.TryParse(parts[1], CultureInfo.InvariantCulture, out var group) ? new(id, ContainerValues.CheckId(group), text)
            : new(null, null, text);
    }

    internal bool IsRoot => Id == 0;

    /// <summary>Whether it is the image's own, which may be anybody.</summary>
    internal bool IsImages => Text is null;

    public override string? ToString() => Text;
}

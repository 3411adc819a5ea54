using System.Text;

namespace HsmRemote;

/// <content>What a URI selects, by the rules of p11-kit: what it does not say matches anything, what p11-kit does not recognise nothing.</content>
public sealed partial class Pkcs11Uri
{
    /// <summary>Whether p11-kit's server exposes a token for this URI as its target.</summary>
    /// <param name="token">The token's own URI, as <see cref="ForToken"/> makes it.</param>
    /// <returns>
    /// True when every attribute of this URI's path is one of a token, with the very bytes of the token's; false also when it has an
    /// attribute of an object, a slot or a library, for which the server exposes nothing.
    /// </returns>
    public bool Matches(Pkcs11Uri token)
    {
        ArgumentNullException.ThrowIfNull(token);
        for (var i = 0; i < Pkcs11UriAttributes.PathCount; i++)
        {
            if (parts[i].IsPresent && !((Pkcs11UriAttribute)i).IsOfToken())
                return false;
        }

        // A blank field is left out of the token's URI; an empty value asks for just that.
        return MatchesToken(
            token.Bytes(Pkcs11UriAttribute.Token), token.Bytes(Pkcs11UriAttribute.Manufacturer),
            token.Bytes(Pkcs11UriAttribute.Model), token.Bytes(Pkcs11UriAttribute.Serial));
    }

    /// <summary>Whether this URI selects a token, or something in it: its attributes of objects, slots and libraries do not count.</summary>
    /// <param name="label">CK_TOKEN_INFO.label, as the module gave it; trailing spaces do not count, NULs do.</param>
    /// <param name="manufacturer">CK_TOKEN_INFO.manufacturerID, likewise.</param>
    /// <param name="model">CK_TOKEN_INFO.model, likewise.</param>
    /// <param name="serial">CK_TOKEN_INFO.serialNumber, likewise.</param>
    /// <returns>What p11_kit_uri_match_token_info says of the URI, parsed for any use.</returns>
    public bool MatchesToken(ReadOnlySpan<byte> label, ReadOnlySpan<byte> manufacturer, ReadOnlySpan<byte> model, ReadOnlySpan<byte> serial) =>
        IsRecognized
        && FieldMatches(Pkcs11UriAttribute.Token, label)
        && FieldMatches(Pkcs11UriAttribute.Manufacturer, manufacturer)
        && FieldMatches(Pkcs11UriAttribute.Model, model)
        && FieldMatches(Pkcs11UriAttribute.Serial, serial);

    /// <summary>Whether this URI selects a module, or something in it.</summary>
    /// <param name="description">CK_INFO.libraryDescription, as the module gave it; trailing spaces do not count, NULs do.</param>
    /// <param name="manufacturer">CK_INFO.manufacturerID, likewise.</param>
    /// <param name="version">CK_INFO.libraryVersion.</param>
    /// <returns>What p11_kit_uri_match_module_info says of the URI, parsed for any use.</returns>
    public bool MatchesModule(ReadOnlySpan<byte> description, ReadOnlySpan<byte> manufacturer, Version version) =>
        IsRecognized
        && FieldMatches(Pkcs11UriAttribute.LibraryDescription, description)
        && FieldMatches(Pkcs11UriAttribute.LibraryManufacturer, manufacturer)
        && (LibraryVersion is not { } wanted || wanted == version);

    /// <summary>Whether this URI selects a slot, or something in it.</summary>
    /// <param name="description">CK_SLOT_INFO.slotDescription, as the module gave it; trailing spaces do not count, NULs do.</param>
    /// <param name="manufacturer">CK_SLOT_INFO.manufacturerID, likewise.</param>
    /// <param name="slotId">The slot's number in its module.</param>
    /// <returns>What p11_kit_uri_match_slot_info says of the URI, parsed for any use, and whether the number is the one.</returns>
    public bool MatchesSlot(ReadOnlySpan<byte> description, ReadOnlySpan<byte> manufacturer, ulong slotId) =>
        IsRecognized
        && FieldMatches(Pkcs11UriAttribute.SlotDescription, description)
        && FieldMatches(Pkcs11UriAttribute.SlotManufacturer, manufacturer)
        && (SlotId is not { } wanted || wanted == slotId);

    /// <summary>Whether this URI selects an object, in whatever token.</summary>
    /// <param name="type">Its class, in the words of <see cref="Type"/>.</param>
    /// <param name="label">CKA_LABEL; every byte counts.</param>
    /// <param name="id">CKA_ID; every byte counts.</param>
    /// <returns>What p11_kit_uri_match_attributes says of the URI, parsed for any use.</returns>
    public bool MatchesObject(string type, ReadOnlySpan<byte> label, ReadOnlySpan<byte> id) =>
        IsRecognized
        && (!Has(Pkcs11UriAttribute.Type) || string.Equals(Type, type, StringComparison.Ordinal))
        && (!Has(Pkcs11UriAttribute.Object) || Bytes(Pkcs11UriAttribute.Object).SequenceEqual(label))
        && (!Has(Pkcs11UriAttribute.Id) || Bytes(Pkcs11UriAttribute.Id).SequenceEqual(id));

    /// <summary>Whether every token that another URI selects is one that this one selects too, whatever tokens there are.</summary>
    /// <param name="other">Another URI.</param>
    /// <returns>True when each attribute of this URI's path is also one of the other's, with the same bytes.</returns>
    public bool Covers(Pkcs11Uri other)
    {
        for (var i = 0; i < Pkcs11UriAttributes.PathCount; i++)
        {
            if (parts[i].IsPresent && !(other.parts[i].IsPresent && Bytes((Pkcs11UriAttribute)i).SequenceEqual(other.Bytes((Pkcs11UriAttribute)i))))
                return false;
        }

        return IsRecognized;
    }

    bool FieldMatches(Pkcs11UriAttribute attribute, ReadOnlySpan<byte> field) =>
        !Has(attribute) || Bytes(attribute).SequenceEqual(field.TrimEnd((byte)' '));
}

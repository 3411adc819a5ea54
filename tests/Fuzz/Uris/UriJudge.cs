using System.Collections.Concurrent;
using HsmRemote.Services.Server;

namespace HsmRemote.Fuzz.Uris;

/// <summary>Compares what Pkcs11Uri makes of a text with what libp11-kit.so.0 makes of it. Not for several threads at once.</summary>
sealed class UriJudge : IDisposable
{
    const int FieldOfModel = 16;
    const int Field = 32;
    const int FieldOfSlotDescription = 64;

    static readonly (string Type, ulong Class)[] Types = [("data", 0), ("cert", 1), ("public", 2), ("private", 3), ("secret-key", 4)];

    static readonly (string InError, UriDifference Difference)[] Differences =
    [
        ("must be written as %XX", UriDifference.UnescapedCharacter),
        ("needs two hexadecimal", UriDifference.Escape),
        ("too many", UriDifference.ExtraSeparator),
        ("cannot be in an attribute's name", UriDifference.NameCharacter),
        ("given twice", UriDifference.Duplicate),
        ("begins with NUL", UriDifference.LeadingNul),
        ("at a NUL", UriDifference.QueryNul),
        ("write 'type'", UriDifference.TypeName),
        ("'type' is public", UriDifference.TypeValue),
        ("does not read escapes", UriDifference.EscapedWord),
        ("a slot's number is", UriDifference.Number),
        ("a version is", UriDifference.Number),
    ];

    readonly P11KitUri theirs = new();
    readonly P11KitUri ofOurForm = new();
    readonly P11KitUri ofServer = new();

    /// <summary>How many were refused that p11-kit takes, for which reason.</summary>
    internal ConcurrentDictionary<UriDifference, long> Refused { get; } = new();

    /// <summary>How many both take.</summary>
    internal long Taken { get; private set; }

    public void Dispose()
    {
        theirs.Dispose();
        ofOurForm.Dispose();
        ofServer.Dispose();
    }

    /// <summary>What is wrong, or null.</summary>
    internal string? Of(string text)
    {
        var isOurs = Pkcs11Uri.TryParse(text, out var ours, out var error);
        var isTheirs = theirs.Parse(text, P11KitUri.ForAny);
        if (CompareReadings(text) is { } misread)
            return misread;
        if (isOurs && !isTheirs)
            return $"p11-kit refuses it ({theirs.Result}), and Pkcs11Uri does not";
        if (!isTheirs)
            return null;
        if (!isOurs)
            return Count(text, error!);

        Taken++;
        return CompareForms(ours!) ?? CompareMatches(ours!);
    }

    string? Count(string text, string error)
    {
        UriDifference? difference = text.Contains('\0', StringComparison.Ordinal) ? UriDifference.NulCharacter
            : text.AsSpan().IndexOfAny(" \n\r\v") >= 0 ? UriDifference.WhiteSpace
            : Array.Find(Differences, d => error.Contains(d.InError, StringComparison.Ordinal)) is { InError: not null } known ? known.Difference
            : null;
        if (difference is not { } listed)
            return $"p11-kit takes it, and Pkcs11Uri does not, for a reason that is not listed: {error}";
        Refused.AddOrUpdate(listed, 1, (_, count) => count + 1);
        return null;
    }

    /// <summary>What Test-Pkcs11Uri says of a server, whether the text is a URI or not.</summary>
    string? CompareReadings(string text)
    {
        var reading = ServerReading.Of(text);
        if (reading.IsAccepted != ofServer.Parse(text, P11KitUri.ForToken))
            return $"the server takes it: {ofServer.Result == 0}, and not so for ServerReading";
        if (!reading.IsAccepted)
            return null;
        if (reading.IsRecognized == ofServer.IsUnrecognized)
            return $"the server recognises it: {!ofServer.IsUnrecognized}, and not so for ServerReading";
        return !reading.IsRecognized || string.Equals(reading.Selection!.ToString(), ofServer.Format().Split('?')[0], StringComparison.Ordinal)
            ? null
            : $"the server selects by {ofServer.Format()}, and by {reading.Selection} for ServerReading";
    }

    string? CompareForms(Pkcs11Uri ours)
    {
        var form = ours.ToString();
        if (!Pkcs11Uri.TryParse(form, out var again, out var error) || again != ours || again.GetHashCode() != ours.GetHashCode())
            return $"its form {form} is not read as the same: {error}";
        if (ours.HasPin != theirs.HasPin)
            return "they differ in whether there is a PIN";
        if (ours.IsRecognized == theirs.IsUnrecognized)
            return "they differ in whether it is recognised";
        if ((ours.SlotId ?? ulong.MaxValue) != theirs.SlotId)
            return $"slot-id is {ours.SlotId}, and {theirs.SlotId} to p11-kit";
        var theirForm = theirs.Format();
        // What p11-kit does not recognise, it leaves out of its form: that would be a wider URI.
        if (ours.IsRecognized && !string.Equals(form, theirForm, StringComparison.Ordinal))
            return $"its form is {form}, and {theirForm} to p11-kit";
        if (!ofOurForm.Parse(form, P11KitUri.ForAny))
            return $"p11-kit refuses its form {form}";
        return ofOurForm.IsUnrecognized == theirs.IsUnrecognized && string.Equals(ofOurForm.Format(), theirForm, StringComparison.Ordinal)
            ? null
            : $"its form {form} means something else to p11-kit: {ofOurForm.Format()} instead of {theirForm}";
    }

    string? CompareMatches(Pkcs11Uri ours)
    {
        // The very one that it names, padded as the standard has it and as some modules have it, and its neighbours.
        for (var variant = 0; variant < 4; variant++)
        {
            var (label, manufacturer, model, serial) = (Value("token", Field), Value("manufacturer", Field), Value("model", FieldOfModel), Value("serial", FieldOfModel));
            if (ours.MatchesToken(label, manufacturer, model, serial) != theirs.MatchesToken(label, manufacturer, model, serial))
                return $"they differ in whether a token matches (variant {variant})";

            var token = Pkcs11Uri.ForToken(label, manufacturer, model, serial);
            // A field that begins with NUL is in no URI.
            var isWhole = new[] { label, manufacturer, model, serial }.All(f => f[0] != 0);
            ofServer.Parse(ours.ToString(), P11KitUri.ForToken);
            if (isWhole && ours.Matches(token) != ofServer.MatchesToken(label, manufacturer, model, serial))
                return $"they differ in whether the server exposes a token (variant {variant})";

            var (description, libraryManufacturer, version) = (Value("library-description", Field), Value("library-manufacturer", Field), ours.LibraryVersion ?? new Version(2, 6));
            if (variant == 3)
                version = new Version(version.Major, (version.Minor + 1) % 255);
            if (ours.MatchesModule(description, libraryManufacturer, version) != theirs.MatchesModule(description, libraryManufacturer, version))
                return $"they differ in whether a module matches (variant {variant})";

            var (slotDescription, slotManufacturer) = (Value("slot-description", FieldOfSlotDescription), Value("slot-manufacturer", Field));
            if (ours.MatchesSlot(slotDescription, slotManufacturer, ours.SlotId ?? 1) != theirs.MatchesSlot(slotDescription, slotManufacturer))
                return $"they differ in whether a slot matches (variant {variant})";

            var (type, objectClass) = Types[(Math.Max(0, Array.FindIndex(Types, t => string.Equals(t.Type, ours.Type, StringComparison.Ordinal))) + (variant / 3)) % Types.Length];
            var (objectLabel, id) = (Value("object", 0), Value("id", 0));
            if (ours.MatchesObject(type, objectLabel, id) != theirs.MatchesObject(objectClass, objectLabel, id))
                return $"they differ in whether an object matches (variant {variant})";

            byte[] Value(string name, int size) => Vary(ours.Value(name) ?? [], size, variant);
        }

        return null;
    }

    /// <summary>A field of a size, or of none, that has the value, has it padded with NUL, or has something else.</summary>
    static byte[] Vary(byte[] value, int size, int variant)
    {
        const int Nul = 1;
        const int Longer = 2;
        const int Other = 3;
        byte[] varied = variant switch
        {
            Longer => [.. value, (byte)'x'],
            Other when value.Length > 0 => [.. value[..^1], (byte)(value[^1] ^ 0x20)],
            _ => value,
        };
        if (size == 0)
            return varied;
        var field = new byte[size];
        field.AsSpan().Fill(variant == Nul ? (byte)0 : (byte)' ');
        varied.AsSpan(0, Math.Min(size, varied.Length)).CopyTo(field);
        return field;
    }
}

namespace HsmRemote.Fuzz.Uris;

/// <summary>Why a URI that p11-kit takes is refused. Each is listed in about_HsmRemote_Uris under its name, with its reason.</summary>
enum UriDifference
{
    /// <summary>A space, a line feed, a carriage return or a vertical tab, which p11-kit deletes wherever it is.</summary>
    WhiteSpace,

    /// <summary>A NUL in the text itself, where p11-kit takes the text to end.</summary>
    NulCharacter,

    /// <summary>A character that the RFC wants escaped.</summary>
    UnescapedCharacter,

    /// <summary>A '%' without two digits, in an attribute that p11-kit does not know and so does not decode.</summary>
    Escape,

    /// <summary>A separator with no attribute before or behind it.</summary>
    ExtraSeparator,

    /// <summary>A character that the RFC does not allow in a name.</summary>
    NameCharacter,

    /// <summary>An attribute that is given twice.</summary>
    Duplicate,

    /// <summary>A value that begins with %00.</summary>
    LeadingNul,

    /// <summary>A %00 in a value of the query.</summary>
    QueryNul,

    /// <summary>Old names of <c>type</c>.</summary>
    TypeName,

    /// <summary>A type that is none of the RFC's five words.</summary>
    TypeValue,

    /// <summary>An escape in a number or a word, which p11-kit does not decode.</summary>
    EscapedWord,

    /// <summary>A number that is empty, or too large.</summary>
    Number,
}

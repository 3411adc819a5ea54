using System.Globalization;

namespace HsmRemote.Shell;

/// <summary>
/// The invariant culture, which says that its language is English, as it is. The engine wraps text between words only where
/// it knows the language to put spaces there; else it breaks them at the edge of the terminal.
/// </summary>
internal sealed class EnglishCulture() : CultureInfo("")
{
    public override string TwoLetterISOLanguageName => "en";
}

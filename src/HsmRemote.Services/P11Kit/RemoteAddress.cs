using System.Globalization;
using System.Text;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.P11Kit;

/// <summary>Where a module is reached, as p11-kit reads <c>remote:</c> and P11_KIT_SERVER_ADDRESS.</summary>
abstract record RemoteAddress
{
    internal sealed record Command(IReadOnlyList<string> Words) : RemoteAddress;

    internal sealed record UnixSocket(string Path) : RemoteAddress;

    internal sealed record VirtualSocket(uint ContextId, uint Port) : RemoteAddress;

    /// <summary>Reads an address; null where p11-kit refuses it.</summary>
    internal static RemoteAddress? Parse(string address)
    {
        const string Vsock = "vsock:";
        if (address is ['|', ..])
            return Split(address.AsSpan(1)) is { Count: > 0 } words ? new Command(words) : null;
        if (ProcessAddress.Decode(address) is { } path)
            return new UnixSocket(path);
        return address.StartsWith(Vsock, StringComparison.Ordinal) ? ParseVirtualSocket(address[Vsock.Length..]) : null;
    }

    /// <summary>
    /// The words of a command, which p11-kit splits itself: at each single blank, so that two make an empty word; quotes of both
    /// kinds; a backslash is kept before all but a quote's own kind inside quotes, and is kept, too, outside of them.
    /// </summary>
    static List<string>? Split(ReadOnlySpan<char> text)
    {
        List<string> words = [];
        var word = new StringBuilder();
        var quote = '\0';
        for (var i = 0; i < text.Length; i++)
        {
            var c = text[i];
            if (c == '\\' && ++i == text.Length)
                return null;
            if (c == '\\')
            {
                if (quote == '\0' || text[i] != quote)
                    word.Append('\\');
                word.Append(text[i]);
            }
            else if (c == quote)
                quote = '\0';
            else if (quote == '\0' && c is '\'' or '"')
                quote = c;
            else if (quote == '\0' && ConfigurationFile.Blanks.Contains(c, StringComparison.Ordinal))
            {
                words.Add(word.ToString());
                word.Clear();
            }
            else
                word.Append(c);
        }

        if (word.Length > 0)
            words.Add(word.ToString());
        return words;
    }

    static VirtualSocket? ParseVirtualSocket(string text)
    {
        uint? contextId = null;
        uint? port = null;
        foreach (var field in text.TrimEnd(';').Split(';'))
        {
            if (field.StartsWith("cid=", StringComparison.Ordinal) && Number(field[4..]) is { } cid)
                contextId = cid;
            else if (field.StartsWith("port=", StringComparison.Ordinal) && Number(field[5..]) is { } number)
                port = number;
            else
                return null;
        }

        // Without a context, or with VMADDR_CID_ANY, there is nowhere to connect to.
        return contextId is { } context and not uint.MaxValue && port is { } known ? new(context, known) : null;

        static uint? Number(string digits)
        {
            var isHexadecimal = digits.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
            return uint.TryParse(
                isHexadecimal ? digits[2..] : digits, isHexadecimal ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out var number)
                ? number : null;
        }
    }
}

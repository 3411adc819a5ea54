using System.Text;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.P11Kit;

/// <summary>What a module's file may say, so that p11-kit reads back exactly that.</summary>
static class ModuleRules
{
    const int MaxFileName = 255;

    internal static void Check(Pkcs11ModuleSpec spec)
    {
        CheckName(spec.Name);
        CheckValue(spec.Path, "Path");
        CheckValue(spec.Remote, "Remote");
        foreach (var program in (spec.EnableIn ?? []).Concat(spec.DisableIn ?? []))
        {
            CheckValue(program, "EnableIn and -DisableIn");
            if (program.Length == 0 || program.AsSpan().IndexOfAny(", \t") >= 0)
                throw Invalid($"'{program}' is no name of a program: p11-kit takes blanks and commas for the end of a name.", "Give the last part of what the program is started as.", program);
        }

        switch (spec.Remote is null ? null : RemoteAddress.Parse(spec.Remote))
        {
            case null when spec.Remote is not null:
                throw Invalid(
                    $"-Remote '{spec.Remote}' is no address that p11-kit can use.", "It is 'unix:path=/PATH', '|COMMAND' or 'vsock:cid=N;port=N'.", spec.Remote);
            case RemoteAddress.UnixSocket socket:
                UnixSocketConnector.RequireUsable(socket.Path);
                break;
        }
    }

    internal static void CheckName(string name)
    {
        if (!ModuleConfiguration.IsName(name) || name.Length + ModuleConfiguration.Ending.Length > MaxFileName)
            throw Invalid(
                $"A module cannot be called '{Printable(name)}'.",
                $"p11-kit takes a letter or digit of ASCII, then also '_', '-' and '.', at most {MaxFileName - ModuleConfiguration.Ending.Length} in all.", name);
    }

    // p11-kit trims blanks at both ends, ends a value with its line, and reads no further than a NUL.
    static void CheckValue(string? value, string parameter)
    {
        if (string.IsNullOrEmpty(value))
            return;
        var isTrimmed = ConfigurationFile.Blanks.Contains(value[0], StringComparison.Ordinal) || ConfigurationFile.Blanks.Contains(value[^1], StringComparison.Ordinal);
        if (isTrimmed || value.AsSpan().IndexOfAny("\n\0") >= 0 || !IsUnicode(value))
            throw Invalid(
                $"p11-kit would not read -{parameter} '{Printable(value)}' back as it is: it has {(isTrimmed ? "a blank at its beginning or end" : "a line's end, a NUL or half a character")}.",
                "Move the file to a path without them, or make a link to it.", value);
    }

    static bool IsUnicode(string value)
    {
        try
        {
            new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetByteCount(value);
            return true;
        }
        catch (EncoderFallbackException)
        {
            return false;
        }
    }

    static string Printable(string value) => string.Concat(value.Select(c => char.IsControl(c) || char.IsSurrogate(c) ? '?' : c));

    static HsmRemoteException Invalid(string message, string remedy, string target) =>
        new("ModuleValueInvalid", FailureKind.InvalidArgument, message, remedy, target);
}

using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Containers;

/// <summary>What is missing for a file to say what a container needs.</summary>
static class ContainerPlanner
{
    const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    const UnixFileMode Readable = OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    /// <summary>A file that is written as a whole, and that is nobody else's.</summary>
    internal static IChangePlan Whole(string name, string path, string text)
    {
        var before = Read(path);
        if (before is not null && Text(before) is var there && there.Length > 0 && !FileMark.IsOn(there) && !string.Equals(there, text, StringComparison.Ordinal))
        {
            throw new HsmRemoteException(
                "FileNotOurs", FailureKind.Exists, $"{path} is there, and HsmRemote did not write it, so that it is not replaced.", "Give another -Path, or remove the file.", path);
        }

        return Plan(name, [Ensure(path, before, Encoding.UTF8.GetBytes(text))]);
    }

    internal static IChangePlan Compose(P11ContainerConfig config, string service, string path, PinBytes? pin, bool asSecret)
    {
        var before = Read(path);
        // docker-compose takes a byte order mark, which is no part of the YAML, and stays.
        var mark = before is not null && before.Content.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
        var text = before is null ? "" : Utf8(before.Content.AsSpan(mark), path);
        var pinFile = PinFile(path);
        var merged = ComposeMerge.Apply(
            path, text, service, ComposeService.Settings(config, asSecret),
            asSecret ? ComposeService.Secrets($"./{Path.GetFileName(pinFile)}") : [], config.SocketPath);
        return Plan(config.Name, [WritePin(pinFile, pin, config), Ensure(path, before, [.. Encoding.UTF8.Preamble[..mark], .. Encoding.UTF8.GetBytes(merged)])]);
    }

    internal static IChangePlan Env(P11ContainerConfig config, IReadOnlyList<KeyValuePair<string, string>> variables, string path, PinBytes? pin, bool asSecret)
    {
        var before = Read(path);
        var content = DotEnvFile.Write(before?.Content ?? [], variables, asSecret ? null : pin, withoutPin: asSecret);
        var hasPin = DotEnvFile.HasPin(content);
        // Whose PIN it is may have changed and nothing else: the mask alone would show no difference.
        string Show(FileImage image) => DotEnvFile.Mask(
            image.Content, ReferenceEquals(image.Content, content) && before is not null && DotEnvFile.HasPin(before.Content) && pin is not null ? "(not shown; it may be another one)" : "(not shown)");
        return Plan(
            config.Name,
            [
                asSecret ? WritePin(PinFile(path), pin, config) : null,
                Ensure(path, before, content, hasPin ? OwnerOnly : Readable, hasPin || (before is not null && DotEnvFile.HasPin(before.Content)) ? Show : null),
            ],
            content);
    }

    // Beside the compose file, which names it relative to itself.
    static string PinFile(string path) => Path.Combine(Path.GetDirectoryName(path)!, ComposeService.PinSecret);

    /// <summary>The PIN alone, for the container's user: an engine mounts a secret's file with the owner and mode that it has.</summary>
    static WriteFileStep? WritePin(string path, PinBytes? pin, P11ContainerConfig config)
    {
        if (pin is null)
            return null;
        var before = Read(path);
        var user = ContainerUser.Parse(config.User);
        var isRoot = Accounts.geteuid() == 0;
        var after = new FileImage(
            [.. pin.Span], OwnerOnly,
            isRoot && user.Id is { } id ? id : Accounts.geteuid(), isRoot && user.GroupId is { } group ? group : Accounts.getegid());
        if (after.IsSame(before))
            return null;
        return new WriteFileStep(path, before, after, image => ReferenceEquals(image, after) ? "(a PIN, which is not shown)" : "(what was there)");
    }

    static WriteFileStep? Ensure(string path, FileImage? before, byte[] content, UnixFileMode most = Readable, Func<FileImage, string>? show = null)
    {
        var after = before is null
            ? new FileImage(content, most, Accounts.geteuid(), Accounts.getegid())
            : before with { Content = content, Mode = most == OwnerOnly ? before.Mode & OwnerOnly : before.Mode };
        return after.IsSame(before) ? null : new WriteFileStep(path, before, after, show);
    }

    static ChangePlan Plan(string name, PlanStep?[] steps, byte[]? secret = null) => new(name, [.. steps.OfType<PlanStep>()], new Eraser(secret ?? []));

    static FileImage? Read(string path)
    {
        try
        {
            return AtomicFile.Read(path);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new HsmRemoteException(
                "ContainerFileUnreadable", FailureKind.PermissionDenied, $"{path} is there, and may not be read, so that it cannot be changed.", "Run it as the file's owner, or as root.", path, e);
        }
    }

    static string Utf8(ReadOnlySpan<byte> content, string path)
    {
        try
        {
            return new UTF8Encoding(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true).GetString(content);
        }
        catch (DecoderFallbackException e)
        {
            throw new HsmRemoteException(
                "ComposeFileUnreadable", FailureKind.InvalidData, $"{path} is not in UTF-8, as YAML has to be, so that it is not changed.",
                $"Change its encoding: `iconv -f ISO-8859-1 -t UTF-8`, where ISO-8859-1 is what it is in.", path, e);
        }
    }

    static string Text(FileImage image) => Encoding.UTF8.GetString(image.Content);

    /// <summary>Clears what held a PIN when the plan is done with.</summary>
    sealed class Eraser(byte[] secret) : IDisposable
    {
        public void Dispose() => CryptographicOperations.ZeroMemory(secret);
    }
}

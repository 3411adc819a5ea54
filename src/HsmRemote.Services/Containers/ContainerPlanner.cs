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

    internal static IChangePlan Compose(
        P11ContainerConfig config, ContainerUser user, string service, string path, PinBytes? pin, bool asSecret, IReporter reporter)
    {
        var before = Read(path);
        var (mark, text) = before is null ? (0, "") : Yaml(before, path);
        // Without a PIN to write, a secret that the file has already is the one that counts, wherever it is from.
        string? pinFile = PinFile(path);
        var isThere = asSecret && pin is null && ComposeMerge.HasSecret(path, text, out pinFile);
        var merged = ComposeMerge.Apply(
            path, text, service, ComposeService.Settings(config, asSecret),
            asSecret && !isThere ? ComposeService.Secrets($"./{ComposeService.PinSecret}") : [], config.SocketPath);
        var writePin = asSecret && pinFile is not null ? WritePin(pinFile, pin, HostUser(config, user), user, reporter) : null;
        return Plan(config.Name, [writePin, Ensure(path, before, [.. Encoding.UTF8.Preamble[..mark], .. Encoding.UTF8.GetBytes(merged)])]);
    }

    internal static IChangePlan Env(
        P11ContainerConfig config, ContainerUser user, IReadOnlyList<KeyValuePair<string, string>> variables, string path, PinBytes? pin, bool asSecret, IReporter reporter)
    {
        var before = Read(path);
        using var moved = asSecret && pin is null && before is not null ? MovedPin(before, path) : null;
        var content = DotEnvFile.Write(before?.Content ?? [], variables, asSecret ? null : pin, withoutPin: asSecret);
        var hasPin = DotEnvFile.HasPin(content);
        // Whose PIN it is may have changed and nothing else: the mask alone would show no difference.
        string Show(FileImage image) => DotEnvFile.Mask(
            image.Content, ReferenceEquals(image.Content, content) && before is not null && DotEnvFile.HasPin(before.Content) && pin is not null ? "(not shown; it may be another one)" : "(not shown)");
        return Plan(
            config.Name,
            [
                asSecret ? WritePin(PinFile(path), pin ?? moved, Accounts.geteuid() is var id and not 0 ? id : user.Id, user, reporter) : null,
                Ensure(path, before, content, hasPin ? OwnerOnly : Readable, hasPin || (before is not null && DotEnvFile.HasPin(before.Content)) ? Show : null),
            ],
            content);
    }

    // Beside the compose file, which names it relative to itself.
    static string PinFile(string path) => Path.Combine(Path.GetDirectoryName(path)!, ComposeService.PinSecret);

    /// <summary>The PIN that an .env file has and is to lose, or null: none, or the secret's file has it already.</summary>
    static PinBytes? MovedPin(FileImage env, string path)
    {
        var pin = DotEnvFile.PinOf(env.Content);
        if (pin is null || Read(PinFile(path)) is not { } there)
            return pin;
        var isSame = pin.Span.SequenceEqual(there.Content.AsSpan().TrimEnd("\r\n"u8));
        pin.Dispose();
        return isSame ? null : throw new HsmRemoteException(
            "PinAmbiguous", FailureKind.InvalidOperation, $"{path} has a PIN, and {PinFile(path)} another, so that one of them would be lost.",
            "Say which it is, with -Pin or -PinPath.", path);
    }

    /// <summary>Whom the host takes the container's user for, as far as that is known here.</summary>
    static uint? HostUser(P11ContainerConfig config, ContainerUser user) =>
        !config.Rootless ? user.Id : user.IsRoot || config.UserNamespace is not null ? Accounts.geteuid() : null;

    /// <summary>The PIN alone, for the container's user: an engine mounts a secret's file with the owner and mode that it has.</summary>
    static WriteFileStep? WritePin(string path, PinBytes? pin, uint? hostUser, ContainerUser user, IReporter reporter)
    {
        var before = Read(path);
        if (pin is null && before is null)
        {
            reporter.Warning($"There is no PIN in {path} yet, and without that file the container does not start. Give the PIN with -Pin or -PinPath.");
            return null;
        }

        var isRoot = Accounts.geteuid() == 0;
        // Whose it is stays, unless a user is given; only root gives files away.
        var after = pin is null ? before! : new FileImage(
            [.. pin.Span], OwnerOnly,
            isRoot ? hostUser ?? before?.UserId ?? 0 : Accounts.geteuid(),
            isRoot ? (hostUser is null ? before?.GroupId : user.GroupId) ?? 0 : Accounts.getegid());
        if (after.UserId != hostUser && (!user.IsImages || before is null) && (after.Mode & UnixFileMode.OtherRead) == UnixFileMode.None)
        {
            reporter.Warning(
                $"{path} is for the user {after.UserId} of the host alone, and the container's user ({user.Text ?? "the image's own"}) "
                + (hostUser is null ? "may be another there, who cannot read it. " : "is another, who cannot read it. ")
                + "Give the container's user by number, with -Uid, as root; in a rootless engine, that is 0.");
        }

        return after.IsSame(before)
            ? null
            : new WriteFileStep(path, before, after, image => ReferenceEquals(image, after) ? "(a PIN, which is not shown)" : "(what was there)");
    }

    static WriteFileStep? Ensure(string path, FileImage? before, byte[] content, UnixFileMode most = Readable, Func<FileImage, string>? show = null)
    {
        var after = before is null
            ? new FileImage(content, most, Accounts.geteuid(), Accounts.getegid())
            : before with { Content = content, Mode = most == OwnerOnly ? before.Mode & OwnerOnly : before.Mode };
        return after.IsSame(before) ? null : new WriteFileStep(path, before, after, show);
    }

    static ChangePlan Plan(string name, PlanStep?[] steps, byte[]? secret = null) => new(name, [.. steps.OfType<PlanStep>()], new Eraser(secret ?? []));

    /// <summary>The text of a compose file, or null when it is not there.</summary>
    /// <exception cref="HsmRemoteException">It is a directory, may not be read, or is not in UTF-8.</exception>
    internal static string? ComposeText(string path) => Read(path) is { } file ? Yaml(file, path).Text : null;

    // docker-compose takes a byte order mark, which is no part of the YAML, and stays.
    static (int Mark, string Text) Yaml(FileImage file, string path)
    {
        var mark = file.Content.AsSpan().StartsWith(Encoding.UTF8.Preamble) ? Encoding.UTF8.Preamble.Length : 0;
        return (mark, Utf8(file.Content.AsSpan(mark), path));
    }

    static FileImage? Read(string path)
    {
        if (Directory.Exists(path))
        {
            throw new HsmRemoteException(
                "PathUnusable", FailureKind.InvalidArgument, $"What a container needs cannot be written to {path}: it is a directory.", "Give -Path a file in it.", path);
        }

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

using System.Text;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.Server;

/// <summary>The configuration file of an instance, and the target in it.</summary>
sealed class TargetFile : ITargetPlace
{
    /// <summary>What tells our file from another's.</summary>
    internal const string Mark = "# Set-P11TargetUri writes it";

    readonly string instance;
    readonly string variable;
    readonly FileImage? image;
    readonly FileImage? model;
    readonly EnvironmentFile environment;

    TargetFile(string instance, string path, string variable, FileImage? image, FileImage? model)
    {
        this.instance = instance;
        this.variable = variable;
        Path = path;
        this.image = image;
        this.model = image ?? model;
        environment = EnvironmentFile.Parse(this.model is { } read ? Encoding.UTF8.GetString(read.Content) : "");
    }

    internal string Path { get; }

    internal bool Exists => image is not null;

    /// <summary>The variables that it sets, in their order.</summary>
    internal IEnumerable<(string Name, string Value)> Assignments => environment.Assignments;

    /// <summary>The names of the variables that are not the target's.</summary>
    internal IReadOnlyList<string> OtherVariables =>
        [.. Assignments.Select(a => a.Name).Where(name => !string.Equals(name, variable, StringComparison.Ordinal)).Distinct(StringComparer.Ordinal)];

    /// <summary>The target's URIs as they are written, which unbraced expansion separates by white space.</summary>
    IEnumerable<string> Words =>
        (environment[variable] ?? "").Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries);

    /// <param name="instance">The instance.</param>
    /// <param name="path">The file.</param>
    /// <param name="variable">The variable that holds the target.</param>
    /// <param name="former">Where the file is so far, of an instance that gets another name.</param>
    /// <exception cref="HsmRemoteException">The caller may not read it.</exception>
    internal static TargetFile Read(string instance, string path, string variable = InstanceLayout.TargetVariable, string? former = null)
    {
        try
        {
            return new(instance, path, variable, AtomicFile.Read(path), former is null ? null : AtomicFile.Read(former));
        }
        catch (UnauthorizedAccessException e)
        {
            throw new HsmRemoteException(
                "ConfigUnreadable", FailureKind.PermissionDenied, $"The target of '{instance}' is not known: {path} may not be read.",
                "Run it as root, for example with sudo.", path, e);
        }
    }

    /// <exception cref="HsmRemoteException">One of them is no PKCS #11 URI.</exception>
    public IReadOnlyList<Pkcs11Uri> Uris() => [.. Words.Select(word =>
        Pkcs11Uri.TryParse(word, out var uri, out var error) ? uri : throw Malformed(error))];

    public bool IsCoveredBy(IReadOnlyList<Pkcs11Uri> target) =>
        Words.All(word => Pkcs11Uri.TryParse(word, out var old, out _) && target.Any(uri => uri.Covers(old)));

    public IReadOnlyList<PlanStep> Steps(IReadOnlyList<Pkcs11Uri> target, P11KitServerScope scope) => Retarget(target, scope) is { } step ? [step] : [];

    /// <summary>The step that makes the file as it was where it was so far; null when it is there, or nowhere.</summary>
    internal PlanStep? Copy() => image is null && model is not null ? new WriteFileStep(Path, null, model) : null;

    /// <summary>The step that makes this the target, or null when it is. Comments and other variables stay.</summary>
    /// <exception cref="HsmRemoteException">What the file says depends on systemd's version.</exception>
    internal PlanStep? Retarget(IReadOnlyList<Pkcs11Uri> target, P11KitServerScope scope = P11KitServerScope.System)
    {
        var wanted = string.Join(' ', target);
        if (image is not null && string.Equals(environment[variable] ?? "", wanted, StringComparison.Ordinal))
            return null;
        if (environment.IsAmbiguous)
        {
            throw new HsmRemoteException(
                "ConfigAmbiguous", FailureKind.InvalidData,
                $"{Path} has a comment that ends in a backslash: up to systemd 253 it goes on in the next line, from 254 on it does not.",
                "Remove the backslash and run the command again.", Path);
        }

        var before = model is null
            ? EnvironmentFile.Parse(
                "# The tokens that this instance exposes: PKCS #11 URIs, separated by spaces. None: nothing is exposed.\n"
                + $"{Mark}, and checks what it writes.\n")
            : environment;
        var after = FileImage.Ours(before.With(variable, wanted).ToString(), scope);
        return new WriteFileStep(Path, image, model is null ? after : model.With(after.Content));
    }

    HsmRemoteException Malformed(string error) => new(
        "TargetUriMalformed", FailureKind.InvalidData, $"{variable} in {Path} has a word that is no PKCS #11 URI. {error}",
        $"Set the target anew: Get-Pkcs11Token -Label LABEL | Set-P11TargetUri -Name {instance}.", Path);
}

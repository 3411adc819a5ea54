namespace HsmRemote;

/// <summary>A PKCS #11 module in p11-kit's configuration.</summary>
public sealed class Pkcs11Module
{
    /// <summary>The name of its file, without <c>.module</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Its library, absolute, whether it is there or not; null when it is remote or switched off.</summary>
    public string? Path { get; init; }

    /// <summary>Where it is reached (<c>remote:</c>): <c>|COMMAND</c>, <c>unix:path=/PATH</c> or <c>vsock:cid=N;port=N</c>; null when it is a library.</summary>
    public string? Remote { get; init; }

    /// <summary>The files that configure it, the one that counts most first: the caller's own, the administrator's, the package's.</summary>
    public required IReadOnlyList<string> ConfigPath { get; init; }

    /// <summary>The keys of those files, merged, as pkcs11.conf(5) has them.</summary>
    public required IReadOnlyDictionary<string, string> Options { get; init; }

    /// <summary>Which come first: the higher. 0 where no file says anything.</summary>
    public required int Priority { get; init; }

    /// <summary>Whether p11-kit loads no module at all when this one fails.</summary>
    public required bool Critical { get; init; }

    /// <summary>Whether p11-kit uses it in the program that was asked for.</summary>
    public bool Used => Reason is null;

    /// <summary>Why p11-kit does not use it; null when it does.</summary>
    public string? Reason { get; init; }

    /// <summary>Whether it could be loaded and initialised; null when that was not tried.</summary>
    public bool? Loads { get; init; }

    /// <summary>Why it could not be loaded; null when it could, or that was not tried.</summary>
    public string? Failure { get; init; }

    /// <summary>What the library calls itself: CK_INFO.libraryDescription. Null when it was not loaded.</summary>
    public string? LibraryDescription { get; init; }

    /// <summary>Who made the library: CK_INFO.manufacturerID. Null when it was not loaded.</summary>
    public string? LibraryManufacturer { get; init; }

    /// <summary>CK_INFO.libraryVersion. Null when it was not loaded.</summary>
    public Version? LibraryVersion { get; init; }

    /// <summary>The version of PKCS #11 that the library speaks: CK_INFO.cryptokiVersion. Null when it was not loaded.</summary>
    public Version? CryptokiVersion { get; init; }

    /// <summary>The tokens that are present, those that are not initialised too; null when the module was not loaded.</summary>
    public IReadOnlyList<Pkcs11Token>? Tokens { get; init; }

    /// <inheritdoc/>
    public override string ToString() => Name;
}

/// <summary>How modules are looked at.</summary>
public sealed record Pkcs11ModuleQuery
{
    /// <summary>The program for which it is asked what p11-kit uses, by the last part of what it is started as; null: this one.</summary>
    public string? Program { get; init; }

    /// <summary>Only the files are read, and no module is loaded.</summary>
    public bool ConfigurationOnly { get; init; }

    /// <summary>Each module in a process of its own.</summary>
    public bool Isolated { get; init; }

    /// <summary>How long all of it may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The environment for the modules.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);
}

/// <summary>Whose configuration a module is in.</summary>
public enum Pkcs11ModuleScope
{
    /// <summary>The host's: /etc/pkcs11/modules.</summary>
    System,

    /// <summary>The caller's own: ~/.config/pkcs11/modules. p11-kit passes over root's.</summary>
    User,
}

/// <summary>How a module is to be configured. What is null stays as it is.</summary>
public sealed record Pkcs11ModuleSpec
{
    /// <summary>The name of its file, without <c>.module</c>.</summary>
    public required string Name { get; init; }

    /// <summary>Whose configuration it goes into.</summary>
    public required Pkcs11ModuleScope Scope { get; init; }

    /// <summary>Its library: a path, or a name that is looked for where modules are. Empty: the module is switched off.</summary>
    public string? Path { get; init; }

    /// <summary>Where it is reached instead.</summary>
    public string? Remote { get; init; }

    /// <summary>Which come first: the higher.</summary>
    public int? Priority { get; init; }

    /// <summary>Whether p11-kit loads no module at all when this one fails.</summary>
    public bool? Critical { get; init; }

    /// <summary>Whether it is a source of trusted certificates.</summary>
    public bool? TrustPolicy { get; init; }

    /// <summary>The only programs that get it; empty: all.</summary>
    public IReadOnlyList<string>? EnableIn { get; init; }

    /// <summary>The programs that do not get it; empty: none.</summary>
    public IReadOnlyList<string>? DisableIn { get; init; }

    /// <summary>Written even when the library is not there or does not load.</summary>
    public bool Force { get; init; }
}

/// <summary>Modules in p11-kit's configuration, pkcs11.conf(5).</summary>
public interface IPkcs11ModuleService
{
    /// <summary>Every module that is configured, in p11-kit's order. Those that p11-kit uses are loaded to see what they say.</summary>
    Task<IReadOnlyList<Pkcs11Module>> GetAsync(Pkcs11ModuleQuery query, Func<string, bool> isWanted, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What is missing for a module to be configured so.</summary>
    /// <exception cref="HsmRemoteException">It cannot be: a value that p11-kit would not read back, a library that is not there or does not load.</exception>
    Task<IChangePlan> PlanRegisterAsync(Pkcs11ModuleSpec spec, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What has to go for a module not to be configured there.</summary>
    /// <exception cref="HsmRemoteException">A package brought its file.</exception>
    Task<IChangePlan> PlanUnregisterAsync(string name, Pkcs11ModuleScope scope, IReporter reporter, CancellationToken cancellationToken);
}

using System.Globalization;
using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;
using HsmRemote.Services.Pkcs11;
using HsmRemote.Services.Server;
using HsmRemote.Services.Sockets;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Services.P11Kit;

/// <summary>What has to be written, or removed, for a module to be configured, or not. The package manager's directory is never touched.</summary>
static class ModulePlanner
{
    // What enable-in and disable-in call the processes that serve connections.
    static readonly string[] Servers = [ClientLoop.RemoteCommand, ClientLoop.ServerChild];

    // A module that is only asked whether it is one.
    static readonly TimeSpan LoadTime = TimeSpan.FromSeconds(10);

    internal static async Task<IChangePlan> RegisterAsync(Pkcs11ModuleSpec spec, IReporter reporter, CancellationToken cancellationToken)
    {
        ModuleRules.Check(spec);
        var file = FileOf(spec.Name, spec.Scope);
        var before = Read(file);
        var text = before is null ? "# See pkcs11.conf(5).\n" : Encoding.UTF8.GetString(before.Content);
        var library = spec.Path is { Length: > 0 } path ? FindLibrary(path, spec.Force) : spec.Path;
        var after = ConfigurationFile.With(text, Changes(spec, library));

        var effective = Effective(spec, file, after);
        if (library is { Length: > 0 } && !spec.Force)
            await RequireModuleAsync(effective with { NotUsed = null }, reporter, cancellationToken);
        WarnOfLoops(effective, reporter);
        if (spec.Scope == Pkcs11ModuleScope.User)
            CheckUserScope(reporter);

        List<PlanStep> steps = [];
        if (before is null || !string.Equals(text, after, StringComparison.Ordinal))
        {
            steps.AddRange(MissingDirectories(Path.GetDirectoryName(file)!).Select(directory => new CreateDirectoryStep(directory)));
            var image = FileImage.Ours(after) with { UserId = Accounts.geteuid(), GroupId = Accounts.getegid() };
            steps.Add(new WriteFileStep(file, before, before is null ? image : before with { Content = image.Content }));
        }

        return new ChangePlan(spec.Name, steps, new Nothing());
    }

    internal static async Task<IChangePlan> UnregisterAsync(string name, Pkcs11ModuleScope scope, IReporter reporter, CancellationToken cancellationToken)
    {
        ModuleRules.CheckName(name);
        var file = FileOf(name, scope);
        var packaged = Path.Combine(ModuleConfiguration.PackageDirectory, name + ModuleConfiguration.Ending);
        if (!File.Exists(file))
        {
            return File.Exists(packaged)
                ? throw OfPackage(name, packaged, await PackageOwner.OfAsync(packaged, cancellationToken))
                : new ChangePlan(name, [], new Nothing());
        }

        if (await PackageOwner.OfAsync(file, cancellationToken) is { } package)
            throw OfPackage(name, file, package);
        if (File.Exists(packaged))
            reporter.Warning($"'{name}' goes on as its package has it: {packaged} counts again.");
        return new ChangePlan(name, [new RemoveFileStep(file)], new Nothing());
    }

    static HsmRemoteException OfPackage(string name, string file, string? package) => new(
        "ModuleOfPackage", FailureKind.InvalidOperation,
        $"The module '{name}' is configured by {file}, which {(package is null ? "is in the package manager's directory" : $"belongs to the package {package}")}, so it is left alone.",
        $"Switch the module off instead, which the host's own file does: Register-Pkcs11Module -Name {name} -Disabled. Or remove the package.", name);

    static string FileOf(string name, Pkcs11ModuleScope scope) => Path.Combine(
        scope == Pkcs11ModuleScope.System ? ModuleConfiguration.SystemDirectory : ModuleConfiguration.UserDirectory, name + ModuleConfiguration.Ending);

    static FileImage? Read(string file)
    {
        try
        {
            var image = AtomicFile.Read(file);
            if (image is not null)
                ConfigurationFile.Parse(Encoding.UTF8.GetString(image.Content));
            return image;
        }
        catch (Exception e) when (e is InvalidDataException or UnauthorizedAccessException)
        {
            throw ModuleConfiguration.Malformed(file, e.Message.TrimEnd('.'), e);
        }
    }

    /// <summary>The keys that the file has to have, or with null not to have. What was not asked for stays.</summary>
    static List<KeyValuePair<string, string?>> Changes(Pkcs11ModuleSpec spec, string? library)
    {
        List<KeyValuePair<string, string?>> changes = [];
        // 'remote' counts before 'module': one of them goes.
        if (library is not null)
        {
            Add("module", library);
            Add("remote", null);
        }

        if (spec.Remote is not null)
        {
            Add("remote", spec.Remote);
            Add("module", null);
        }

        if (spec.Priority is { } priority)
            Add("priority", priority == 0 ? null : priority.ToString(CultureInfo.InvariantCulture));
        AddBoolean("critical", spec.Critical);
        AddBoolean("trust-policy", spec.TrustPolicy);
        AddPrograms("enable-in", spec.EnableIn);
        AddPrograms("disable-in", spec.DisableIn);
        return changes;

        void Add(string key, string? value) => changes.Add(new(key, value));

        void AddBoolean(string key, bool? value)
        {
            if (value is { } known)
                Add(key, known ? "yes" : "no");
        }

        void AddPrograms(string key, IReadOnlyList<string>? programs)
        {
            if (programs is not null)
                Add(key, programs.Count == 0 ? null : string.Join(", ", programs));
        }
    }

    static string FindLibrary(string path, bool force)
    {
        if (path.Contains('/', StringComparison.Ordinal))
        {
            return force || File.Exists(path)
                ? path
                : throw NotThere($"There is no library {path}.", "Install its package, or give -Force to register it all the same.");
        }

        return LibraryDirectories.Find(path) ?? throw NotThere(
            $"There is no library '{path}' where modules are: {string.Join(", ", LibraryDirectories.Searched.Where(Directory.Exists))}.",
            "Install its package, or give its path.");

        HsmRemoteException NotThere(string message, string remedy) => new("ModuleLibraryNotFound", FailureKind.NotFound, message, remedy, path);
    }

    /// <summary>The module as p11-kit will have it, with what its other files say.</summary>
    static ModuleEntry Effective(Pkcs11ModuleSpec spec, string file, string text)
    {
        Dictionary<string, string> options = new(ConfigurationFile.Parse(text), StringComparer.Ordinal);
        foreach (var other in ModuleConfiguration.Below(spec.Scope).Select(directory => Path.Combine(directory, Path.GetFileName(file))).Where(File.Exists))
        {
            foreach (var (key, value) in ConfigurationFile.Read(other))
                options.TryAdd(key, value);
            if (options.ContainsKey("remote") && spec.Path is not null)
            {
                throw new HsmRemoteException(
                    "ModuleOfPackage", FailureKind.InvalidOperation, $"{other} has 'remote:', which counts before any 'module:'.",
                    "Register the library under another name.", spec.Name);
            }
        }

        return new ModuleEntry(spec.Name, [file], options);
    }

    static async Task RequireModuleAsync(ModuleEntry module, IReporter reporter, CancellationToken cancellationToken)
    {
        using var step = new Step(reporter, $"Load {module.Path} in a process of its own") { Outcome = "failed" };
        var reading = (await new ModuleReader(isolated: true, LoadTime, new NoReporter()).ReadAsync([module], cancellationToken))[0];
        if (reading.Failure is { } failure)
        {
            throw new HsmRemoteException(
                "ModuleDoesNotLoad", failure.Kind, failure.Failure, "Mend what the message names, or give -Force to register it all the same.", module.Path, failure);
        }

        step.Outcome = $"{RawTokenInfo.Text(reading.Contents!.Info.LibraryDescription)}, tokens: {reading.Contents.Tokens.Count}";
    }

    /// <summary>A server's process reads the same configuration: a module that leads to its socket makes it its own client.</summary>
    static void WarnOfLoops(ModuleEntry module, IReporter reporter)
    {
        if (module.Remote is null && Path.GetFileName(module.Path) is not ClientLoop.Client)
            return;
        try
        {
            using var systemd = new SystemdManager();
            foreach (var server in ServerInventory.List(systemd, new NoReporter()))
            {
                if (ModuleConfiguration.WhyNotUsed(module, ClientLoop.ProgramOf(server), []) is not null
                    || ClientLoop.Of(module, server, ServerInventory.LoadService(systemd, server.ServiceUnit)) is not { } loop)
                    continue;
                reporter.Warning(
                    $"The p11-kit server '{server.Name}' would load '{module.Name}' too, {loop.How}: each connection would make another one, without end. "
                    + $"Keep the module out of servers: -DisableIn {string.Join(", ", Servers)}.");
            }
        }
        catch (HsmRemoteException e)
        {
            reporter.Verbose($"Whether a server would become its own client is not known: {e.Failure}");
        }
    }

    static void CheckUserScope(IReporter reporter)
    {
        if (Accounts.geteuid() == 0)
        {
            throw new HsmRemoteException(
                "ModuleScopeUnused", FailureKind.InvalidArgument, "p11-kit passes over root's own configuration, so a module there would never be used.",
                "Leave -Scope out, or give -Scope System.", "User");
        }

        if (ModuleConfiguration.Mode(reporter) == ModuleConfiguration.UserMode.None)
            reporter.Warning("p11-kit passes over users' own configuration here ('user-config: none' in pkcs11.conf): the module will not be used.");
    }

    static Stack<string> MissingDirectories(string directory)
    {
        Stack<string> missing = [];
        for (var at = directory; !Directory.Exists(at); at = Path.GetDirectoryName(at)!)
            missing.Push(at);
        return missing;
    }

    sealed class Nothing : IDisposable
    {
        public void Dispose()
        {
        }
    }
}

using HsmRemote.Services.Native;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.P11Kit;

/// <summary>Modules in p11-kit's configuration: what is there, and the plans that change it.</summary>
sealed class ModuleService : IPkcs11ModuleService
{
    public async Task<IReadOnlyList<Pkcs11Module>> GetAsync(
        Pkcs11ModuleQuery query, Func<string, bool> isWanted, IReporter reporter, CancellationToken cancellationToken)
    {
        ProcessEnvironment.PassOn(query.Environment);
        var entries = ModuleConfiguration.ReadAll(query.Program ?? ModuleConfiguration.ThisProgram(), reporter).Where(entry => isWanted(entry.Name)).ToList();
        // What is switched off has been for a reason, and stays alone.
        var loaded = query.ConfigurationOnly ? [] : entries.Where(entry => entry.NotUsed is null).ToList();
        var readings = (await new ModuleReader(query.Isolated, query.Timeout, reporter).ReadAsync(loaded, cancellationToken))
            .ToDictionary(reading => reading.Module.Name, StringComparer.Ordinal);
        return [.. entries.Select(entry => ToModule(entry, readings.GetValueOrDefault(entry.Name)))];
    }

    public Task<IChangePlan> PlanRegisterAsync(Pkcs11ModuleSpec spec, IReporter reporter, CancellationToken cancellationToken) =>
        ModulePlanner.RegisterAsync(spec, reporter, cancellationToken);

    public Task<IChangePlan> PlanUnregisterAsync(string name, Pkcs11ModuleScope scope, IReporter reporter, CancellationToken cancellationToken) =>
        ModulePlanner.UnregisterAsync(name, scope, reporter, cancellationToken);

    static Pkcs11Module ToModule(ModuleEntry entry, ModuleReading? reading)
    {
        var info = reading?.Contents?.Info;
        return new Pkcs11Module
        {
            Name = entry.Name,
            Path = entry.Path,
            Remote = entry.Remote,
            ConfigPath = entry.Files,
            Options = entry.Options,
            Priority = entry.Priority,
            Critical = entry.IsCritical,
            Reason = entry.NotUsed,
            Loads = reading is null ? null : info is not null,
            Failure = reading?.Failure?.Failure,
            LibraryDescription = info is null ? null : RawTokenInfo.Text(info.LibraryDescription),
            LibraryManufacturer = info is null ? null : RawTokenInfo.Text(info.Manufacturer),
            LibraryVersion = info?.LibraryVersion,
            CryptokiVersion = info?.CryptokiVersion,
            Tokens = reading?.Contents?.Tokens,
        };
    }
}

using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Configures p11-kit with a PKCS #11 module, or brings one to what is asked for.</summary>
[Cmdlet(VerbsLifecycle.Register, "Pkcs11Module", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium, DefaultParameterSetName = PathSet)]
[OutputType(typeof(P11ChangeResult))]
public sealed class RegisterPkcs11ModuleCommand : ModuleChangeCommand
{
    const string PathSet = "Path";
    const string RemoteSet = "Remote";
    const string DisabledSet = "Disabled";

    /// <summary>The module's name: of its file, without '.module'. Letters, digits, '_', '-' and '.'.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ModuleNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "";

    /// <summary>Its library: a path, or a name such as 'opensc-pkcs11.so', which is looked for where modules are.</summary>
    [Parameter(Mandatory = true, Position = 1, ParameterSetName = PathSet, ValueFromPipelineByPropertyName = true)]
    [ValidateNotNullOrEmpty]
    public string Path { get; set; } = "";

    /// <summary>Where it is reached instead: 'unix:path=/PATH', '|COMMAND' or 'vsock:cid=N;port=N'.</summary>
    [Parameter(Mandatory = true, ParameterSetName = RemoteSet)]
    [ValidateNotNullOrEmpty]
    public string Remote { get; set; } = "";

    /// <summary>Switches the module off, that of a package too.</summary>
    [Parameter(Mandatory = true, ParameterSetName = DisabledSet)]
    public SwitchParameter Disabled { get; set; }

    /// <summary>Which modules come first: the higher. By default 0.</summary>
    [Parameter]
    public int? Priority { get; set; }

    /// <summary>p11-kit loads no module at all when this one fails. With $false, it does.</summary>
    [Parameter]
    public SwitchParameter Critical { get; set; }

    /// <summary>The module is a source of trusted certificates.</summary>
    [Parameter]
    public SwitchParameter TrustPolicy { get; set; }

    /// <summary>The only programs that get it, by the last part of what they are started as. An empty array: all.</summary>
    [Parameter]
    [AllowEmptyCollection]
    public string[]? EnableIn { get; set; }

    /// <summary>The programs that do not get it. An empty array: none.</summary>
    [Parameter]
    [AllowEmptyCollection]
    public string[]? DisableIn { get; set; }

    /// <summary>Registers a library that is not there, or does not load, all the same.</summary>
    [Parameter(ParameterSetName = PathSet)]
    public SwitchParameter Force { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        var spec = new Pkcs11ModuleSpec
        {
            Name = Name,
            Scope = ScopeOrOwn,
            Path = ParameterSetName switch
            {
                DisabledSet => "",
                PathSet => Path.Contains('/', StringComparison.Ordinal) ? Resolve(Path) : Path,
                _ => null,
            },
            Remote = ParameterSetName is RemoteSet ? Remote : null,
            Priority = Priority,
            Critical = Given(Critical, nameof(Critical)),
            TrustPolicy = Given(TrustPolicy, nameof(TrustPolicy)),
            EnableIn = EnableIn,
            DisableIn = DisableIn,
            Force = Force,
        };
        Carry(
            (reporter, cancellation) => Services.Modules.PlanRegisterAsync(spec, reporter, cancellation),
            $"{(Disabled ? "Switch off" : "Register")} the module '{Name}'");
    });

    bool? Given(SwitchParameter value, string name) => MyInvocation.BoundParameters.ContainsKey(name) ? value.ToBool() : null;
}

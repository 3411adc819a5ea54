using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Installs an instance of a p11-kit server under systemd, or brings one to what is asked for.</summary>
[Cmdlet(VerbsLifecycle.Install, "P11KitServer", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium)]
[OutputType(typeof(P11ChangeResult))]
public sealed class InstallP11KitServerCommand : ChangeCommand
{
    /// <summary>The instance's name: of its units and its directory in /etc. At most 64 letters, digits, '-', '_' and '.'.</summary>
    [Parameter(Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string Name { get; set; } = "p11-kit-server";

    /// <summary>The socket's absolute path, at most 107 bytes. By default /run/NAME/pkcs11.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? SocketPath { get; set; }

    /// <summary>The socket's permissions, in octal. Writing is connecting. By default 0660.</summary>
    [Parameter]
    [ValidatePattern("^0?[0-7]{3}$")]
    public string? SocketMode { get; set; }

    /// <summary>The group that may connect; created when it is missing. By default root.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(GroupNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Group { get; set; }

    /// <summary>The group's number. A group that is there keeps its own.</summary>
    [Parameter]
    public uint? GroupId { get; set; }

    /// <summary>The tokens to expose. Without it, the target stays as it is, and a new instance exposes nothing.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(TokenUriCompleter))]
    [AllowEmptyCollection]
    public string[]? TargetUri { get; set; }

    /// <summary>Modules that have to be there: softhsm2, opensc, tpm2, or the name of a package.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ModulePackageCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Module { get; set; } = [];

    /// <summary>Installs p11-kit and the modules with the host's package manager where they are missing.</summary>
    [Parameter]
    public SwitchParameter InstallPackage { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        var spec = new P11KitServerSpec
        {
            Name = Name,
            SocketPath = SocketPath,
            SocketMode = SocketMode is null ? null : (UnixFileMode)Convert.ToInt32(SocketMode, 8),
            Group = Group,
            GroupId = GroupId,
            TargetUri = TargetUri?.Select(uri => ParseUri(uri, nameof(TargetUri))).ToList(),
            Modules = Module,
            InstallPackage = InstallPackage,
        };
        Carry(
            Name,
            (reporter, cancellation) => Services.Servers.PlanInstallAsync(spec, reporter, cancellation),
            $"Install the p11-kit server '{Name}'");
    });
}

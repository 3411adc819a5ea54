using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Reads a container back, and says where it is not as it needs to be to use the token of an instance.</summary>
[Cmdlet(VerbsCommon.Get, "P11ContainerConfig")]
[OutputType(typeof(P11ContainerConfig))]
public sealed class GetP11ContainerConfigCommand : HsmRemoteCommand
{
    /// <summary>The containers' names or ids, of podman or docker.</summary>
    [Parameter(Mandatory = true, Position = 0, ValueFromPipeline = true)]
    [ArgumentCompleter(typeof(ContainerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string[] Container { get; set; } = [];

    /// <summary>The instance that they should use. By default the one that their environment or their mounts lead to.</summary>
    [Parameter]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Name { get; set; }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var container in Container)
            Attempt(() => WriteObject(Await((reporter, cancellation) => Services.Containers.ReadAsync(container, Name, reporter, cancellation))));
    }
}

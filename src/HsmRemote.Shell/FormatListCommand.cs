using System.Management.Automation;
using Microsoft.PowerShell.Commands.Internal.Format;

namespace HsmRemote.Shell;

/// <summary>All of an object, one property a line.</summary>
[Cmdlet(VerbsCommon.Format, "List")]
internal sealed class FormatListCommand : OuterFormatTableAndListBase
{
    public FormatListCommand() => EngineFormat.Give(this, "List");
}

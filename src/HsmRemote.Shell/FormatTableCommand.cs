using System.Management.Automation;
using Microsoft.PowerShell.Commands.Internal.Format;

namespace HsmRemote.Shell;

/// <summary>Objects as rows, also those that are shown otherwise by themselves.</summary>
[Cmdlet(VerbsCommon.Format, "Table")]
internal sealed class FormatTableCommand : OuterFormatTableBase
{
    public FormatTableCommand() => EngineFormat.Give(this, "Table");
}

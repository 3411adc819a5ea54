using System.Management.Automation;
using System.Management.Automation.Runspaces;
using System.Reflection;
using Microsoft.PowerShell.Commands.Internal.Format;

namespace HsmRemote.Shell;

/// <summary>
/// Format-List and Format-Table. All of them is in the engine but their names, which are in an assembly that comes with
/// PowerShell itself only, and which is all that the engine lets make what they are made of.
/// </summary>
internal static class EngineFormat
{
    /// <summary>Adds the two to a session.</summary>
    public static void AddTo(InitialSessionState state)
    {
        state.Commands.Add(new SessionStateCmdletEntry("Format-List", typeof(FormatListCommand), helpFileName: null));
        state.Commands.Add(new SessionStateCmdletEntry("Format-Table", typeof(FormatTableCommand), helpFileName: null));
    }

    /// <summary>Makes a command what it is to be. The engine here is the one that this program ships with.</summary>
    public static void Give(FrontEndCommandBase command, string shape)
    {
        var engine = typeof(FrontEndCommandBase).Assembly;
        var space = typeof(FrontEndCommandBase).Namespace;
        var shapeValue = Enum.Parse(engine.GetType($"{space}.FormatShape", throwOnError: true)!, shape);
        var implementation = Activator.CreateInstance(
            engine.GetType($"{space}.InnerFormatShapeCommand", throwOnError: true)!,
            BindingFlags.Instance | BindingFlags.NonPublic, binder: null, [shapeValue], culture: null);
        typeof(FrontEndCommandBase).GetField("implementation", BindingFlags.Instance | BindingFlags.NonPublic)!.SetValue(command, implementation);
    }
}

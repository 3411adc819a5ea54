using System.Reflection;

namespace HsmRemote.Shell;

/// <summary>The version of this program, which is the module's: both are made from the one manifest.</summary>
internal static class ShellVersion
{
    public static string Number { get; } = typeof(ShellVersion).Assembly
        .GetCustomAttribute<AssemblyInformationalVersionAttribute>()!.InformationalVersion.Split('+', 2)[0];
}

namespace HsmRemote.Shell;

/// <summary>Where the module of this very version lies: beside this program's own directory.</summary>
internal static class ModuleLocation
{
    private const string ModuleName = "HsmRemote";

    /// <summary>The directory of modules, as PSModulePath lists them.</summary>
    public static string Root { get; } = Path.GetDirectoryName(Path.TrimEndingDirectorySeparator(AppContext.BaseDirectory))!;

    public static string Manifest { get; } = Path.Combine(Root, ModuleName, ShellVersion.Number, ModuleName + ".psd1");
}

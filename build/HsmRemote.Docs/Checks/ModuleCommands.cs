using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;
using System.Reflection;

namespace HsmRemote.Docs.Checks;

/// <summary>What a published module exports, in the engine's own words.</summary>
/// <param name="ModuleName">The module's name.</param>
/// <param name="Cmdlets">The cmdlets that its manifest exports, by name.</param>
sealed record ModuleCommands(string ModuleName, IReadOnlyDictionary<string, CmdletInfo> Cmdlets)
{
    internal static ModuleCommands Read(string directory)
    {
        var manifestPath = Directory.GetFiles(directory, "*.psd1").Single();
        var name = Path.GetFileNameWithoutExtension(manifestPath);
        var manifest = (Hashtable)Parser.ParseFile(manifestPath, out _, out _).Find(ast => ast is HashtableAst, searchNestedScriptBlocks: false)!.SafeGetValue();
        var assembly = Assembly.LoadFrom(Path.GetFullPath(Path.Combine(directory, (string)manifest["RootModule"]!)));
        var types = assembly.GetExportedTypes()
            .Select(type => (Type: type, Attribute: type.GetCustomAttribute<CmdletAttribute>()))
            .Where(pair => pair.Attribute is not null)
            .ToDictionary(pair => $"{pair.Attribute!.VerbName}-{pair.Attribute.NounName}", pair => pair.Type, StringComparer.Ordinal);
        var exported = ((object[])manifest["CmdletsToExport"]!).Cast<string>();
        return new(name, exported.ToDictionary(cmdlet => cmdlet, cmdlet => new CmdletInfo(cmdlet, types[cmdlet]), StringComparer.Ordinal));
    }
}

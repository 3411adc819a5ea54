using System.Management.Automation;
using System.Management.Automation.Language;

namespace HsmRemote.Shell;

/// <summary>Standard input where it is not a terminal: the script itself, or the lines that a script takes from it.</summary>
internal static class StandardInput
{
    public static string ReadScript()
    {
        using var reader = new StreamReader(Console.OpenStandardInput());
        return reader.ReadToEnd();
    }

    /// <summary>The lines for $input; null for a script that does not look at it.</summary>
    /// <remarks>
    /// A script that takes nothing must not wait for the end of an input that its caller merely left open, and leaves
    /// it to the native commands that it runs.
    /// </remarks>
    public static PSDataCollection<string>? LinesFor(string script)
    {
        if (!Console.IsInputRedirected || !TakesInput(script))
            return null;
        // All of it before the script begins: what is not there yet when the engine looks is no input to it.
        var lines = new PSDataCollection<string>();
        using var reader = new StreamReader(Console.OpenStandardInput());
        while (reader.ReadLine() is { } line)
            lines.Add(line);
        lines.Complete();
        return lines;
    }

    private static bool TakesInput(string script)
    {
        var tree = Parser.ParseInput(script, out _, out _);
        return tree.ProcessBlock is not null
            || tree.Find(static node => node is VariableExpressionAst { VariablePath.UserPath: var name }
                && name.Equals("input", StringComparison.OrdinalIgnoreCase), searchNestedScriptBlocks: false) is not null;
    }
}

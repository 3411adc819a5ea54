using System.Text;
using System.Xml;
using HsmRemote.Docs.Checks;
using HsmRemote.Docs.Output;
using HsmRemote.Docs.Pages;

namespace HsmRemote.Docs;

/// <summary>Reads the pages, holds them against the module, and writes the help only when they agree.</summary>
static class Converter
{
    const string AboutPrefix = "about_";

    /// <summary>Writes the help of a module.</summary>
    /// <param name="pages">The directory of the Markdown pages.</param>
    /// <param name="module">The directory of the published module.</param>
    /// <param name="help">The directory for the help; what is in it is replaced.</param>
    /// <returns>What is wrong, a sentence each; when there is something, nothing was written.</returns>
    internal static IReadOnlyList<string> Convert(string pages, string module, string help)
    {
        Problems problems = new();
        var exported = ModuleCommands.Read(module);
        List<CmdletPage> cmdletPages = [];
        List<(string Name, string Text)> topics = [];
        foreach (var file in Directory.EnumerateFiles(pages, "*.md").Order(StringComparer.Ordinal))
        {
            var name = Path.GetFileNameWithoutExtension(file);
            try
            {
                var markdown = File.ReadAllText(file);
                if (name.StartsWith(AboutPrefix, StringComparison.Ordinal))
                    topics.Add((name, AboutTopicWriter.Write(name, markdown)));
                else if (!string.Equals(name, exported.ModuleName, StringComparison.Ordinal))
                    cmdletPages.Add(CmdletPageReader.Read(name, markdown));
            }
            catch (PageException e)
            {
                problems.Add(Path.GetFileName(file), e.Message);
            }
        }

        if (problems.IsEmpty)
            PageCheck.Check(cmdletPages, [.. topics.Select(topic => topic.Name)], exported, problems);
        if (problems.IsEmpty)
            ModulePageCheck.Check(Path.Combine(pages, $"{exported.ModuleName}.md"), cmdletPages, problems);
        if (problems.IsEmpty)
            Write(help, exported.ModuleName, cmdletPages, topics);
        return problems.All;
    }

    static void Write(string directory, string moduleName, IEnumerable<CmdletPage> pages, IEnumerable<(string Name, string Text)> topics)
    {
        Directory.CreateDirectory(directory);
        // A topic whose page is gone would stay.
        foreach (var old in Directory.EnumerateFiles(directory))
            File.Delete(old);
        var settings = new XmlWriterSettings { Indent = true, Encoding = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false), NewLineChars = "\n" };
        using (var writer = XmlWriter.Create(Path.Combine(directory, $"{moduleName}.dll-Help.xml"), settings))
            MamlWriter.Write(pages).Save(writer);
        foreach (var (name, text) in topics)
            File.WriteAllText(Path.Combine(directory, $"{name}.help.txt"), text);
    }
}

/// <summary>What is wrong with the pages. All of it is wanted at once: a page is written with a build between two looks.</summary>
sealed class Problems
{
    readonly List<string> all = [];

    internal IReadOnlyList<string> All => all;

    internal bool IsEmpty => all.Count == 0;

    internal void Add(string page, string problem) => all.Add($"{page}: {problem}");
}

/// <summary>A page is not of its form.</summary>
sealed class PageException(string message) : Exception(message);

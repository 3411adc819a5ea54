using System.Management.Automation.Language;
using HsmRemote.Docs.Pages;
using Markdig.Syntax;

namespace HsmRemote.SystemTests.Examples;

/// <summary>Every example of every cmdlet's page is run, and does what the page shows; docs/writing-pages.md says how a page is written for it.</summary>
/// <remarks>In a sandbox of its own, in which every example begins from the same state; the examples of a page share one hsmremote.</remarks>
public sealed class ExampleTests(OwnSandbox host) : IClassFixture<OwnSandbox>
{
    /// <summary>The one place of what cannot run in a sandbox, with the reason, by page and title, as 'Get-Thing: See it'.</summary>
    static readonly Dictionary<string, string> NotRun = new(StringComparer.Ordinal)
    {
        ["New-P11SocketForward: Forward into the virtual machine of colima"] = "It needs colima and a virtual machine.",
    };

    /// <summary>What runs until Ctrl-C, which it is given after some seconds.</summary>
    static readonly string[] UntilInterrupted = ["Start-P11KitServer: Serve a token from the prompt", "about_HsmRemote_Forwarding: COLIMA, AND A MAC"];

    /// <summary>Its commands are Pester's: tests/Pester runs them.</summary>
    const string PesterTopic = "about_HsmRemote_Validation";

    const char Mark = '\u001e';

    static readonly string Directory = Path.Combine(SandboxFixture.RepositoryRoot, "tests", "HsmRemote.SystemTests", "Examples");

    static readonly string Docs = Path.Combine(SandboxFixture.RepositoryRoot, "docs", "en-US");

    static readonly Dictionary<string, CmdletPage> Pages = System.IO.Directory
        .EnumerateFiles(Docs, "*-*.md")
        .Select(file => CmdletPageReader.Read(Path.GetFileNameWithoutExtension(file), File.ReadAllText(file)))
        .ToDictionary(page => page.Name, StringComparer.OrdinalIgnoreCase);

    /// <summary>Sections with blocks of ```powershell, as examples, by the name of the topic or of the README.</summary>
    static readonly Dictionary<string, List<PageExample>> Topics = System.IO.Directory
        .EnumerateFiles(Docs, "about_*.md").Append(Path.Combine(SandboxFixture.RepositoryRoot, "README.md"))
        .ToDictionary(file => Path.GetFileNameWithoutExtension(file), Sections, StringComparer.Ordinal);

    public static TheoryData<string> Cmdlets => [.. Pages.Keys.Order(StringComparer.Ordinal)];

    public static TheoryData<string> TopicsWithCommands => [.. Topics.Where(topic => topic.Value.Count > 0 && topic.Key is not PesterTopic).Select(topic => topic.Key).Order(StringComparer.Ordinal)];

    [Theory]
    [MemberData(nameof(Cmdlets))]
    public void Every_example_does_what_its_page_shows(string cmdlet)
    {
        var page = Pages[cmdlet];
        var examples = page.Examples.Where(example => !NotRun.ContainsKey($"{cmdlet}: {Subject(example)}")).ToList();
        RunAll(cmdlet, examples, Problem);
        SkipWhenLeftOut(cmdlet, examples.Count, page.Examples.Count);
    }

    [Theory]
    [MemberData(nameof(TopicsWithCommands))]
    public void Every_command_of_a_topic_runs(string topic)
    {
        var sections = Topics[topic].Where(section => !NotRun.ContainsKey($"{topic}: {section.Title}")).ToList();
        RunAll(topic, sections, Unexpected);
        SkipWhenLeftOut(topic, sections.Count, Topics[topic].Count);
    }

    static void SkipWhenLeftOut(string page, int run, int all) => Assert.SkipWhen(
        run < all,
        $"{run} of {all} did what they show. NOT run: {string.Join("; ", NotRun.Where(e => e.Key.StartsWith($"{page}: ", StringComparison.Ordinal)).Select(e => $"{e.Key}: {e.Value}"))}");

    void RunAll(string page, List<PageExample> examples, Func<PageExample, ExampleRun, string?> problemOf)
    {
        var sandbox = host.Fixture;
        sandbox.WriteFile("/run/example.ps1", Script(page, examples));
        sandbox.Run("mkdir", "-p", "/srv/device").Succeeded();
        var result = sandbox.Run(
            TimeSpan.FromMinutes(15), "", SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-WorkingDirectory", "/srv/device", "-File", "/run/example.ps1");
        var runs = Runs(result.StdOut);
        Assert.True(runs.Count == examples.Count, result.ToString());
        List<string> problems = [];
        foreach (var (example, run) in examples.Zip(runs))
        {
            if (problemOf(example, run) is { } problem)
                problems.Add($"{page}: '{example.Title}' {problem}");
        }

        Assert.True(problems.Count == 0, $"{string.Join("\n\n", problems)}\n--- warnings and errors\n{result.StdErr}");
    }

    [Fact]
    public void What_is_prepared_or_left_out_is_an_example()
    {
        var titles = Pages.Values.SelectMany(page => page.Examples.Select(example => $"{page.Name}: {Subject(example)}"))
            .Concat(Topics.SelectMany(topic => topic.Value.Select(section => $"{topic.Key}: {section.Title}"))).ToHashSet(StringComparer.Ordinal);
        foreach (var file in System.IO.Directory.EnumerateFiles(Path.Combine(Directory, "before")))
        {
            var script = Parser.ParseFile(file, out _, out var errors);
            Assert.Empty(errors);
            var table = (HashtableAst)script.EndBlock.Statements[^1].Find(ast => ast is HashtableAst, searchNestedScriptBlocks: false);
            Assert.All(table.KeyValuePairs, pair => Assert.Contains($"{Path.GetFileNameWithoutExtension(file)}: {((StringConstantExpressionAst)pair.Item1).Value}", titles));
        }

        Assert.All(NotRun.Keys.Concat(UntilInterrupted), title => Assert.Contains(title, titles));
    }

    /// <summary>What is wrong with what an example did, or null.</summary>
    static string? Problem(PageExample example, ExampleRun run)
    {
        if (Unexpected(example, run) is { } unexpected)
            return unexpected;
        if (example.Output is { } output)
            return ExampleText.Difference(output, run.Text) is { } difference ? $"{difference}\n--- the page\n{output}\n--- the example\n{run.Text}" : null;

        var expected = example.Remarks.Any(says => says.Contains("gives nothing", StringComparison.Ordinal)) ? [] : OutputTypes(example.Code);
        if (run.Types.Count == 0)
            return expected.Count == 0 ? null : $"gives nothing, which the page does not say; its cmdlets give {string.Join(" or ", expected)}.";
        var others = run.Types.Except(expected, StringComparer.Ordinal).ToList();
        return others.Count == 0 ? null : $"gives {string.Join(", ", others.Distinct(StringComparer.Ordinal))}, which the page does not show:\n{run.Text}";
    }

    /// <summary>The errors that the page does not say, as a sentence, or null.</summary>
    static string? Unexpected(PageExample example, ExampleRun run)
    {
        var errors = run.Errors.Where(id => !example.Remarks.Any(says => says.Contains($"error {id}", StringComparison.Ordinal))).ToList();
        return errors.Count == 0 ? null : $"ends with {string.Join(", ", errors)}, which the page does not say:\n{run.Text}";
    }

    /// <summary>What the module's cmdlets give that come last in a pipeline, or before a Where-Object, which only chooses among that.</summary>
    static List<string> OutputTypes(string code) =>
    [
        .. Parser.ParseInput(code, out _, out _).EndBlock.Statements.OfType<PipelineAst>()
            .Select(pipeline => (pipeline.PipelineElements.LastOrDefault(element => element is not CommandAst command || command.GetCommandName() is not "Where-Object") as CommandAst)?.GetCommandName())
            .SelectMany(command => Pages.GetValueOrDefault(command ?? "")?.Outputs.Select(output => output.Name) ?? []),
    ];

    /// <summary>A section's blocks are one script: the second may use what the first has made.</summary>
    static List<PageExample> Sections(string file) =>
    [
        .. new MarkdownPage(File.ReadAllText(file)).Sections(1)
            .SelectMany(page => page.Sections(2).Prepend(page with { Blocks = [.. page.Lead] }))
            .Select(section => new PageExample(
                section.Heading, string.Join('\n', section.Blocks.OfType<FencedCodeBlock>().Where(block => block.Info is "powershell").Select(MarkdownPage.Code)), Output: null, Remarks: []))
            .Where(section => section.Code.Length > 0),
    ];

    static string Script(string page, IEnumerable<PageExample> examples)
    {
        var before = Path.Combine(Directory, "before", $"{page}.ps1");
        List<string> lines = [$". '{Directory}/run.ps1'", File.Exists(before) ? $"$before = . '{before}'" : "$before = @{}"];
        foreach (var example in examples)
        {
            var title = CodeGeneration.EscapeSingleQuotedStringContent(Subject(example));
            var interrupt = UntilInterrupted.Contains($"{page}: {Subject(example)}", StringComparer.Ordinal) ? "-Interrupt" : "";
            lines.Add($"Invoke-Example -Title '{title}' -Before $before['{title}'] -Code '{CodeGeneration.EscapeSingleQuotedStringContent(example.Code)}' {interrupt}");
        }

        return string.Join('\n', lines);
    }

    /// <summary>The title without 'Example 1: '.</summary>
    static string Subject(PageExample example) => example.Title[(example.Title.IndexOf(':', StringComparison.Ordinal) + 1)..].Trim();

    static List<ExampleRun> Runs(string output)
    {
        List<ExampleRun> runs = [];
        List<string> text = [];
        foreach (var line in output.Split('\n'))
        {
            if (line.StartsWith($"{Mark}begin", StringComparison.Ordinal))
            {
                text.Clear();
            }
            else if (line.StartsWith($"{Mark}end", StringComparison.Ordinal))
            {
                var parts = line.Split('|', 3);
                runs.Add(new(string.Join('\n', text), Words(parts[1]), Words(parts[2])));
            }
            else
            {
                text.Add(line);
            }
        }

        return runs;
    }

    static string[] Words(string text) => text.Split(' ', StringSplitOptions.RemoveEmptyEntries);

    /// <summary>What an example wrote as text, the types of its objects, and the identifiers of its errors.</summary>
    sealed record ExampleRun(string Text, IReadOnlyList<string> Types, IReadOnlyList<string> Errors);
}

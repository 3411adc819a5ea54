using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace HsmRemote.Tests.Docs;

/// <summary>That help which is wrong cannot be built, and that what is built is what Get-Help reads.</summary>
public sealed class ConverterTests : IDisposable
{
    const string Page = "Install-P11KitServer.md";

    readonly TemporaryPages pages = new();

    public void Dispose() => pages.Dispose();

    [Fact]
    public void The_pages_as_they_are_have_no_problem()
    {
        Assert.Empty(pages.Convert());
        Assert.True(File.Exists(Path.Combine(pages.Help, "HsmRemote.dll-Help.xml")));
        Assert.True(File.Exists(Path.Combine(pages.Help, "about_HsmRemote.help.txt")));
    }

    [Fact]
    public void A_parameter_that_a_page_lacks_is_named()
    {
        pages[Page] = Regex.Replace(pages[Page], "### -GroupId\n.*?(?=### )", "", RegexOptions.Singleline, TimeSpan.FromSeconds(1));
        Assert.Equal($"{Page}: the parameter -GroupId is missing.", Assert.Single(pages.Convert()));
        Assert.False(Directory.Exists(pages.Help));
    }

    [Fact]
    public void A_parameter_that_a_cmdlet_lacks_is_named()
    {
        pages.Replace(Page, "### -GroupId\n", "### -GroupNumber\n");
        Assert.Equal(
            [$"{Page}: the parameter -GroupId is missing.", $"{Page}: Install-P11KitServer has no parameter -GroupNumber."],
            pages.Convert());
    }

    [Theory]
    [InlineData(Page, "Type: System.UInt32", "Type: System.Int32", "-GroupId: Type is 'System.Int32' in the page and 'System.UInt32' in the cmdlet.")]
    [InlineData(Page, "Position: 0", "Position: 1", "-Name: in (All): Position is '1' in the page and '0' in the cmdlet.")]
    [InlineData(Page, "DefaultValue: p11-kit-server", "DefaultValue: server", "-Name: DefaultValue is 'server' in the page and 'p11-kit-server' in the cmdlet.")]
    [InlineData(Page, "ValueFromPipelineByPropertyName: true", "ValueFromPipelineByPropertyName: false", "-Name: in (All): ValueFromPipelineByPropertyName is 'False' in the page and 'True' in the cmdlet.")]
    [InlineData(Page, "- wi", "- why", "-WhatIf: Aliases is 'why' in the page and 'wi' in the cmdlet.")]
    [InlineData(Page, "[-GroupId <uint>]", "[-GroupId <int>]", "the syntax of __AllParameterSets is: Install-P11KitServer ")]
    [InlineData(Page, "### HsmRemote.P11ChangeResult", "### System.String", "the types of OUTPUTS is 'System.String' in the page and 'HsmRemote.P11ChangeResult' in the cmdlet.")]
    [InlineData(Page, "-Name edge -Group hsm -GroupId 992 -SocketMode", "-Name edge -SocketOwner", "'Example 2: See what would be done' gives Install-P11KitServer a parameter -SocketOwner, which it has not.")]
    [InlineData(Page, "$token = Get-Pkcs11Token", "$token = (Get-Pkcs11Token", "'Example 3: Install an instance with its target' is not PowerShell: ")]
    [InlineData("Get-P11KitServer.md", "SupportsWildcards: true", "SupportsWildcards: false", "-Name: SupportsWildcards is 'False' in the page and 'True' in the cmdlet.")]
    [InlineData("Get-Pkcs11Token.md", "- Name: Socket\n", "- Name: Path\n", "-SocketPath: ParameterSets is 'Path' in the page and 'Socket' in the cmdlet.")]
    [InlineData("Get-Pkcs11Token.md", "### Server\n", "### Instance\n", "the sets of SYNTAX is 'Instance, Module, ModuleObject, Socket' in the page and 'Module, ModuleObject, Server, Socket' in the cmdlet.")]
    [InlineData("Get-Pkcs11Token.md", "ValueFromPipeline: true", "ValueFromPipeline: false", "-InputObject: in ModuleObject: ValueFromPipeline is 'False' in the page and 'True' in the cmdlet.")]
    [InlineData("Get-Pkcs11Token.md", "### HsmRemote.Pkcs11Module\n", "### HsmRemote.Pkcs11Object\n", "INPUTS lacks HsmRemote.Pkcs11Module, which -InputObject takes from the pipeline.")]
    [InlineData("Get-P11KitServer.md", "### HsmRemote.P11ChangeResult\n", "### System.String\n", "INPUTS has System.String, which no parameter takes")]
    [InlineData("Get-P11KitConnection.md", "Name, Scope, ProcessId", "Name, ProcessId", "OUTPUTS does not say that HsmRemote.P11KitConnection has: Scope.")]
    [InlineData("Set-P11TargetUri.md", "DefaultValue: ''", "DefaultValue: False", "-Add: DefaultValue is 'False' in the page and '' in the cmdlet.")]
    [InlineData(Page, "DontShow: false", "DontShow: true", "-Name: DontShow is 'True' in the page and 'False' in the cmdlet.")]
    [InlineData(Page, "AcceptedValues: []", "AcceptedValues: [edge]", "-Name: AcceptedValues is 'edge' in the page and '' in the cmdlet.")]
    [InlineData(Page, "PerConnection, Daemon or Acceptor. The", "PerConnection or Daemon. The", "-Mode: its description does not say what Acceptor is.")]
    [InlineData(Page, "[Test-P11Socket](Test-P11Socket.md)", "[Test-Socket](Test-Socket.md)", "the related link 'Test-Socket' leads to Test-Socket.md, and has to")]
    [InlineData(Page, "### Example 2: ", "### Example 3: ", "'Example 3: See what would be done' has to begin with 'Example 2: '.")]
    [InlineData("Set-P11TargetUri.md", "IsRequired: true", "IsRequired: false", "-Name: in (All): IsRequired is 'False' in the page and 'True' in the cmdlet.")]
    public void What_differs_is_named(string page, string old, string replacement, string problem)
    {
        pages.Replace(page, old, replacement);
        Assert.Contains(pages.Convert(), p => p.StartsWith($"{page}: {problem}", StringComparison.Ordinal));
        Assert.False(Directory.Exists(pages.Help));
    }

    [Theory]
    [InlineData("## NOTES", "## REMARKS", "the headings of level 2 have to be: SYNOPSIS, ")]
    [InlineData("title: Install-P11KitServer", "title: Install", "the front matter has to have 'title: Install-P11KitServer'.")]
    [InlineData("DontShow: false", "Hidden: false", "-Adopt: line ")]
    [InlineData("It needs root,", "It needs <b>root</b>,", "line ")]
    public void What_is_not_of_the_form_is_named(string old, string replacement, string problem)
    {
        pages.Replace(Page, old, replacement);
        Assert.StartsWith($"{Page}: {problem}", Assert.Single(pages.Convert()), StringComparison.Ordinal);
    }

    [Fact]
    public void Less_than_three_examples_are_named()
    {
        pages["Get-P11ContainerConfig.md"] = Regex.Replace(pages["Get-P11ContainerConfig.md"], "### Example 3.*?(?=## )", "", RegexOptions.Singleline, TimeSpan.FromSeconds(1));
        Assert.Equal("Get-P11ContainerConfig.md: it has 2 examples, and needs 3.", Assert.Single(pages.Convert()));
    }

    [Fact]
    public void An_example_that_nothing_is_said_of_is_named()
    {
        pages["Get-P11ContainerConfig.md"] = Regex.Replace(pages["Get-P11ContainerConfig.md"], "(?<=### Example 2[^`]*```powershell[^`]*```\n).*?(?=### )", "\n", RegexOptions.Singleline, TimeSpan.FromSeconds(1));
        Assert.Equal("Get-P11ContainerConfig.md: 'Example 2: Look at all containers' says nothing about what comes of it.", Assert.Single(pages.Convert()));
    }

    [Fact]
    public void An_exported_cmdlet_without_a_page_is_named()
    {
        pages.Remove(Page);
        Assert.Equal($"{Page}: HsmRemote exports Install-P11KitServer, and there is no such page.", pages.Convert()[0]);
    }

    [Fact]
    public void A_page_without_a_cmdlet_is_named()
    {
        pages["Get-Nothing.md"] = pages[Page].Replace("Install-P11KitServer", "Get-Nothing", StringComparison.Ordinal);
        Assert.Contains("Get-Nothing.md: HsmRemote exports no cmdlet Get-Nothing.", pages.Convert());
    }

    [Fact]
    public void The_modules_page_has_every_cmdlet_with_its_synopsis()
    {
        pages.Replace("HsmRemote.md", "without trace.", "entirely.");
        Assert.StartsWith("HsmRemote.md: Uninstall-P11KitServer is '", Assert.Single(pages.Convert()), StringComparison.Ordinal);
    }

    [Fact]
    public void About_topics_fit_80_columns_and_begin_as_Get_Help_reads_them()
    {
        Assert.Empty(pages.Convert());
        foreach (var topic in Directory.EnumerateFiles(pages.Help, "about_*.help.txt"))
        {
            var lines = File.ReadAllLines(topic);
            Assert.All(lines, line => Assert.InRange(line.Length, 0, 80));
            Assert.Equal(["TOPIC", $"    {Path.GetFileName(topic).Split('.')[0]}", "", "SHORT DESCRIPTION"], lines[..4]);
            Assert.NotEmpty(lines[4].Trim());
        }
    }

    [Fact]
    public void Code_in_an_about_topic_that_does_not_fit_is_named()
    {
        pages.Replace("about_HsmRemote.md", "Get-P11KitServer edge\n", new string('x', 73) + "\n");
        Assert.Contains("longer than 72 characters", Assert.Single(pages.Convert()), StringComparison.Ordinal);
    }

    [Fact]
    public void Every_parameter_is_in_the_help_with_what_it_takes()
    {
        Assert.Empty(pages.Convert());
        XNamespace command = "http://schemas.microsoft.com/maml/dev/command/2004/10";
        XNamespace maml = "http://schemas.microsoft.com/maml/2004/10";
        var name = XDocument.Load(Path.Combine(pages.Help, "HsmRemote.dll-Help.xml")).Descendants(command + "command")
            .Single(c => c.Element(command + "details")!.Element(command + "name")!.Value is "Get-P11KitServer")
            .Element(command + "parameters")!.Elements().Single(p => p.Element(maml + "name")!.Value is "Name");
        Assert.Equal(
            ["false", "true", "true", "True (ByPropertyName)", "0", "none"],
            name.Attributes().Select(a => a.Value));
    }
}

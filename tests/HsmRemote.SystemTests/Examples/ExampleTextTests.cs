namespace HsmRemote.SystemTests.Examples;

/// <summary>That an example which does something else than its page shows is noticed.</summary>
public sealed class ExampleTextTests
{
    const string Page = """
        Name     Changed  Changes
        ----     -------  -------
        edge     True     End the connection of process 2207 of uid 5000 (edge@4-2207-5000.service)
        """;

    [Theory]
    [InlineData("edge     True", "edge True\n\n")]
    [InlineData("2207 of", "17 of")]
    [InlineData("@4-2207-", "@19-3-")]
    public void What_is_new_each_time_does_not_count(string old, string other) =>
        Assert.Null(ExampleText.Difference(Page, Page.Replace(old, other, StringComparison.Ordinal)));

    [Theory]
    [InlineData("True", "False", "has 'False' where the page has 'True'")]
    [InlineData("Name", "Label", "has 'Label' where the page has 'Name'")]
    [InlineData("5000.service", "5001.service", "has '(edge@4-2207-5001.service)' where the page has '(edge@4-2207-5000.service)'")]
    [InlineData("service)", "service)\nlab", "goes on with 'lab' where the page ends")]
    [InlineData(" (edge@4-2207-5000.service)", "", "ends where the page goes on with '(edge@4-2207-5000.service)'")]
    public void What_is_otherwise_is_named(string old, string other, string difference) =>
        Assert.Equal(difference, ExampleText.Difference(Page, Page.Replace(old, other, StringComparison.Ordinal)));

    [Theory]
    [InlineData("MII… end", "MIIBczCC end", null)]
    [InlineData("MII... end", "MIIBczCC end", null)]
    [InlineData("MII… end", "MIXBczCC end", "has 'MIXBczCC' where the page has 'MII…'")]
    [InlineData("begin … end", "begin some words end", null)]
    [InlineData("begin … end", "begin some words", "ends where the page goes on with 'end'")]
    [InlineData("begin …", "begin some words", null)]
    [InlineData("0660 hsm", "0600 hsm", "has '0600' where the page has '0660'")]
    [InlineData("serial=70cab0872348ea11;token=a", "serial=935d6df174876c46;token=b", "has 'serial=935d6df174876c46;token=b' where the page has 'serial=70cab0872348ea11;token=a'")]
    public void An_ellipsis_stands_for_the_rest(string page, string written, string? difference) =>
        Assert.Equal(difference, ExampleText.Difference(page, written));
}

using System.Reflection;
using System.Xml.Linq;
using HsmRemote.Shell;

namespace HsmRemote.Tests.Module;

/// <summary>What is shown of every type that a cmdlet says it gives, whichever cmdlets there are.</summary>
public sealed class FormatTests(FormatHost host) : IClassFixture<FormatHost>
{
    static readonly IReadOnlyList<View> Views =
    [
        .. Directory.EnumerateFiles(Path.Combine(Checkout.Module, "Formatting"), "*.ps1xml")
            .SelectMany(file => XDocument.Load(file).Descendants("View"))
            .Select(view => new View(
                [.. view.Element("ViewSelectedBy")!.Elements("TypeName").Select(name => name.Value)], view.Element("TableControl"), view.Element("ListControl"))),
    ];

    [Fact]
    public void Every_type_has_a_table_and_a_list()
    {
        Assert.NotEmpty(host.OutputTypes());
        Faults.None(host.OutputTypes().Where(type => Table(type) is null).Select(type => $"{type.Name} has no table"));
        Faults.None(host.OutputTypes().Where(type => List(type) is null).Select(type => $"{type.Name} has no list"));
    }

    [Fact]
    public void A_list_has_every_public_property() => Faults.None(
        from type in host.OutputTypes()
        from property in Properties(type)
        where List(type)?.Descendants("ListItem").Any(item => string.Equals(Label(item), property.Name, StringComparison.Ordinal)) is not true
        select $"the list of {type.Name} lacks {property.Name}");

    [Fact]
    public void A_table_is_laid_out_for_100_columns() => Faults.None(
        from type in WithTable()
        let columns = Table(type)!.Element("TableHeaders")!.Elements().Select(column => (Label: column.Element("Label")?.Value ?? "", Width: (int?)column.Element("Width"))).ToList()
        // One that has no width has to have room for its header, at least.
        let width = columns.Sum(column => column.Width ?? column.Label.Length) + columns.Count - 1
        where width > FormatHost.Width || columns.Exists(column => column.Label.Length > column.Width)
        select $"the table of {type.Name} takes {width} columns, or has a header that is cut");

    [Fact]
    public void A_table_goes_on_in_the_next_line_and_cuts_nothing() => Faults.None(
        from type in WithTable()
        where Table(type)!.Descendants("TableRowEntry").Any(row => row.Element("Wrap") is null) || host.Show([Samples.Of(type, Fill.Long)], "Format-Table", colour: false).Contains('…', StringComparison.Ordinal)
        select $"the table of {type.Name} cuts what is long");

    [Theory]
    [CombinatorialFormats]
    public void What_is_shown_fits_100_columns_and_colour_takes_no_room(Fill fill, string format)
    {
        foreach (var type in WithTable())
        {
            var objects = Enumerable.Range(0, 2).Select(_ => Samples.Of(type, fill)).ToList();
            var plain = host.Show(objects, format, colour: false);
            Assert.False(string.IsNullOrWhiteSpace(plain), $"{type.Name}: nothing is shown");
            Assert.DoesNotContain('\e', plain);
            // What the engine shows where a script of a view failed.
            Assert.DoesNotContain("#ERR", plain, StringComparison.Ordinal);
            Assert.All(plain.Split('\n'), line => Assert.True(Terminal.CellsOf(line) <= FormatHost.Width, $"{type.Name}: {line}"));
            Assert.Equal(plain, Terminal.WithoutEscapes(host.Show(objects, format, colour: true)));

            var labels = format.StartsWith("Format-Table", StringComparison.Ordinal) ? Table(type)!.Descendants("TableColumnHeader").Select(column => column.Element("Label")!.Value)
                : format.StartsWith("Format-List", StringComparison.Ordinal) ? Properties(type).Select(property => property.Name)
                : [];
            Faults.None(labels.Where(label => !plain.Contains(label, StringComparison.Ordinal)).Select(label => $"{type.Name}: {label} is not shown: {plain}"));
        }
    }

    [Fact]
    public void A_list_shows_the_value_of_every_property() => Faults.None(
        from type in host.OutputTypes()
        let sample = Samples.Of(type, Fill.Typical)
        from line in host.Show([sample], "Format-List", colour: false).Split('\n')
        where line.TrimEnd().EndsWith(" :", StringComparison.Ordinal) && type.GetProperty(line.Split(' ')[0])?.GetValue(sample) is not null
        select $"{type.Name}: nothing is shown of {line}");

    [Theory]
    [InlineData(typeof(P11KitServer))]
    [InlineData(typeof(P11SocketTest))]
    [InlineData(typeof(Pkcs11UriTest))]
    public void A_state_is_in_colour_in_every_view(Type type)
    {
        foreach (var format in new[] { "", "Format-Table", "Format-List" })
        {
            // Not the bold headers: red, green or yellow.
            var shown = host.Show([Samples.Of(type, Fill.Typical)], format, colour: true);
            Assert.Matches("\e\\[3[123]m", shown.Replace("\e[32;1m", "", StringComparison.Ordinal));
        }
    }

    /// <summary>What cmdlets give, and what else has a table.</summary>
    IEnumerable<Type> WithTable() => host.OutputTypes().Union(Views.Where(view => view.Table is not null).SelectMany(view => view.Types).Select(name => typeof(Pkcs11Token).Assembly.GetType(name, throwOnError: true)!));

    static XElement? Table(Type type) => Views.FirstOrDefault(view => view.IsOf(type) && view.Table is not null)?.Table;

    static XElement? List(Type type) => Views.FirstOrDefault(view => view.IsOf(type) && view.List is not null)?.List;

    static string? Label(XElement item) => item.Element("Label")?.Value ?? item.Element("PropertyName")?.Value;

    static PropertyInfo[] Properties(Type type) => type.GetProperties(BindingFlags.Public | BindingFlags.Instance);

    sealed record View(IReadOnlyList<string> Types, XElement? Table, XElement? List)
    {
        // The engine would take the view of a base type, too; a type that adds something needs its own.
        internal bool IsOf(Type type) => Types.Contains(type.FullName!, StringComparer.Ordinal);
    }

    sealed class CombinatorialFormatsAttribute : Xunit.v3.DataAttribute
    {
        public override ValueTask<IReadOnlyCollection<ITheoryDataRow>> GetData(MethodInfo testMethod, Xunit.Sdk.DisposalTracker disposalTracker) => new(
            [.. Enum.GetValues<Fill>().SelectMany(fill => new[] { "", "Format-Table -DisplayError", "Format-List -DisplayError" }.Select(format => new TheoryDataRow<Fill, string>(fill, format)))]);

        public override bool SupportsDiscoveryEnumeration() => true;
    }
}

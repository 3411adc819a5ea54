using System.Collections;
using System.Management.Automation;
using System.Net;
using System.Security;
using System.Text;
using System.Text.Json.Nodes;
using HsmRemote.Shell;
using Xunit;

namespace HsmRemote.Tests.Shell;

public sealed class JsonOutputTests
{
    [Fact]
    public void Nothing_is_an_empty_array() => Assert.Equal("[]\n", Written());

    [Fact]
    public void Elements_are_one_array_an_element_a_line() => Assert.Equal("[\n1,\n\"a\",\nnull\n]\n", Written(1, "a", null));

    [Fact]
    public void An_element_that_cannot_be_written_leaves_the_array_valid()
    {
        using var stream = new MemoryStream();
        using (var json = new JsonOutput(stream))
        {
            json.Write(1);
            Assert.Throws<InvalidDataException>(() => json.Write(Failing()));
            json.Write(2);
        }

        Assert.Equal("[\n1,\n2\n]\n", Encoding.UTF8.GetString(stream.ToArray()));
    }

    public static TheoryData<object?, string> Scalars => new()
    {
        { true, "true" },
        { new SwitchParameter(isPresent: true), "true" },
        { 1.5, "1.5" },
        { double.NaN, "\"NaN\"" },
        { 12345678901234567890UL, "12345678901234567890" },
        { 0.10m, "0.10" },
        { 'x', "\"x\"" },
        { DayOfWeek.Friday, "\"Friday\"" },
        { FileAccess.Read | (FileAccess)8, "\"9\"" },
        { AttributeTargets.Class | AttributeTargets.Enum, "\"Class, Enum\"" },
        { new DateTime(2026, 1, 2, 3, 4, 5, DateTimeKind.Utc), "\"2026-01-02T03:04:05.0000000Z\"" },
        { new DateTimeOffset(2026, 1, 2, 3, 4, 5, TimeSpan.FromHours(1)), "\"2026-01-02T03:04:05.0000000+01:00\"" },
        { TimeSpan.FromMinutes(90), "\"01:30:00\"" },
        { new Version(1, 2), "\"1.2\"" },
        { IPAddress.Loopback, "\"127.0.0.1\"" },
        { new Uri("https://host/?a=1&b=é"), "\"https://host/?a=1&b=é\"" },
        { new TokenAddress("edge"), "\"token:edge\"" },
        { new byte[] { 1, 2, 3 }, "\"AQID\"" },
        { new SecureString(), "null" },
        { ScriptBlock.Create("Get-Item x"), "\"Get-Item x\"" },
        { typeof(int), "\"System.Int32\"" },
    };

    [Theory]
    [MemberData(nameof(Scalars), DisableDiscoveryEnumeration = true)]
    public void Values_have_the_form_that_another_program_reads(object? value, string expected) =>
        Assert.Equal(expected, Written(value)[2..^3]);

    [Fact]
    public void Objects_dictionaries_and_sequences_nest()
    {
        var value = new PSObject();
        value.Properties.Add(new PSNoteProperty("Map", new Hashtable { ["k"] = new[] { 1, 2 } }));
        value.Properties.Add(new PSNoteProperty("Inner", new PSObject(new Named("n"))));

        Assert.Equal("""{"Map":{"k":[1,2]},"Inner":{"Name":"n"}}""", Written(value)[2..^3]);
    }

    [Fact]
    public void A_property_that_throws_is_null() =>
        Assert.Equal("""{"Works":1,"Throws":null}""", Written(new Broken())[2..^3]);

    [Fact]
    public void A_cycle_ends()
    {
        var list = new ArrayList();
        list.Add(list);
        var ring = new PSObject();
        ring.Properties.Add(new PSNoteProperty("Self", ring));

        Assert.Equal("System.Collections.ArrayList", (string?)Parsed(list)[0]![0]);
        Assert.NotNull(Parsed(ring)[0]!["Self"]);
    }

    [Fact]
    public void Depth_has_an_end()
    {
        object value = "deepest";
        for (var level = 0; level < 20; level++)
            value = new object[] { value };

        var node = Parsed(value)[0];
        var depth = 0;
        for (; node is JsonArray array; node = array[0])
            depth++;
        Assert.Equal(9, depth);
    }

    [Fact]
    public void Objects_of_the_runtime_do_not_drag_it_all_along()
    {
        using var process = System.Diagnostics.Process.GetCurrentProcess();

        Assert.InRange(Written(process).Length, 1, 1_000_000);
    }

    private static IEnumerable<int> Failing()
    {
        yield return 1;
        throw new InvalidDataException();
    }

    private static JsonArray Parsed(object value) => JsonNode.Parse(Written(value))!.AsArray();

    private static string Written(params object?[]? values)
    {
        using var stream = new MemoryStream();
        using (var json = new JsonOutput(stream))
        {
            foreach (var value in values ?? [null])
                json.Write(value);
        }

        return Encoding.UTF8.GetString(stream.ToArray());
    }

    private sealed record Named(string Name);

    private sealed class Broken
    {
        public int Works { get; } = 1;

        public int Throws => throw new InvalidOperationException($"It is {Works}.");
    }
}

/// <summary>A value as our own are: it prints itself, and parses what it printed.</summary>
public sealed record TokenAddress(string Name)
{
    public static TokenAddress Parse(string text) => new(text["token:".Length..]);

    public override string ToString() => "token:" + Name;
}

using System.Text.Json;
using System.Text.Json.Nodes;
using Json.Schema;

namespace HsmRemote.SystemTests;

/// <summary>The DSC resource HsmRemote/P11KitServer: the commands of its manifest as dsc would run them, and dsc itself where it is.</summary>
/// <remarks>In a system of its own: an export is of all the instances that there are.</remarks>
public sealed class DscTests(OwnSandbox host) : IClassFixture<OwnSandbox>
{
    readonly SandboxFixture sandbox = host.Fixture;

    const int BadInput = 2;
    const int NoEngine = 127;

    static readonly string _module = Directory.GetDirectories(Path.Combine(SandboxFixture.RepositoryRoot, "output/HsmRemote")).Single();

    static readonly string _directory = Path.Combine(_module, "Dsc");

    static readonly JsonNode _manifest = JsonNode.Parse(File.ReadAllText(Path.Combine(_directory, "p11kitserver.dsc.resource.json")))!;

    static readonly JsonSchema _schema = JsonSchema.FromText(_manifest["schema"]!["embedded"]!.ToJsonString());

    static readonly string[] _noInstances =
    [
        "{}", "[]", "\"dsc-kept\"", """{"name":"dsc/kept"}""", """{"name":123}""", """{"name":["dsc-kept","edge"],"_exist":false}""", """{"NAME":"dsc-kept"}""",
        """{"name":"dsc-kept","_exist":"false"}""", """{"name":"dsc-kept","_exist":null}""", """{"name":"dsc-kept","mode":"Fast"}""", """{"name":"dsc-kept","scope":"system"}""",
        """{"name":"dsc-kept","socketMode":"999"}""", """{"name":"dsc-kept","socketMode":660}""", """{"name":"dsc-kept","group":""}""",
        """{"name":"dsc-kept","groupId":-1}""", """{"name":"dsc-kept","groupId":4294967296}""", """{"name":"dsc-kept","groupId":12.5}""", """{"name":"dsc-kept","groupId":"12"}""",
        """{"name":"dsc-kept","targetUri":"pkcs11:token=a"}""", """{"name":"dsc-kept","targetUri":[""]}""", """{"name":"dsc-kept","environment":{"A":1,"B":null}}""",
        $$"""{"name":"dsc-kept","socketPath":"/{{new string('x', 107)}}"}""", """{"name":"dsc-kept","colour":"red"}""",
    ];

    static readonly EvaluationOptions _list = new() { OutputFormat = OutputFormat.List };

    [Fact]
    public void The_manifest_has_the_modules_version_and_every_operation()
    {
        Assert.Equal(Path.GetFileName(_module), (string?)_manifest["version"]);
        Assert.Equal("HsmRemote/P11KitServer", (string?)_manifest["type"]);
        foreach (var operation in new[] { "get", "set", "test", "whatIf", "export", "delete" })
            Assert.Equal(["p11kitserver.dsc.resource.sh", operation], _manifest[operation]!["args"]!.AsArray().Select(a => (string?)a));
        foreach (var code in new[] { 0, 1, BadInput, NoEngine })
            Assert.NotEmpty((string?)_manifest["exitCodes"]![$"{code}"] ?? "");
    }

    [Fact]
    public void The_schema_is_a_schema_and_refuses_what_is_no_instance()
    {
        var meta = MetaSchemas.Draft202012.Evaluate(JsonSerializer.SerializeToElement(_manifest["schema"]!["embedded"]), _list);
        Assert.True(meta.IsValid, JsonSerializer.Serialize(meta));

        Assert.True(IsInstance("""{"name":"edge","group":"hsm","targetUri":[],"_exist":true}"""));
        foreach (var wrong in _noInstances)
            Assert.False(IsInstance(wrong), wrong);
    }

    [Fact]
    public void What_is_no_instance_by_the_schema_is_refused_by_the_command_too_and_changes_nothing()
    {
        var before = One("set", """{"name":"dsc-kept","environment":{"A":"1"}}""").ToJsonString();
        foreach (var wrong in _noInstances)
            Refused("set", wrong);
        Refused("get", """{"name":"*"}""");
        Refused("get", """{"name":"dsc-kept\n"}""");
        Refused("export", """{"socketMode":660}""");
        Refused("export", """{"state":"Idle"}""");
        Refused("delete", """{"name":["dsc-kept"]}""");
        Assert.Equal(before, One("get", """{"name":"dsc-kept"}""").ToJsonString());
        Command("delete", """{"name":"dsc-kept"}""").Succeeded();

        void Refused(string operation, string input)
        {
            var result = Command(operation, input);
            Assert.True(result.ExitCode == BadInput && result.StdOut.Length == 0, $"{input}: {result}");
            Assert.StartsWith("The input is no instance of HsmRemote/P11KitServer: ", (string?)JsonNode.Parse(result.StdErr)!["error"], StringComparison.Ordinal);
        }
    }

    [Fact]
    public void An_instance_comes_is_tested_is_changed_and_goes()
    {
        const string Desired = """{"name":"dsc","group":"dsc-users","targetUri":["pkcs11:token=dsc"],"allowPath":["/var/lib/dsc"],"environment":{"DSC_TEST":"1"}}""";
        Assert.False((bool)One("get", Desired)["_exist"]!);

        // What-if names the plan, and changes nothing.
        var predicted = One("whatIf", Desired);
        var steps = predicted["_metadata"]!["whatIf"]!.AsArray().Select(step => (string)step!).ToList();
        Assert.Contains("Create the file /etc/systemd/system/dsc.socket", steps);
        Assert.Contains(steps, step => step.Contains("\n+SocketGroup=dsc-users\n", StringComparison.Ordinal));
        Assert.False((bool)One("get", Desired)["_exist"]!);
        var (before, unlike) = Test(Desired);
        Assert.False(before);
        Assert.Equal(["_exist"], unlike.Intersect(["_exist"], StringComparer.Ordinal));

        // Set gives the state as get does, and it is what what-if predicted.
        var set = SetAsPredicted(Desired);
        Assert.Equal(One("get", Desired).ToJsonString(), set.ToJsonString());
        Assert.Equal("Listening", (string?)set["state"]);
        Assert.Equal((true, []), Test(Desired));
        // And so says the cmdlet.
        Assert.False(sandbox.HsmRemote("Install-P11KitServer dsc -Group dsc-users -TargetUri pkcs11:token=dsc -WhatIf").SucceededWithOne().GetProperty("Changed").GetBoolean());

        // What differs is named.
        var (isAsDesired, properties) = Test("""{"name":"dsc","targetUri":["pkcs11:token=other"],"mode":"PerConnection"}""");
        Assert.False(isAsDesired);
        Assert.Equal(["targetUri"], properties);
        sandbox.Shell("sed -i 's/SocketMode=0660/SocketMode=0666/' /etc/systemd/system/dsc.socket && systemctl daemon-reload && systemctl stop dsc.socket").Succeeded();
        (isAsDesired, properties) = Test("""{"name":"dsc","socketMode":"660"}""");
        Assert.False(isAsDesired);
        Assert.Equal(["socketMode", "state"], properties);
        Assert.Equal("0660", (string?)One("set", """{"name":"dsc","socketMode":"660"}""")["socketMode"]);

        // Exported, gone, and made anew of what was exported, it is the same, and so on a host whose groups have other numbers.
        var exported = Export("").Single(instance => (string?)instance["name"] is "dsc");
        Assert.Contains("dsc", Export("""{"group":"dsc-users"}""").Select(instance => (string?)instance["name"]));
        Assert.DoesNotContain("dsc", Export("""{"group":"nobody-has-it"}""").Select(instance => (string?)instance["name"]));
        Assert.Equal("""{"name":"dsc","_exist":false}""", One("set", """{"name":"dsc","_exist":false}""").ToJsonString());
        Assert.Equal((true, []), Test("""{"name":"dsc","_exist":false}"""));
        AssertIsMadeOf(exported);
        Assert.Equal("", Command("delete", """{"name":"dsc"}""").Succeeded());
        sandbox.Shell("groupadd --gid 7901 dsc-users").Succeeded();
        AssertIsMadeOf(exported);
        Assert.Equal(7901, (int?)One("get", """{"name":"dsc"}""")["groupId"]);

        Assert.Equal("", Command("delete", """{"name":"dsc"}""").Succeeded());
        Assert.False((bool)One("get", """{"name":"dsc"}""")["_exist"]!);
        Assert.Equal("", Command("delete", """{"name":"dsc"}""").Succeeded());
        sandbox.Shell("groupdel dsc-users").Succeeded();
    }

    [Fact]
    public void An_instance_of_a_user_is_made_of_what_was_exported()
    {
        sandbox.Shell("systemctl start user@0.service").Succeeded();
        One("set", """{"name":"dsc-own","scope":"User","targetUri":["pkcs11:token=own"]}""");
        var exported = Assert.Single(Export("""{"name":"dsc-own","scope":"User"}"""));
        Command("delete", """{"name":"dsc-own","scope":"User"}""").Succeeded();
        AssertIsMadeOf(exported);
        Command("delete", """{"name":"dsc-own","scope":"User"}""").Succeeded();
    }

    [Fact]
    public void Only_what_differs_is_named_and_what_if_predicts_what_set_gives()
    {
        sandbox.Shell("groupadd --gid 7902 dsc-there").Succeeded();
        const string Target = """
            "targetUri":["pkcs11:token=like;manufacturer=a","pkcs11:manufacturer=a;token=like"],"environment":{"ZZ":"3","B":"2","A":"1"},"serviceUser":"root","maxConnectionsPerSource":0
            """;
        SetAsPredicted($$"""{"name":"dsc-like","group":"dsc-like","socketMode":"660",{{Target}}}""");
        Assert.Equal(["group"], Test($$"""{"name":"dsc-like","scope":"System","socketMode":"660","group":"dsc-there",{{Target}}}""").Properties);
        Assert.Equal(["environment"], Test("""{"name":"dsc-like","environment":{"A":"1","b":"2","ZZ":"3"}}""").Properties);

        var exported = Export($$"""{"name":"dsc-like","state":"Listening","enabled":true,"drift":[],{{Target}}}""");
        Assert.Equal("dsc-like", (string?)Assert.Single(exported)["name"]);
        Assert.Empty(Export("""{"name":"dsc-like","state":"Failed"}"""));
        Assert.Empty(Export("""{"name":"dsc-like","enabled":false}"""));

        Assert.Equal(7902, (int?)SetAsPredicted("""{"name":"dsc-like","group":"dsc-there","socketMode":"0600"}""")["groupId"]);
        sandbox.Shell("systemctl stop dsc-like.socket").Succeeded();
        SetAsPredicted("""{"name":"dsc-like","groupId":0}""");
        SetAsPredicted("""{"name":"dsc-like","mode":"Daemon","peerUser":"root","peerGroup":""}""");
        SetAsPredicted("""{"name":"dsc-like","mode":"PerConnection"}""");
        SetAsPredicted("""{"name":"dsc-like","scope":"System","_exist":false}""");
        sandbox.Shell("groupdel dsc-there").Succeeded();
    }

    [Theory]
    [InlineData("""{"name":"dsc-bad","colour":"red"}""", BadInput, "has no property 'colour'")]
    [InlineData("""{"name":"dsc-bad","mode":"Fast"}""", BadInput, "PerConnection, Daemon, Acceptor")]
    [InlineData("""{"name":"dsc-bad" """, BadInput, "The input is no instance of HsmRemote/P11KitServer")]
    [InlineData("""{"group":"x"}""", BadInput, "It has to have the property 'name'")]
    [InlineData("""{"name":"dsc-bad","allowPath":["/run"]}""", 1, "Give the file or the directory that the module needs itself.")]
    [InlineData("""{"name":"dsc-bad","module":["no-such-module-at-all"]}""", 1, "Add -InstallPackage, or run: env DEBIAN_FRONTEND=noninteractive apt-get install")]
    public void A_failure_has_a_code_of_its_own_and_a_message_as_dsc_reads_it(string input, int code, string message)
    {
        var result = Command("set", input);
        Assert.Equal(code, result.ExitCode);
        Assert.Equal("", result.StdOut);
        var error = JsonNode.Parse(result.StdErr.Trim().Split('\n')[^1])!;
        Assert.Contains(message, (string?)error["error"], StringComparison.Ordinal);
        Assert.NotEqual(0, sandbox.Run("test", "-e", "/etc/dsc-bad").ExitCode);
    }

    [Fact]
    public void It_runs_in_the_shell_beside_it_or_the_one_on_PATH_and_says_when_there_is_none()
    {
        // As a repository's package leaves it: elsewhere, and nothing executable.
        sandbox.Shell($"mkdir -p /opt/dsc-alone && cp -r '{_module}' /opt/dsc-alone/HsmRemote && chmod -R a-x+X /opt/dsc-alone && ln -sf '{SandboxFixture.ShellPath}' /opt/dsc-alone/hsmremote").Succeeded();
        CommandResult Alone(string path) => sandbox.Shell($$"""cd /opt/dsc-alone/HsmRemote/Dsc && echo '{"name":"dsc-alone"}' | env PATH={{path}} /bin/sh p11kitserver.dsc.resource.sh get""");
        var found = Alone("/opt/dsc-alone:/usr/bin:/bin").Succeeded();
        Assert.Equal("""{"name":"dsc-alone","_exist":false}""", found);

        sandbox.Shell("mkdir -p /opt/dsc-alone/few && ln -sf /usr/bin/dirname /opt/dsc-alone/few/").Succeeded();
        var none = Alone("/opt/dsc-alone/few");
        Assert.Equal(NoEngine, none.ExitCode);
        Assert.Contains("neither hsmremote nor pwsh", (string?)JsonNode.Parse(none.StdErr)!["error"], StringComparison.Ordinal);
    }

    [Fact]
    public void Dsc_itself_gets_tests_sets_and_exports()
    {
        var dsc = sandbox.Shell("command -v dsc || true").Succeeded();
        Assert.SkipWhen(dsc.Length == 0, "dsc is not installed: what it does with the manifest is not known from a run of it.");
        JsonNode Dsc(string operation, string input) => JsonNode.Parse(sandbox.Shell(
            $"export DSC_RESOURCE_PATH='{_directory}'; printf '%s' '{input}' | '{dsc}' resource {operation} --resource HsmRemote/P11KitServer --file - --output-format json").Succeeded())!;

        Assert.False((bool)Dsc("get", """{"name":"dsc-real"}""")["actualState"]!["_exist"]!);
        Assert.False((bool)Dsc("test", """{"name":"dsc-real"}""")["inDesiredState"]!);
        Assert.Equal("Listening", (string?)Dsc("set", """{"name":"dsc-real"}""")["afterState"]!["state"]);
        Assert.True((bool)Dsc("test", """{"name":"dsc-real"}""")["inDesiredState"]!);
        sandbox.Shell($"DSC_RESOURCE_PATH='{_directory}' '{dsc}' resource export --resource HsmRemote/P11KitServer").Succeeded();
    }

    static bool IsInstance(string json) => _schema.Evaluate(JsonSerializer.Deserialize<JsonElement>(json)).IsValid;

    /// <summary>Runs an operation as dsc does: the manifest's program and arguments, in the manifest's directory.</summary>
    CommandResult Command(string operation, string input)
    {
        var method = _manifest[operation]!;
        return sandbox.Run(
            SandboxFixture.DefaultDeadline, input, "env",
            ["-C", _directory, (string)method["executable"]!, .. method["args"]!.AsArray().Select(argument => (string)argument!)]);
    }

    /// <summary>The state that an operation gives, which has to be an instance by the schema.</summary>
    JsonNode One(string operation, string input) => State(Assert.Single(Command(operation, input).Succeeded().Split('\n')));

    void AssertIsMadeOf(JsonNode exported)
    {
        One("set", exported.ToJsonString());
        Assert.Equal((true, []), Test(exported.ToJsonString()));
        Assert.Equal(exported.ToJsonString(), Assert.Single(Export($$"""{"name":"{{exported["name"]}}"}""")).ToJsonString());
    }

    /// <summary>Sets an instance, which has to have every property then that what-if said, and gives its state.</summary>
    JsonNode SetAsPredicted(string input)
    {
        var predicted = One("whatIf", input);
        var set = One("set", input);
        foreach (var (name, value) in predicted.AsObject().Where(property => property.Key is not "_metadata"))
            Assert.True(string.Equals(value!.ToJsonString(), set[name]?.ToJsonString(), StringComparison.Ordinal), $"{input}: {name}: {predicted}{set}");
        return set;
    }

    (bool IsAsDesired, string[] Properties) Test(string input)
    {
        var lines = Command("test", input).Succeeded().Split('\n');
        Assert.Equal(2, lines.Length);
        return ((bool)State(lines[0])["_inDesiredState"]!, [.. JsonNode.Parse(lines[1])!.AsArray().Select(name => (string)name!)]);
    }

    JsonNode[] Export(string filter) => [.. Command("export", filter).Succeeded().Split('\n', StringSplitOptions.RemoveEmptyEntries).Select(State)];

    static JsonNode State(string line)
    {
        var state = JsonNode.Parse(line)!;
        var evaluation = _schema.Evaluate(JsonSerializer.SerializeToElement(state), _list);
        Assert.True(evaluation.IsValid, $"{line} is no instance: {JsonSerializer.Serialize(evaluation)}");
        return state;
    }
}

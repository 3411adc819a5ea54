using HsmRemote.Services.P11Kit;
using HsmRemote.Services.Server;
using HsmRemote.Services.Systemd;

namespace HsmRemote.Tests.Server;

/// <summary>What a unit runs, as systemd gives its properties: which server, where, for whom, and with which tokens.</summary>
public sealed class ServerCommandTests
{
    // The unit of the package tedge-p11-kit-server (reubenmiller/hsm-research), its specifiers replaced.
    static readonly string[] Tedge =
        ["/usr/bin/p11-kit", "server", "-f", "-u", "tedge", "-g", "tedge", "-n", "/run/tedge-p11-kit-server/pkcs11", "${TARGET_PKCS11_URI}"];

    [Fact]
    public void The_package_s_command_takes_one_URI_from_a_variable()
    {
        var command = Command(Tedge, "TARGET_PKCS11_URI=pkcs11:model=PKCS%2315%20emulated;manufacturer=piv_II");
        Assert.False(command.IsRemote);
        Assert.Equal(("tedge", "tedge", "/run/tedge-p11-kit-server/pkcs11"), (command.Options.User, command.Options.Group, command.Options.Name));
        Assert.Equal("TARGET_PKCS11_URI", command.TargetVariable);
        Assert.False(command.TakesSeveral);
        Assert.Equal(["pkcs11:model=PKCS%2315%20emulated;manufacturer=piv_II"], command.Target);
        Assert.Equal(["pkcs11:token=a pkcs11:token=b"], Command(Tedge, "TARGET_PKCS11_URI=pkcs11:token=a pkcs11:token=b").Target);
        Assert.Empty(Command(Tedge, "TARGET_PKCS11_URI=").Target);
    }

    [Theory]
    [InlineData("pkcs11:token=a pkcs11:token=b", "pkcs11:token=a", "pkcs11:token=b")]
    [InlineData("  'pkcs11:token=a'  \"pkcs11:token=b c\"", "pkcs11:token=a", "pkcs11:token=b c")]
    [InlineData("")]
    public void A_variable_without_braces_is_split_as_systemd_does(string value, params string[] target)
    {
        var command = Command(["/usr/bin/p11-kit", "remote", "$TARGET_PKCS11_URI"], $"TARGET_PKCS11_URI={value}");
        Assert.True(command.IsRemote);
        Assert.Equal(target, command.Target);
        Assert.Equal("TARGET_PKCS11_URI", command.TargetVariable);
        Assert.True(command.TakesSeveral);
        Assert.Null(command.Plain);
    }

    [Fact]
    public void URIs_in_the_command_itself_are_read_and_the_rest_can_be_written_again()
    {
        var command = Command(["/usr/bin/p11-kit", "server", "-f", "-n", "/run/p11-kit/pkcs11", "pkcs11:model=PKCS%2315%20emulated;manufacturer=piv_II;", "--provider", "/a b.so", "pkcs11:token=$$x"]);
        Assert.Equal(["pkcs11:model=PKCS%2315%20emulated;manufacturer=piv_II;", "pkcs11:token=$x"], command.Target);
        Assert.Null(command.TargetVariable);
        Assert.Equal(["/usr/bin/p11-kit", "server", "-f", "-n", "/run/p11-kit/pkcs11", "--provider", "/a b.so"], command.Plain!);
    }

    [Theory]
    [InlineData("exec p11-kit server -f -n /run/x \"$URI\"", "/run/x", "pkcs11:token=a b", "URI")]
    [InlineData("cd /; sleep 1 && /usr/bin/p11-kit -v server --foreground --name=/run/x 'pkcs11:token=c;serial=1'; echo", "/run/x", "pkcs11:token=c;serial=1", null)]
    // An unquoted semicolon ends the command: the server gets less than was meant.
    [InlineData("p11-kit server -fn /run/x pkcs11:token=c;serial=1", "/run/x", "pkcs11:token=c", null)]
    [InlineData("exec /usr/libexec/p11-kit/p11-kit-server -n ${DIR}/pkcs11 pkcs11:", "/run/dir/pkcs11", "pkcs11:", null)]
    public void A_shell_in_between_is_seen_through(string script, string name, string target, string? variable)
    {
        var command = Command(["/bin/sh", "-c", script], "URI=pkcs11:token=a b", "DIR=/run/dir");
        Assert.Equal(name, command.Options.Name);
        Assert.Equal([target], command.Target);
        Assert.Equal(variable, command.TargetVariable);
        Assert.Null(command.Plain);
    }

    [Theory]
    [InlineData("/usr/bin/cat", "/etc/tedge-p11-kit-server/config.env")]
    [InlineData("/bin/sh", "-c", "cat /etc/tedge-p11-kit-server/config.env")]
    [InlineData("/usr/bin/p11-kit", "list-modules")]
    public void What_only_mentions_a_server_is_none(params string[] arguments) => Assert.Null(Find(arguments));

    [Theory]
    [InlineData("-u7 pkcs11:", "7", null)]
    [InlineData("-fu 7 --group=8", "7", "8")]
    [InlineData("--us 7 --gr 8", "7", "8")]
    [InlineData("-n -u -g 8", null, "8")]
    [InlineData("-- -u 7", null, null)]
    [InlineData("-u", null, null)]
    public void Options_are_read_as_getopt_does(string arguments, string? user, string? group)
    {
        var options = P11KitOptions.Parse(arguments.Split(' '));
        Assert.Equal((user, group), (options.User, options.Group));
    }

    [Fact]
    public void The_environment_is_that_of_systemd_files_after_assignments_and_what_is_unset_gone()
    {
        using var directory = new TemporaryFiles();
        var first = directory.Write("10.env", "A=first\nB=\"from file\"\nC=file\n");
        directory.Write("20.env", "A=second\n");
        var environment = ServiceEnvironment.Of("x", Unit(new()
        {
            ["Environment"] = new List<object?> { "A=unit", "D=unit", "E=1" },
            ["EnvironmentFiles"] = new List<object?>
            {
                new List<object?> { $"{directory.Path}/none.env", true },
                new List<object?> { $"{directory.Path}/*.env", false },
                new List<object?> { $"{directory.Path}/gone", false },
            },
            ["UnsetEnvironment"] = new List<object?> { "C", "E=2" },
            ["RuntimeDirectory"] = new List<object?> { "edge" },
        }));
        Assert.Equal(
            ["second", "from file", null, "unit", "1", "/run/edge"],
            new[] { "A", "B", "C", "D", "E", "RUNTIME_DIRECTORY" }.Select(name => environment[name]));
        Assert.Equal(first, environment.FileOf("B"));
        Assert.Null(environment.FileOf("D"));
        Assert.Equal([$"{directory.Path}/gone"], environment.Missing);
    }

    [Theory]
    [InlineData("wa@0-108-5000.service", 108, 5000u)]
    [InlineData("wa@12-108_7766-0.service", 108, 0u)]
    [InlineData("wa@prod.service", null, null)]
    [InlineData("wa.socket", null, null)]
    public void The_name_of_a_connection_s_unit_has_its_peer(string unit, int? process, uint? user) =>
        Assert.Equal((process, user), (ServerLog.Peer(unit)?.ProcessId, ServerLog.Peer(unit)?.UserId));

    static ServerCommand Command(string[] arguments, params string[] environment) => Find(arguments, environment)!;

    static ServerCommand? Find(string[] arguments, params string[] environment)
    {
        var unit = Unit(new()
        {
            ["ExecStart"] = new List<object?> { new List<object?> { arguments[0], arguments.Cast<object?>().ToList(), false } },
            ["Environment"] = environment.Cast<object?>().ToList(),
        });
        return ServerCommand.Find(unit, ServiceEnvironment.Of("x", unit));
    }

    static UnitProperties Unit(Dictionary<string, object?> properties) => new(properties.GetValueOrDefault);

    sealed class TemporaryFiles : IDisposable
    {
        internal string Path { get; } = Directory.CreateTempSubdirectory("hsmremote-test-").FullName;

        internal string Write(string name, string content)
        {
            var path = System.IO.Path.Combine(Path, name);
            File.WriteAllText(path, content);
            return path;
        }

        public void Dispose() => Directory.Delete(Path, recursive: true);
    }
}

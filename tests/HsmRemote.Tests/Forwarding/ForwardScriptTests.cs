using System.Net.Sockets;
using HsmRemote.Services.Forwarding;
using HsmRemote.Services.Native;

namespace HsmRemote.Tests.Forwarding;

/// <summary>What the scripts of a forward do, where no ssh is needed to see it.</summary>
public sealed class ForwardScriptTests : IDisposable
{
    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("p11-forward-");

    public void Dispose() => directory.Delete(recursive: true);

    [Theory]
    [InlineData("own")]
    [InlineData("hold")]
    public async Task What_ssh_did_not_make_is_not_given_away_nor_removed(string verb)
    {
        const UnixFileMode Mode = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        var socket = In("socket");
        var link = In("link");
        using var listener = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        listener.Bind(new UnixDomainSocketEndPoint(socket));
        File.SetUnixFileMode(socket, Mode);
        File.CreateSymbolicLink(link, socket);
        foreach (var path in (string[])[link, In("nothing")])
        {
            var ended = await RunAsync(Write("end.sh", ForwardUnit.Script("end.sh")), verb, path, "-", "-", "0666", "0123456789abcdef");
            Assert.Equal((3, "", $"p11-forward: {path} was not made: nothing or somebody else's is there\n"), (ended.ExitCode, ended.Output, ended.Errors));
        }

        Assert.Equal(Mode, File.GetUnixFileMode(socket));
        Assert.Equal(socket, new FileInfo(link).LinkTarget);
    }

    [Fact]
    public async Task Pauses_double_up_to_a_minute_and_begin_anew_after_a_connection()
    {
        Write("end.sh", ForwardUnit.Script("end.sh"));
        // The ninth attempt connects and drops at once; all others fail.
        WriteProgram("ssh", """
            case "$*" in
                *' hold '*) echo 'p11-forward ready' ;;
                *' prepare '*) [ "$(wc -l <"$RUNTIME_DIRECTORY/pauses")" -eq 8 ] && exit ;;
            esac
            echo 'ssh: connect to host far port 22: Connection refused' >&2
            exit 255
            """);
        // What would wait says for how long, and ends the tunnel when enough was seen.
        WriteProgram("sleep", """
            echo "$1 $(grep Attempts "$RUNTIME_DIRECTORY/state")" >>"$RUNTIME_DIRECTORY/pauses"
            [ "$(wc -l <"$RUNTIME_DIRECTORY/pauses")" -lt 11 ] || kill "$PPID"
            """);
        Write("pauses", "");
        var ended = await ChildProcess.RunAsync(
            "env",
            [
                $"PATH={directory.FullName}:{Environment.GetEnvironmentVariable("PATH")}", $"RUNTIME_DIRECTORY={directory.FullName}",
                "/bin/sh", Write("tunnel.sh", ForwardUnit.Script("tunnel.sh")), "Push", "/run/edge/pkcs11", "/tmp/pkcs11", "-", "-", "0600", "0123456789abcdef", "-", "far",
            ],
            TestContext.Current.CancellationToken);
        Assert.Equal(0, ended.ExitCode);
        int[] pauses = [1, 2, 4, 8, 16, 32, 60, 60, 1, 2, 4];
        Assert.Equal(pauses.Select((seconds, i) => $"{seconds} Attempts={i + 1}"), await File.ReadAllLinesAsync(In("pauses"), TestContext.Current.CancellationToken));
        Assert.Contains("Connection refused", await File.ReadAllTextAsync(In("errors"), TestContext.Current.CancellationToken), StringComparison.Ordinal);
    }

    string In(string name) => Path.Combine(directory.FullName, name);

    string Write(string name, string text)
    {
        File.WriteAllText(In(name), text);
        return In(name);
    }

    void WriteProgram(string name, string script) => File.SetUnixFileMode(Write(name, $"#!/bin/sh\n{script}\n"), UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

    static Task<ChildProcess.Result> RunAsync(params IReadOnlyList<string> arguments) =>
        ChildProcess.RunAsync("/bin/sh", arguments, TestContext.Current.CancellationToken);
}

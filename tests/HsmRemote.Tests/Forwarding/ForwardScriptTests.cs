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

    string In(string name) => Path.Combine(directory.FullName, name);

    string Write(string name, string text)
    {
        File.WriteAllText(In(name), text);
        return In(name);
    }

    static Task<ChildProcess.Result> RunAsync(params IReadOnlyList<string> arguments) =>
        ChildProcess.RunAsync("/bin/sh", arguments, TestContext.Current.CancellationToken);
}

using System.Text;
using System.Text.Json;
using HsmRemote.Services.Systemd;

namespace HsmRemote.SystemTests;

/// <summary>10,000 hostile values: what is not refused arrives byte for byte, by systemd's account and by the process's own.</summary>
public sealed class HostileValueTests(SandboxFixture sandbox)
{
    const int Seed = 7512;
    const int Variables = 4000;
    const int Directives = 3000;
    const int Arguments = 2000;
    const int WritablePaths = 700;
    const int SocketPaths = 300;
    const int NameLimit = 255;
    const int LongestPathNames = 15;
    const int SocketPathLimit = 107;

    static readonly string[] Parts =
    [
        " ", "  ", "\t", "\"", "'", "%", "%%", "%n", "%h", "$", "$$", "$HOME", "${HOME}", "\\", "\\\\", "\\n", "\\x41", "\\\"", "\n", "\r", "\0", ";", " ; ", "#", "=",
        "é", "日本", "😀", "\u00a0", "\u2028", "\u0085", "\ufeff", "\u0001", "\u007f", "\ud800", "\udc00", "\uffff", "`", "*", "?", "[", "~", "-", "+", "!", "@", ":", "|", "&", "<", "a", "Bc", "1",
    ];

    [Fact]
    public void An_environment_file_brings_a_process_what_was_written()
    {
        var random = new Random(Seed);
        Dictionary<string, string> wanted = new(StringComparer.Ordinal);
        var file = EnvironmentFile.Parse("# hostile\n");
        Take(Variables, () => Value(random), (i, value) =>
        {
            file = file.With($"V{i}", value);
            wanted[$"V{i}"] = value;
        });
        sandbox.WriteFile("/var/tmp/hostile.env", file.ToString());
        var read = EnvironmentFile.Parse(file.ToString());
        Assert.All(wanted, pair => Assert.Equal(pair.Value, read[pair.Key]));

        // 64 for a letter, so that what is not UTF-8 would be seen too.
        var seen = sandbox.Run(
            "systemd-run", "--quiet", "--pipe", "--wait", "--unit=hostile-env", "--property=EnvironmentFile=/var/tmp/hostile.env", "base64", "--wrap=0", "/proc/self/environ");
        AssertVariables(wanted, Words(seen.Succeeded()));
    }

    [Fact]
    public void Units_bring_systemd_and_a_process_what_was_written()
    {
        var random = new Random(Seed + 1);
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        List<string> arguments = [];
        List<string> writable = [];
        List<string> sockets = [];
        var unit = new UnitFile().Section("Service").Set("Type", "oneshot");
        Take(Directives, () => Value(random), (i, value) =>
        {
            unit.Set("Environment", UnitFile.Word($"V{i}={value}"));
            variables[$"V{i}"] = value;
        });
        Take(WritablePaths, () => Path(random), (_, value) =>
        {
            unit.Set("ReadWritePaths", UnitFile.Word($"-{value}"));
            writable.Add($"-{value}");
        });
        var line = new StringBuilder("/opt/hostile-dump");
        Take(Arguments, () => Value(random), (_, value) =>
        {
            var word = UnitFile.Argument(SystemdText.Require(value, "an argument"));
            line.Append(' ').Append(word);
            arguments.Add(value);
        });
        unit.Set("ExecStart", line.ToString());
        var socket = new UnitFile().Section("Socket");
        Take(SocketPaths, () => "/run/hostile/" + Value(random, SocketPathLimit - 13), (_, value) =>
        {
            socket.SetLiteral("ListenStream", value);
            sockets.Add(value);
        });
        sandbox.WriteFile("/opt/hostile-dump", "#!/bin/sh\nbase64 --wrap=0 /proc/$$/cmdline >/var/tmp/hostile.cmdline\nbase64 --wrap=0 /proc/$$/environ >/var/tmp/hostile.environ\n", "0755");
        sandbox.WriteFile("/etc/systemd/system/hostile-unit.service", unit.ToString());
        sandbox.WriteFile("/etc/systemd/system/hostile-unit.socket", socket.ToString());
        sandbox.Run("systemctl", "daemon-reload").Succeeded();

        AssertVariables(variables, Property("service", "Service", "Environment").EnumerateArray().Select(e => e.GetString()!));
        Assert.Equal(writable.Distinct(StringComparer.Ordinal), Property("service", "Service", "ReadWritePaths").EnumerateArray().Select(e => e.GetString()!).Distinct(StringComparer.Ordinal));
        // Dollar signs are doubled until the process is started.
        var argv = Property("service", "Service", "ExecStart")[0][1].EnumerateArray().Select(e => e.GetString()!.Replace("$$", "$", StringComparison.Ordinal)).ToList();
        Assert.Equal(arguments, argv[1..]);
        Assert.Equal(sockets, Property("socket", "Socket", "Listen").EnumerateArray().Select(e => SystemdText.Unescape(e[1].GetString()!)));

        sandbox.Run("systemctl", "start", "hostile-unit.socket").Succeeded();
        var bound = sandbox.Shell("find /run/hostile -type s -print0 | base64 --wrap=0").Succeeded();
        Assert.Equal(sockets.Distinct(StringComparer.Ordinal).Order(StringComparer.Ordinal), Words(bound).Order(StringComparer.Ordinal));
        sandbox.Run("systemctl", "stop", "hostile-unit.socket").Succeeded();

        // Its own mounts are not what is tested, and a path that is not there is not mounted.
        sandbox.Run("systemctl", "start", "hostile-unit.service").Succeeded();
        Assert.Equal(arguments, Words(sandbox.Run("cat", "/var/tmp/hostile.cmdline").Succeeded()).Skip(2));
        AssertVariables(variables, Words(sandbox.Run("cat", "/var/tmp/hostile.environ").Succeeded()));
    }

    JsonElement Property(string ending, string type, string name)
    {
        var result = sandbox.Run(
            "busctl", "--json=short", "get-property", "org.freedesktop.systemd1", $"/org/freedesktop/systemd1/unit/hostile_2dunit_2e{ending}", $"org.freedesktop.systemd1.{type}", name);
        using var document = JsonDocument.Parse(result.Succeeded());
        return document.RootElement.GetProperty("data").Clone();
    }

    /// <summary>Has that many values taken or refused. Some of each there have to be, or nothing was tested.</summary>
    static void Take(int count, Func<string> next, Action<int, string> take)
    {
        var refused = 0;
        for (var i = 0; i < count; i++)
        {
            try
            {
                take(i, next());
            }
            catch (HsmRemoteException e)
            {
                Assert.Equal("ValueNotCarried", e.ErrorId);
                refused++;
            }
        }

        Assert.InRange(refused, count / 10, count * 9 / 10);
    }

    static string Value(Random random, int limit = 4096)
    {
        // One of these in a long value and it is refused, so they are left out of most.
        string[] parts = random.Next(3) == 0 ? Parts : [.. Parts.Where(p => p.All(c => c == '\t' || !char.IsControl(c)) && p is not ("\ud800" or "\udc00" or "\uffff"))];
        var length = random.Next(50) == 0 ? limit : random.Next(1, Math.Min(limit, 24));
        var text = new StringBuilder();
        while (true)
        {
            var part = parts[random.Next(parts.Length)];
            if (Encoding.UTF8.GetByteCount(text.ToString()) + Encoding.UTF8.GetByteCount(part) > length)
                return text.Length == 0 ? "x" : text.ToString();
            text.Append(part);
        }
    }

    static string Path(Random random) =>
        string.Concat(Enumerable.Range(0, random.Next(50) == 0 ? LongestPathNames : 1).Select(_ => "/" + Value(random, NameLimit)));

    static void AssertVariables(Dictionary<string, string> wanted, IEnumerable<string> assignments)
    {
        var seen = assignments.Select(a => a.Split('=', 2)).Where(pair => wanted.ContainsKey(pair[0])).ToDictionary(pair => pair[0], pair => pair[1], StringComparer.Ordinal);
        Assert.All(wanted, pair => Assert.Equal(pair.Value, seen.GetValueOrDefault(pair.Key)));
    }

    static string[] Words(string base64) => new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(Convert.FromBase64String(base64)).TrimEnd('\0').Split('\0');
}

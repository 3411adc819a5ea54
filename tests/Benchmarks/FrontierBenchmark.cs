using System.Diagnostics;
using System.Globalization;
using System.Management.Automation.Runspaces;
using HsmRemote.Services.Server;
using HsmRemote.Tests;

namespace HsmRemote.Benchmarks;

/// <summary>What a sandbox costs a connection, and what it buys: milliseconds against the score of systemd-analyze security.</summary>
static class FrontierBenchmark
{
    const string DaemonSocket = "/run/frontier-daemon";
    const string Prefix = "frontier-";
    const string UnitDirectory = "/etc/systemd/system";
    const string Remote = $"/usr/bin/p11-kit remote pkcs11:token={SocketBenchmark.Token}";

    // The modes that Install-P11KitServer knows.
    static readonly P11KitServerMode[] Modes = [P11KitServerMode.PerConnection];

    // What makes a mount namespace, and what a filter of system calls.
    static readonly string[] Mounts =
        ["ProtectSystem", "ProtectHome", "TemporaryFileSystem", "BindReadOnlyPaths", "InaccessiblePaths", "ReadWritePaths", "PrivateTmp", "PrivateDevices",
         "ProtectKernelModules", "ProtectKernelLogs", "ProtectProc", "ProcSubset"];

    static readonly string[] Filters =
        ["NoNewPrivileges", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RestrictAddressFamilies", "LockPersonality", "MemoryDenyWriteExecute",
         "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber", "ProtectClock", "ProtectHostname"];

    sealed record Point(string Name, string Socket, string? Unit)
    {
        internal List<double> Milliseconds { get; } = [];
    }

    internal static void Run(int rounds, string loopProgram)
    {
        List<Point> points = [];
        using var daemon = SocketBenchmark.StartDaemon(DaemonSocket);
        points.Add(new("p11-kit server, as it is", DaemonSocket, null));

        var ours = SandboxDirectives.Of(SandboxRequest.Nothing, ModuleNeeds.OfThisHost(new Dictionary<string, string>(StringComparer.Ordinal), P11KitServerScope.System), []);
        points.Add(PerConnection("nothing", "per connection, no directive", []));
        points.Add(PerConnection("filters", "per connection, our filters of system calls", [.. ours.Where(d => Filters.Contains(d.Directive))]));
        points.Add(PerConnection("mounts", "per connection, our mounts", [.. ours.Where(d => Mounts.Contains(d.Directive))]));
        points.Add(PerConnection("both", "per connection, both", [.. ours.Where(d => Mounts.Contains(d.Directive) || Filters.Contains(d.Directive))]));
        points.Add(PerConnection("more", "per connection, all of ours, and more",
            [.. ours, ("ProtectKernelTunables", "yes"), ("ProtectControlGroups", "yes")]));
        points.Add(Acceptor("acceptor", "accepted by systemd-socket-activate, all of ours", ours));
        foreach (var point in points.Where(point => point.Unit is not null))
            SocketBenchmark.Run("systemctl", "start", $"{Path.GetFileName(Path.GetDirectoryName(point.Socket))}.socket");

        using var session = RunspaceFactory.CreateRunspace();
        session.Open();
        SocketBenchmark.Invoke(session, $"Import-Module '{Checkout.Manifest}'");
        foreach (var mode in Modes)
        {
            var name = $"{Prefix}{mode}".ToLowerInvariant();
            var given = mode == P11KitServerMode.PerConnection ? "" : $"-Mode {mode}";
            SocketBenchmark.Invoke(session, $"Install-P11KitServer {name} {given} -TargetUri 'pkcs11:token={SocketBenchmark.Token}'");
            points.Add(new($"Install-P11KitServer {given}", $"/run/{name}/pkcs11", mode == P11KitServerMode.PerConnection ? $"{name}@1.service" : $"{name}.service"));
        }

        try
        {
            Measure(points, rounds, loopProgram);
        }
        finally
        {
            daemon.Kill(entireProcessTree: true);
        }

        Print(points);
    }

    static Point PerConnection(string tag, string name, IReadOnlyList<(string Directive, string Value)> directives) =>
        Write(tag, name, "@", $"ExecStart={Remote}\nStandardInput=socket\nStandardOutput=socket\nStandardError=journal\n", directives);

    static Point Acceptor(string tag, string name, IReadOnlyList<(string Directive, string Value)> directives) =>
        Write(tag, name, "", $"ExecStart=/usr/bin/systemd-socket-activate --accept --inetd {Remote}\n", directives);

    static Point Write(string tag, string name, string at, string service, IReadOnlyList<(string Directive, string Value)> directives)
    {
        var unit = $"{Prefix}{tag}";
        File.WriteAllText(Path.Combine(UnitDirectory, $"{unit}.socket"),
            $"[Socket]\nListenStream=/run/{unit}/pkcs11\nAccept={(at.Length > 0 ? "yes" : "no")}\nMaxConnections=256\nTriggerLimitIntervalSec=0\n");
        File.WriteAllText(Path.Combine(UnitDirectory, $"{unit}{at}.service"),
            $"[Service]\n{service}{string.Concat(directives.Select(d => $"{d.Directive}={d.Value}\n"))}");
        SocketBenchmark.Run("systemctl", "daemon-reload");
        return new(name, $"/run/{unit}/pkcs11", at.Length > 0 ? $"{unit}@1.service" : $"{unit}.service");
    }

    static void Measure(List<Point> points, int rounds, string loopProgram)
    {
        const int WarmUp = 3;
        List<(Point Point, Contender Contender, Process Process)> racers = [];
        foreach (var point in points)
        {
            var process = Process.Start(Contender.Start(point.Socket, loopProgram, SocketBenchmark.ClientModule))!;
            racers.Add((point, Contender.Loop(point.Name, process), process));
        }

        for (var round = -WarmUp; round < rounds; round++)
        {
            // Whatever else the machine does, it does to all alike.
            foreach (var (point, contender, _) in racers.Shuffle())
            {
                Thread.Sleep(SocketBenchmark.Pause);
                var elapsed = contender.Round();
                if (round >= 0)
                    point.Milliseconds.Add(elapsed.TotalMilliseconds);
            }
        }

        foreach (var (_, _, process) in racers)
        {
            process.StandardInput.Close();
            process.WaitForExit();
            process.Dispose();
        }
    }

    static void Print(List<Point> points)
    {
        Console.WriteLine($"\nThe sandbox: what it costs from the connection to the list of tokens, and its score\n");
        Console.WriteLine($"  {"",-52}{"score",6}{"least",10}{"quarter",10}{"median",10}{"/ daemon",10}");
        var daemon = points[0].Milliseconds.Min();
        foreach (var point in points)
        {
            var times = point.Milliseconds.Order().ToList();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"  {point.Name,-52}{Score(point.Unit),6}{times[0],7:F1} ms{times[times.Count / 4],7:F1} ms{times[times.Count / 2],7:F1} ms{times[0] / daemon,10:F2}"));
        }
    }

    // "→ Overall exposure level for x.service: 1.3 OK"
    static string Score(string? unit) =>
        unit is null ? "9.6" : SocketBenchmark.Run("systemd-analyze", "security", "--no-pager", unit).Split(": ")[^1].Split(' ')[0];
}

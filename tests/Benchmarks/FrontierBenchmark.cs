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

    // What makes a mount namespace, and what a filter of system calls.
    static readonly string[] Mounts =
        ["ProtectSystem", "ProtectHome", "TemporaryFileSystem", "BindReadOnlyPaths", "InaccessiblePaths", "ReadWritePaths", "PrivateTmp", "PrivateIPC", "PrivateDevices",
         "ProtectKernelTunables", "ProtectControlGroups", "ProtectKernelModules", "ProtectKernelLogs", "ProtectProc", "ProcSubset"];

    static readonly string[] Filters =
        ["NoNewPrivileges", "RestrictNamespaces", "RestrictRealtime", "RestrictSUIDSGID", "RestrictAddressFamilies", "LockPersonality", "MemoryDenyWriteExecute",
         "SystemCallArchitectures", "SystemCallFilter", "SystemCallErrorNumber", "ProtectClock", "ProtectHostname"];

    /// <param name="Name">What the table calls it.</param>
    /// <param name="Socket">Where it listens.</param>
    /// <param name="Unit">What runs for it, for the score.</param>
    /// <param name="Group">The control group of all that runs for it, below system.slice.</param>
    sealed record Point(string Name, string Socket, string Unit, string Group)
    {
        internal List<double> Milliseconds { get; } = [];

        internal double ProcessorMilliseconds { get; set; }
    }

    internal static void Run(int rounds, string loopProgram)
    {
        List<Point> points = [];
        const string Daemon = $"{Prefix}daemon.service";
        SocketBenchmark.Run("systemd-run", "--quiet", $"--unit={Daemon}", "p11-kit", "server", "-f", "-n", DaemonSocket, $"pkcs11:token={SocketBenchmark.Token}");
        while (!File.Exists(DaemonSocket))
            Thread.Sleep(10);
        points.Add(new("p11-kit server, as it is", DaemonSocket, Daemon, Daemon));

        var ours = SandboxDirectives.Of(SandboxRequest.Nothing, ModuleNeeds.OfThisHost(new Dictionary<string, string>(StringComparer.Ordinal), P11KitServerScope.System), []);
        points.Add(PerConnection("nothing", "per connection, no directive", []));
        points.Add(PerConnection("filters", "per connection, our filters of system calls", [.. ours.Where(d => Filters.Contains(d.Directive))]));
        points.Add(PerConnection("mounts", "per connection, our mounts", [.. ours.Where(d => Mounts.Contains(d.Directive))]));
        points.Add(PerConnection("both", "per connection, both", [.. ours.Where(d => Mounts.Contains(d.Directive) || Filters.Contains(d.Directive))]));
        points.Add(PerConnection("open", "per connection, all of ours, with /proc and /sys", [.. ours.Where(d => d.Directive is not "InaccessiblePaths")]));
        foreach (var point in points.Skip(1))
            SocketBenchmark.Run("systemctl", "start", $"{Path.GetFileName(Path.GetDirectoryName(point.Socket))}.socket");

        using var session = RunspaceFactory.CreateRunspace(InitialSessionState.CreateDefault2());
        session.Open();
        SocketBenchmark.Invoke(session, $"Import-Module '{Checkout.Manifest}'");
        foreach (var mode in Enum.GetValues<P11KitServerMode>())
        {
            var name = $"mode-{mode}".ToLowerInvariant();
            SocketBenchmark.Invoke(session, $"Install-P11KitServer {name} -Mode {mode} -TargetUri 'pkcs11:token={SocketBenchmark.Token}'");
            points.Add(Of($"Install-P11KitServer -Mode {mode}", name, mode == P11KitServerMode.PerConnection));
        }

        Measure(points, rounds, loopProgram);
        Print(points);
    }

    static Point PerConnection(string tag, string name, IReadOnlyList<(string Directive, string Value)> directives)
    {
        var unit = $"{Prefix}{tag}";
        File.WriteAllText(Path.Combine(UnitDirectory, $"{unit}.socket"),
            $"[Socket]\nListenStream=/run/{unit}/pkcs11\nAccept=yes\nMaxConnections=256\nTriggerLimitIntervalSec=0\n");
        File.WriteAllText(Path.Combine(UnitDirectory, $"{unit}@.service"),
            $"[Service]\nExecStart={Remote}\nStandardInput=socket\nStandardOutput=socket\nStandardError=journal\n"
            + string.Concat(directives.Select(d => $"{d.Directive}={d.Value}\n")));
        SocketBenchmark.Run("systemctl", "daemon-reload");
        return Of(name, unit, isTemplate: true);
    }

    static Point Of(string name, string instance, bool isTemplate) =>
        new(name, $"/run/{instance}/pkcs11", isTemplate ? $"{instance}@1.service" : $"{instance}.service",
            isTemplate ? new InstanceLayout(instance).ConnectionSlice : $"{instance}.service");

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
            if (round == 0)
                points.ForEach(point => point.ProcessorMilliseconds = -Processor(point.Group));
            // Whatever else the machine does, it does to all alike.
            foreach (var (point, contender, _) in racers.Shuffle())
            {
                Thread.Sleep(SocketBenchmark.Pause);
                var elapsed = contender.Round();
                if (round >= 0)
                    point.Milliseconds.Add(elapsed.TotalMilliseconds);
            }
        }

        points.ForEach(point => point.ProcessorMilliseconds = (point.ProcessorMilliseconds + Processor(point.Group)) / rounds);
        foreach (var (_, _, process) in racers)
        {
            process.StandardInput.Close();
            process.WaitForExit();
            process.Dispose();
        }
    }

    /// <summary>The processor time that a control group has used, in milliseconds: hardly touched by what else the machine does.</summary>
    static double Processor(string group)
    {
        // Where both versions are mounted, the second is beside the first.
        string[] places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup"];
        var file = places.Select(place => $"{place}/system.slice/{group}/cpu.stat").FirstOrDefault(File.Exists);
        return file is null ? double.NaN : double.Parse(File.ReadLines(file).First().Split(' ')[1], CultureInfo.InvariantCulture) / 1000;
    }

    static void Print(List<Point> points)
    {
        Console.WriteLine($"\nThe sandbox: what it costs from the connection to the list of tokens, and its score\n");
        Console.WriteLine($"  {"",-52}{"score",6}{"processor",11}{"least",10}{"quarter",10}{"median",10}{"/ daemon",10}");
        var daemon = points[0].Milliseconds.Min();
        foreach (var point in points)
        {
            var times = point.Milliseconds.Order().ToList();
            Console.WriteLine(string.Create(CultureInfo.InvariantCulture,
                $"  {point.Name,-52}{Score(point.Unit),6}{point.ProcessorMilliseconds,8:F1} ms{times[0],7:F1} ms{times[times.Count / 4],7:F1} ms{times[times.Count / 2],7:F1} ms{times[0] / daemon,10:F2}"));
        }
    }

    // "→ Overall exposure level for x.service: 1.3 OK"
    static string Score(string unit) => SocketBenchmark.Run("systemd-analyze", "security", "--no-pager", unit).Split(": ")[^1].Split(' ')[0];
}

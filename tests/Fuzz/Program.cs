using System.Diagnostics;
using System.Globalization;
using CsCheck;
using HsmRemote.Fuzz;
using HsmRemote.Fuzz.Uris;

// Hostile servers without end, or nearly:
//
//   --seconds N     for how long (60)
//   --seed S        which cases (others each time)
//   --case N        only this one of that seed, as a failure names it
//   --record DIR    no cases: make the corpus anew, with the real p11-kit and SoftHSM
//
// One case of 16 is a whole test over a real socket, the others are the client over a stream in memory.
//
// With 'uris' before them, other options: URIs, judged by what libp11-kit.so.0 makes of them:
//
//   uris --count N      how many (1,000,000)
//   uris --seed S       which (1)
//   uris --case N       only this one of that seed
if (args is ["uris", .. var ofUris])
    return UriFuzz.Run(Options(ofUris));
var options = Options(args);
if (options.GetValueOrDefault("--record") is { } corpus)
{
    await Recorder.RecordAsync(corpus);
    return 0;
}

var seed = options.GetValueOrDefault("--seed") is { } given ? ulong.Parse(given, CultureInfo.InvariantCulture) : (ulong)Stopwatch.GetTimestamp();
using var judge = new Judge();
if (options.GetValueOrDefault("--case") is { } single)
    return await TryAsync(long.Parse(single, CultureInfo.InvariantCulture)) ? 0 : 1;

var length = TimeSpan.FromSeconds(double.Parse(options.GetValueOrDefault("--seconds", "60"), CultureInfo.InvariantCulture));
Console.WriteLine($"seed {seed}, {length.TotalSeconds:0.###} s");
var started = Stopwatch.GetTimestamp();
long next = -1;
var failed = false;
await Task.WhenAll(Enumerable.Range(0, Environment.ProcessorCount).Select(_ => Task.Run(WorkAsync)));
var elapsed = Stopwatch.GetElapsedTime(started);
Console.WriteLine($"{next + 1} cases in {elapsed.TotalSeconds:F1} s, {(next + 1) / elapsed.TotalSeconds:F0} a second: {(failed ? "FAILED" : "no failure")}");
return failed ? 1 : 0;

static Dictionary<string, string> Options(string[] words) => words.Chunk(2).ToDictionary(pair => pair[0], pair => pair[^1], StringComparer.Ordinal);

async Task WorkAsync()
{
    while (!Volatile.Read(ref failed) && Stopwatch.GetElapsedTime(started) < length)
    {
        if (!await TryAsync(Interlocked.Increment(ref next)))
            Volatile.Write(ref failed, true);
    }
}

async Task<bool> TryAsync(long number)
{
    const int WholeTests = 16;
    var random = new PCG(1, unchecked(seed + (ulong)number));
    var isWhole = number % WholeTests == 0;
    var hostile = (isWhole ? HostileCase.Brisk : HostileCase.Any).Generate(random, null, out _);
    var wrong = isWhole ? await judge.OfTestAsync(hostile) : Judge.OfClient(hostile);
    if (wrong is null)
        return true;
    Console.WriteLine($"--seed {seed} --case {number}: {hostile}\n  {wrong}");
    return false;
}

using System.Diagnostics;
using System.Globalization;

namespace HsmRemote.Fuzz.Uris;

/// <summary>URIs, one after another, judged by what libp11-kit.so.0 makes of them.</summary>
static class UriFuzz
{
    /// <summary>Judges a number of cases, and prints what came of it.</summary>
    /// <returns>The program's exit status.</returns>
    internal static int Run(IReadOnlyDictionary<string, string> options)
    {
        var seed = ulong.Parse(options.GetValueOrDefault("--seed", "1"), CultureInfo.InvariantCulture);
        var first = long.Parse(options.GetValueOrDefault("--case", "0"), CultureInfo.InvariantCulture);
        var count = options.ContainsKey("--case") ? 1 : long.Parse(options.GetValueOrDefault("--count", "1000000"), CultureInfo.InvariantCulture);
        using var judge = new UriJudge();
        var started = Stopwatch.GetTimestamp();
        var wrong = Judge(judge, seed, first, count);
        Console.WriteLine($"URIs, seed {seed}: {count} in {Stopwatch.GetElapsedTime(started).TotalSeconds:F1} s, {wrong.Count} failures");
        Console.WriteLine($"  taken by both: {judge.Taken}; taken by p11-kit only, for a reason that is listed: {judge.Refused.Values.Sum()}");
        foreach (var (reason, number) in judge.Refused.OrderBy(r => r.Key))
            Console.WriteLine($"    {reason,-20}{number,8}");
        foreach (var failure in wrong)
            Console.WriteLine(failure);
        return wrong.Count == 0 ? 0 : 1;
    }

    /// <summary>The failures, of which no more than some are looked for.</summary>
    internal static IReadOnlyList<string> Judge(UriJudge judge, ulong seed, long first, long count)
    {
        const int Enough = 20;
        List<string> wrong = [];
        for (var number = first; number < first + count && wrong.Count < Enough; number++)
        {
            var text = UriCase.Generate(seed, number);
            if (judge.Of(text) is { } failure)
                wrong.Add($"uris --seed {seed} --case {number}: {Uri.EscapeDataString(text).Replace("%25", "%", StringComparison.Ordinal)}\n  {failure}");
        }

        return wrong;
    }
}

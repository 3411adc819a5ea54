using System.Diagnostics;
using System.Text;
using HsmRemote.Fuzz.Uris;

namespace HsmRemote.Benchmarks;

/// <summary>How many URIs are parsed in a second on one core, beside libp11-kit, called from here without any conversion, and Pkcs11Interop.</summary>
static class UriBenchmark
{
    const int Rounds = 15;

    static readonly TimeSpan Length = TimeSpan.FromMilliseconds(200);

    static readonly (string Name, string Uri)[] Uris =
    [
        ("one attribute", "pkcs11:token=edge-token"),
        ("a token, as p11tool prints it", "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4c1f8a2d9e3b7061;token=edge-token"),
        ("a key, as p11tool prints it",
            "pkcs11:model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=4c1f8a2d9e3b7061;token=edge-token;id=%01%02%03%04%05%06%07%08%09%0A;object=signing%20key;type=private"),
    ];

    internal static void Run()
    {
        Console.WriteLine("\nURIs parsed a second, on one core\n");
        Console.WriteLine($"  {"",-32}{"Pkcs11Uri",12}{"bytes each",12}{"libp11-kit",14}{"ratio",8}{"Pkcs11Interop",16}{"ratio",8}");
        foreach (var (name, uri) in Uris)
        {
            var bytes = Encoding.ASCII.GetBytes(uri + '\0');
            Func<int, long>[] contenders =
            [
                count =>
                {
                    long attributes = 0;
                    for (var i = 0; i < count; i++)
                        attributes += Pkcs11Uri.TryParse(uri, out var parsed, out _) && parsed.IsRecognized ? 1 : throw new InvalidOperationException(uri);
                    return attributes;
                },
                count =>
                {
                    for (var i = 0; i < count; i++)
                        P11KitUri.ParseOnce(bytes);
                    return count;
                },
                count =>
                {
                    long attributes = 0;
                    for (var i = 0; i < count; i++)
                        attributes += new Net.Pkcs11Interop.Common.Pkcs11Uri(uri).DefinesToken ? 1 : throw new InvalidOperationException(uri);
                    return attributes;
                },
            ];

            // In turns, of which the first ones are for the compiler, so that what the machine does meanwhile is felt by all.
            var rates = contenders.Select(_ => new List<double>()).ToArray();
            for (var round = 0; round < Rounds; round++)
            {
                for (var i = 0; i < contenders.Length; i++)
                    rates[i].Add(Rate(contenders[i]));
            }

            var medians = rates.Select(r => r.Skip(Rounds / 3).Order().ElementAt(Rounds / 3)).ToArray();
            Console.WriteLine(
                $"  {name,-32}{medians[0],12:F0}{Allocated(contenders[0]),12:F0}{medians[1],14:F0}{medians[0] / medians[1],8:F2}{medians[2],16:F0}{medians[0] / medians[2],8:F2}");
        }
    }

    static double Rate(Func<int, long> parse)
    {
        const int Batch = 2000;
        long count = 0;
        var started = Stopwatch.GetTimestamp();
        while (Stopwatch.GetElapsedTime(started) < Length)
            count += parse(Batch);
        return count / Stopwatch.GetElapsedTime(started).TotalSeconds;
    }

    static double Allocated(Func<int, long> parse)
    {
        const int Count = 10_000;
        var before = GC.GetAllocatedBytesForCurrentThread();
        parse(Count);
        return (GC.GetAllocatedBytesForCurrentThread() - before) / (double)Count;
    }
}

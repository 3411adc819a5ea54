namespace HsmRemote.Benchmarks;

/// <summary>Medians, and how many times ours they are.</summary>
static class Table
{
    /// <summary>Prints a race.</summary>
    /// <param name="title">What it was about.</param>
    /// <param name="results">Ours first.</param>
    /// <param name="ours">How many of them are ours.</param>
    internal static void Print(string title, IReadOnlyList<(string Name, TimeSpan Median)> results, int ours)
    {
        Console.WriteLine($"\n{title}\n");
        Console.WriteLine($"  {"",-36}{"median",10}" + string.Concat(results.Take(ours).Select((_, i) => $"{$"({(char)('a' + i)}) / it",12}")));
        for (var i = 0; i < results.Count; i++)
        {
            var (name, median) = results[i];
            var label = i < ours ? $"({(char)('a' + i)}) {name}" : $"    {name}";
            Console.WriteLine(
                $"  {label,-36}{median.TotalMilliseconds,7:F2} ms" + string.Concat(results.Take(ours).Select(own => $"{own.Median / median,12:F2}")));
        }
    }
}

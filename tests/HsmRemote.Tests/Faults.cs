namespace HsmRemote.Tests;

/// <summary>What is wrong, all of it at once and in full: xunit cuts the items of a collection.</summary>
static class Faults
{
    internal static void None(IEnumerable<string> faults)
    {
        var found = faults.ToList();
        Assert.True(found.Count == 0, string.Join('\n', found));
    }
}

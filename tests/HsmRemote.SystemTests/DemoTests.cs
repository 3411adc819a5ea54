namespace HsmRemote.SystemTests;

/// <summary>The demo is the README's promise: it checks each of its steps itself, and this that it got to its end.</summary>
public sealed class DemoTests
{
    [Fact]
    public void The_demo_ends_with_a_verified_signature_and_leaves_nothing()
    {
        var script = Path.Combine(SandboxFixture.RepositoryRoot, "tests", "demo.sh");
        var demo = CommandResult.Of(TimeSpan.FromMinutes(10), "", script, []);
        Assert.SkipWhen(demo.ExitCode == 77, demo.StdErr.Trim());
        var output = demo.Succeeded();
        var skipped = output.Split('\n').FirstOrDefault(line => line.Contains("SKIPPED", StringComparison.Ordinal));
        Assert.SkipWhen(skipped is not null, $"{skipped}: no container has signed.");
        Assert.Contains("\nVerified OK\n", output, StringComparison.Ordinal);
    }
}

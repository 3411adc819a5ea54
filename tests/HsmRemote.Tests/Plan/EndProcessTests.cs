using System.Diagnostics;
using HsmRemote.Services.Native;
using HsmRemote.Services.Plan;

namespace HsmRemote.Tests.Plan;

/// <summary>Exactly one process ends: the one that was meant, not the one that has its number now.</summary>
public sealed class EndProcessTests
{
    [Theory]
    [InlineData("exec sleep 60")]
    // One that does not listen to SIGTERM.
    [InlineData("trap '' TERM; echo ready; while :; do sleep 1; done")]
    public async Task A_process_ends_and_a_second_time_there_is_nothing_to_do(string script)
    {
        using var process = Start(script);
        var step = new EndProcessStep(process.Id, ProcessView.StartTicks(process.Id)!.Value, "End it");
        await step.ApplyAsync(TestContext.Current.CancellationToken);
        Assert.True(process.WaitForExit(TimeSpan.FromSeconds(10)));
        await step.ApplyAsync(TestContext.Current.CancellationToken);
    }

    [Fact]
    public async Task Another_process_with_the_same_number_goes_on()
    {
        using var process = Start("exec sleep 60");
        try
        {
            await new EndProcessStep(process.Id, ProcessView.StartTicks(process.Id)!.Value - 1, "End it").ApplyAsync(TestContext.Current.CancellationToken);
            Assert.False(process.WaitForExit(TimeSpan.FromMilliseconds(200)));
        }
        finally
        {
            process.Kill();
            await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public void When_a_process_was_started_is_known()
    {
        var ticks = ProcessView.StartTicks(Environment.ProcessId)!.Value;
        Assert.InRange(ProcessView.StartTime(ticks) - new DateTimeOffset(Process.GetCurrentProcess().StartTime), TimeSpan.FromSeconds(-2), TimeSpan.FromSeconds(2));
        Assert.Null(ProcessView.StartTicks(4_000_000));
    }

    static Process Start(string script)
    {
        var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", script]) { UseShellExecute = false, RedirectStandardOutput = true })!;
        if (script.Contains("ready", StringComparison.Ordinal))
            process.StandardOutput.ReadLine();
        return process;
    }
}

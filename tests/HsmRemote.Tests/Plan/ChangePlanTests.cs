using System.Text;
using HsmRemote.Services.Plan;
using Xunit;

namespace HsmRemote.Tests.Plan;

public sealed class ChangePlanTests : IDisposable
{
    const UnixFileMode Readable = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;

    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");
    readonly RecordingReporter reporter = new();

    public void Dispose() => directory.Delete(recursive: true);

    [Fact]
    public async Task Changes_are_made_in_order_and_told()
    {
        var plan = Plan(new CreateDirectoryStep(At("d")), Write("d/f", "one"));
        Assert.Equal([ChangeKind.CreateDirectory, ChangeKind.CreateFile], plan.Changes.Select(c => c.Kind));
        await plan.ApplyAsync(reporter, TestContext.Current.CancellationToken);
        Assert.Equal("one", File.ReadAllText(At("d/f")));
        Assert.Equal(Readable, File.GetUnixFileMode(At("d/f")));
        Assert.Equal(2, reporter.Messages.Count);
    }

    [Fact]
    public async Task When_one_fails_those_made_are_undone_and_the_error_says_which_and_why()
    {
        File.WriteAllText(At("old"), "old");
        File.SetUnixFileMode(At("old"), UnixFileMode.UserRead);
        File.WriteAllText(At("gone"), "gone");
        var plan = Plan(
            new CreateDirectoryStep(At("d")),
            Write("d/f", "one"),
            Write("old", "new"),
            new RemoveFileStep(At("gone")),
            Write("missing/f", "never"),
            Write("later", "never"));

        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => plan.ApplyAsync(reporter, TestContext.Current.CancellationToken));

        Assert.Equal("ChangeFailed", error.ErrorId);
        Assert.Contains("Step 5 of 6", error.Message, StringComparison.Ordinal);
        Assert.Contains("missing/f", error.Message, StringComparison.Ordinal);
        Assert.Contains("nothing has changed", error.Message, StringComparison.Ordinal);
        Assert.Equal(["gone", "old"], directory.GetFileSystemInfos().Select(i => i.Name).Order(StringComparer.Ordinal));
        Assert.Equal("old", File.ReadAllText(At("old")));
        Assert.Equal(UnixFileMode.UserRead, File.GetUnixFileMode(At("old")));
        Assert.Equal("gone", File.ReadAllText(At("gone")));
    }

    [Fact]
    public async Task What_cannot_be_undone_is_named()
    {
        var plan = Plan(new Stubborn(), Write("missing/f", "never"));
        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => plan.ApplyAsync(reporter, TestContext.Current.CancellationToken));
        Assert.Contains("still changed: be stubborn (no way back)", error.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task When_it_is_cancelled_those_made_are_undone()
    {
        using var cancellation = new CancellationTokenSource();
        var plan = Plan(Write("f", "one"), new Cancelling(cancellation), Write("g", "two"));
        await Assert.ThrowsAsync<OperationCanceledException>(() => plan.ApplyAsync(reporter, cancellation.Token));
        Assert.Empty(directory.GetFileSystemInfos());
    }

    [Fact]
    public void A_link_is_followed_and_stays_a_link()
    {
        File.WriteAllText(At("real"), "old");
        File.CreateSymbolicLink(At("link"), "real");
        AtomicFile.Write(At("link"), AtomicFile.Read(At("link"))! with { Content = "new"u8.ToArray() });
        Assert.Equal("new", File.ReadAllText(At("real")));
        Assert.Equal("real", new FileInfo(At("link")).LinkTarget);
    }

    [Fact]
    public void A_file_is_never_written_in_place()
    {
        File.WriteAllText(At("f"), "old");
        using var reader = File.OpenText(At("f"));
        AtomicFile.Write(At("f"), AtomicFile.Read(At("f"))! with { Content = "new"u8.ToArray() });
        Assert.Equal("old", reader.ReadToEnd());
        Assert.Equal(["f"], directory.GetFiles().Select(f => f.Name));
    }

    [Fact]
    public void The_difference_is_a_unified_diff()
    {
        File.WriteAllText(At("f"), "a\nb\nc\n");
        var change = Write("f", "a\nB\nc\n").Change;
        Assert.Equal($"--- {At("f")}\n+++ {At("f")}\n@@ -1,3 +1,3 @@\n a\n-b\n+B\n c", change.Difference!.ReplaceLineEndings("\n"));
    }

    string At(string name) => Path.Combine(directory.FullName, name);

    WriteFileStep Write(string name, string content)
    {
        var before = AtomicFile.Read(At(name));
        return new WriteFileStep(At(name), before, new FileImage(Encoding.UTF8.GetBytes(content), Readable, before?.UserId ?? Own.User, before?.GroupId ?? Own.Group));
    }

    static (uint User, uint Group) Own => (Services.Native.Accounts.geteuid(), Services.Native.Accounts.getegid());

    static ChangePlan Plan(params PlanStep[] steps) => new("test", steps, new MemoryStream());

    sealed class Stubborn() : PlanStep(new PlannedChange(ChangeKind.StartUnit, "x", "Be stubborn"))
    {
        internal override Task ApplyAsync(CancellationToken cancellationToken) => Task.CompletedTask;

        internal override Task UndoAsync() => throw new InvalidOperationException("no way back");
    }

    sealed class Cancelling(CancellationTokenSource cancellation) : PlanStep(new PlannedChange(ChangeKind.StartUnit, "x", "Cancel"))
    {
        internal override Task ApplyAsync(CancellationToken cancellationToken) => cancellation.CancelAsync();
    }
}

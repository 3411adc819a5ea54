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
    public async Task Packages_are_installed_in_a_session_of_their_own_which_a_terminal_does_not_interrupt() =>
        // Its sixth field is the session, and the fourth after the name: proc_pid_stat(5).
        await Plan(new InstallPackageStep(["x"], ["sh", "-c", "read -r line </proc/$$/stat; set -- ${line##*) }; [ \"$4\" = $$ ]"])).ApplyAsync(reporter, TestContext.Current.CancellationToken);

    [Fact]
    public async Task Of_the_first_that_fails_nothing_is_said_to_have_been_undone_and_its_advice_is_given_once()
    {
        var plan = Plan(new Advising());
        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => plan.ApplyAsync(reporter, TestContext.Current.CancellationToken));
        Assert.Equal("Step 1 of 1 for 'test' failed: fail: it cannot. It was the first: nothing has changed. Do something else.", error.Message);
    }

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public async Task Whichever_step_fails_all_is_as_before(int failing)
    {
        File.WriteAllText(At("old"), "old");
        File.WriteAllText(At("gone"), "gone");
        Directory.CreateDirectory(At("empty"));
        List<PlanStep> steps = [new CreateDirectoryStep(At("d")), Write("d/f", "one"), Write("old", "new"), new RemoveFileStep(At("gone")), new RemoveDirectoryStep(At("empty"))];
        steps.Insert(failing - 1, new Failing());
        var before = Listing();

        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => Plan([.. steps]).ApplyAsync(reporter, TestContext.Current.CancellationToken));

        Assert.Contains($"Step {failing} of 6 for 'test' failed: fail: on purpose. ", error.Message, StringComparison.Ordinal);
        Assert.Contains("nothing has changed", error.Message, StringComparison.Ordinal);
        Assert.Equal(before, Listing());
    }

    [Fact]
    public async Task What_stays_by_intention_is_named()
    {
        var plan = Plan(new Staying(), Write("f", "one"), new Failing());
        var error = await Assert.ThrowsAsync<HsmRemoteException>(() => plan.ApplyAsync(reporter, TestContext.Current.CancellationToken));
        Assert.Contains("were undone, except: install the packages x. Nothing else has changed.", error.Message, StringComparison.Ordinal);
        Assert.Empty(directory.GetFileSystemInfos());
    }

    [Fact]
    public async Task One_run_waits_for_another_and_gives_up_in_the_end()
    {
        var path = At("lock");
        using (await PlanLock.TakeAsync(path, "edge", reporter, TimeSpan.FromSeconds(1), TestContext.Current.CancellationToken))
        {
            var error = await Assert.ThrowsAsync<HsmRemoteException>(() => PlanLock.TakeAsync(path, "edge", reporter, TimeSpan.FromSeconds(2), TestContext.Current.CancellationToken));
            Assert.Equal("InstanceBusy", error.ErrorId);
            Assert.Contains($"process {Environment.ProcessId}", error.Message, StringComparison.Ordinal);
            Assert.Contains(reporter.Messages, m => m.Contains("Waiting for another run on 'edge'", StringComparison.Ordinal));
        }

        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_hundred_that_want_it_have_it_one_at_a_time()
    {
        var path = At("lock");
        var (inside, most) = (0, 0);
        await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => Task.Run(async () =>
        {
            using (await PlanLock.TakeAsync(path, "edge", reporter, TimeSpan.FromMinutes(5), TestContext.Current.CancellationToken))
            {
                most = Math.Max(most, Interlocked.Increment(ref inside));
                await Task.Yield();
                Interlocked.Decrement(ref inside);
            }
        })));
        Assert.Equal(1, most);
        Assert.False(File.Exists(path));
    }

    [Fact]
    public async Task A_lock_that_a_killed_run_left_is_taken_and_goes()
    {
        File.WriteAllText(At("lock"), "12345678901234");
        using (await PlanLock.TakeAsync(At("lock"), "edge", reporter, TimeSpan.Zero, TestContext.Current.CancellationToken))
            Assert.Equal($"{Environment.ProcessId}".Length, new FileInfo(At("lock")).Length);
        Assert.Empty(directory.GetFiles());
    }

    [Fact]
    public void What_a_killed_run_left_beside_a_file_goes_with_the_next_write()
    {
        File.WriteAllText(At(".f.abc.hsmremote"), "half");
        File.WriteAllText(At(".g.abc.hsmremote"), "another's");
        AtomicFile.Write(At("f"), new FileImage([], Readable, Own.User, Own.Group));
        Assert.Equal([".g.abc.hsmremote", "f"], directory.GetFiles().Select(f => f.Name).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task What_was_made_where_a_link_leads_is_undone_and_the_link_stays()
    {
        File.CreateSymbolicLink(At("link"), At("elsewhere"));
        await Assert.ThrowsAsync<HsmRemoteException>(() => Plan(Write("link", "new"), new Failing()).ApplyAsync(reporter, TestContext.Current.CancellationToken));
        Assert.Equal(["link"], directory.GetFileSystemInfos().Select(f => f.Name));
        Assert.Equal(At("elsewhere"), new FileInfo(At("link")).LinkTarget);
    }

    [Fact]
    public async Task Content_and_mode_are_those_of_one_file_whatever_takes_its_place_meanwhile()
    {
        const UnixFileMode Secret = UnixFileMode.UserRead | UnixFileMode.UserWrite;
        File.WriteAllText(At("secret"), "secret");
        File.SetUnixFileMode(At("secret"), Secret);
        using var done = new CancellationTokenSource();
        var swapping = Task.Run(() =>
        {
            while (!done.IsCancellationRequested)
            {
                File.CreateSymbolicLink(At("beside"), At("secret"));
                File.Move(At("beside"), At("f"), overwrite: true);
                File.WriteAllText(At("beside"), "open");
                File.SetUnixFileMode(At("beside"), Readable);
                File.Move(At("beside"), At("f"), overwrite: true);
            }
        }, TestContext.Current.CancellationToken);
        for (var i = 0; i < 3000; i++)
        {
            if (AtomicFile.Read(At("f")) is { } image)
                Assert.Equal(image.Mode == Secret ? "secret" : "open", Encoding.UTF8.GetString(image.Content));
        }

        await done.CancelAsync();
        await swapping;
    }

    [Fact]
    public void A_link_where_anyone_may_plant_one_is_not_followed()
    {
        File.WriteAllText(At("victim"), "victim");
        Directory.CreateDirectory(At("open"));
        File.SetUnixFileMode(At("open"), (UnixFileMode)0x1FF);
        File.CreateSymbolicLink(At("open/f"), At("victim"));
        File.CreateSymbolicLink(At("open/d"), directory.FullName);
        foreach (var path in new[] { "open/f", "open/d/victim" })
        {
            var error = Assert.Throws<HsmRemoteException>(() => AtomicFile.Write(At(path), new FileImage([], Readable, Own.User, Own.Group)));
            Assert.Equal("LinkNotTrusted", error.ErrorId);
        }

        Assert.Equal("victim", File.ReadAllText(At("victim")));
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

    string[] Listing() => [.. directory.EnumerateFileSystemInfos("*", SearchOption.AllDirectories)
        .Select(i => $"{i.FullName} {i.UnixFileMode} {(i is FileInfo file ? File.ReadAllText(file.FullName) : "")}").Order(StringComparer.Ordinal)];

    sealed class Failing() : PlanStep(new PlannedChange(ChangeKind.StartUnit, "x", "Fail"))
    {
        internal override Task ApplyAsync(CancellationToken cancellationToken) => throw new InvalidOperationException("on purpose");
    }

    sealed class Advising() : PlanStep(new PlannedChange(ChangeKind.StartUnit, "x", "Fail"))
    {
        internal override Task ApplyAsync(CancellationToken cancellationToken) =>
            throw new HsmRemoteException("Impossible", FailureKind.Unavailable, "it cannot.", "Do something else.");
    }

    sealed class Staying() : PlanStep(new PlannedChange(ChangeKind.InstallPackage, "x", "Install the packages x"))
    {
        internal override bool Stays => true;

        internal override Task ApplyAsync(CancellationToken cancellationToken) => Task.CompletedTask;
    }

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

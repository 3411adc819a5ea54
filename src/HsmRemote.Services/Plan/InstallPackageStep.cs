using HsmRemote.Services.Native;

namespace HsmRemote.Services.Plan;

/// <summary>Packages are installed. They stay when a later step fails: others may have come to need them.</summary>
sealed class InstallPackageStep(IReadOnlyList<string> packages, IReadOnlyList<string> command)
    : PlanStep(new PlannedChange(
        ChangeKind.InstallPackage, string.Join(' ', packages), $"Install the packages {string.Join(", ", packages)}, which then stay: {string.Join(' ', command)}"))
{
    const int LinesShown = 3;

    internal override bool Stays => true;

    internal override async Task ApplyAsync(CancellationToken cancellationToken)
    {
        cancellationToken.ThrowIfCancellationRequested();
        // Not stopped halfway, which would leave packages that are half configured: in a session of its own, Ctrl-C at a
        // terminal does not reach it either.
        const string Setsid = "/usr/bin/setsid";
        string[] apart = File.Exists(Setsid) ? [Setsid, .. command] : [.. command];
        var result = await ChildProcess.RunAsync(apart[0], apart[1..], CancellationToken.None);
        if (result.ExitCode == 0)
            return;
        var said = (result.Errors + result.Output).Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        throw new HsmRemoteException(
            "PackageFailed", FailureKind.Unavailable, $"it ended with {result.ExitCode}: {string.Join(' ', said.TakeLast(LinesShown))}",
            "Bring its lists of packages up to date (apt-get update, dnf makecache, zypper refresh, apk update), and see what the command says when it is run by hand.", command[0]);
    }
}

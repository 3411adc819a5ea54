using System.Text;
using HsmRemote.Services.Native;
using HsmRemote.Services.P11Kit;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Services.Pkcs11;

/// <summary>Finds tokens: in the modules of this host, and behind sockets.</summary>
sealed class Pkcs11TokenService : IPkcs11TokenService
{
    // Between two looks at modules, at least; and no more than a fifth of the time is spent on looking.
    static readonly TimeSpan Pause = TimeSpan.FromSeconds(0.5);
    const int RestsForEachLook = 4;

    // A module that hangs must not take all of the wait, and the last look is one, too.
    static readonly TimeSpan LongestLook = TimeSpan.FromSeconds(10);
    static readonly TimeSpan ShortestLook = TimeSpan.FromSeconds(1);

    public async Task<IReadOnlyList<Pkcs11Token>> FindAsync(Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        if (query.Uri is { IsRecognized: false } uri)
            throw Unrecognized(uri);
        var readings = query.SocketPath is { } path
            ? [await ReadSocketAsync(path, query, reporter, cancellationToken)]
            : Contents(await ReadModulesAsync(query, reporter, cancellationToken), reporter);
        return
        [
            .. readings
                .SelectMany(contents => query.Uri is null ? contents.Tokens : contents.Tokens.Where(token => IsSelected(query.Uri, contents.Info, token)))
                .Where(token => query.IncludeUninitialized || token.IsInitialized)
                .Where(token => query.IncludeTrust || !token.IsTrustModule),
        ];
    }

    /// <summary>Whether a URI selects a token, or something in it, by all that p11-kit compares.</summary>
    static bool IsSelected(Pkcs11Uri uri, RawInfo module, Pkcs11Token token) =>
        uri.ToTokenUri().Matches(token.Uri)
        && uri.MatchesSlot(Encoding.UTF8.GetBytes(token.SlotDescription), Encoding.UTF8.GetBytes(token.SlotManufacturer), token.SlotId)
        && uri.MatchesModule(module.LibraryDescription, module.Manufacturer, module.LibraryVersion);

    // Without it, what is misspelt would select more than what is right.
    static HsmRemoteException Unrecognized(Pkcs11Uri uri) => new(
        "UriUnrecognized", FailureKind.InvalidArgument,
        uri.VendorAttributes.Keys.FirstOrDefault() is { } name
            ? $"The URI selects nothing: p11-kit knows no attribute '{name}'."
            : "The URI selects nothing: one of its values is longer than the field that it is compared with.",
        "Correct it, or take it from Get-Pkcs11Token; Test-Pkcs11Uri shows how p11-kit reads it.", uri);

    public async Task<IReadOnlyList<Pkcs11Token>> WaitAsync(
        Pkcs11TokenQuery query, Func<IReadOnlyList<Pkcs11Token>, bool> isEnough, IReporter reporter, CancellationToken cancellationToken)
    {
        // Every look is a new one, with modules initialised anew and connections made anew: many modules, and p11-kit's servers, show
        // what was plugged in since in no other way. C_WaitForSlotEvent is left alone: many modules do not have it, or
        // cannot be freed from it.
        var started = TimeProvider.System.GetTimestamp();
        using var step = new Step(reporter, $"Wait for a token, up to {query.Timeout.TotalSeconds:0.###} s");
        while (true)
        {
            var look = TimeProvider.System.GetTimestamp();
            var withheld = new WithheldReports(reporter);
            var isLast = Left() == TimeSpan.Zero;
            var tokens = await LookAsync(query with { Timeout = TimeSpan.FromTicks(Math.Clamp(Left().Ticks, ShortestLook.Ticks, LongestLook.Ticks)) }, withheld, cancellationToken);
            if (isLast || isEnough(tokens))
            {
                withheld.Release();
                return tokens;
            }

            var pause = TimeSpan.FromTicks(Math.Max(Pause.Ticks, RestsForEachLook * TimeProvider.System.GetElapsedTime(look).Ticks));
            await Task.Delay(pause < Left() ? pause : Left(), cancellationToken);
        }

        TimeSpan Left() => TimeSpan.FromTicks(Math.Max(0, (query.Timeout - TimeProvider.System.GetElapsedTime(started)).Ticks));
    }

    // A socket that is not there yet is part of the waiting.
    async Task<IReadOnlyList<Pkcs11Token>> LookAsync(Pkcs11TokenQuery query, WithheldReports reporter, CancellationToken cancellationToken)
    {
        try
        {
            return await FindAsync(query, reporter, cancellationToken);
        }
        catch (HsmRemoteException e) when (e.ErrorId is "SocketUnreadable")
        {
            reporter.Error(e);
            return [];
        }
    }

    public IReadOnlyList<string> ModuleNames() => [.. ModuleConfiguration.Read(ModuleConfiguration.ThisProgram()).Select(module => module.Name)];

    static Task<IReadOnlyList<ModuleReading>> ReadModulesAsync(Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        ProcessEnvironment.PassOn(query.Environment);
        return new ModuleReader(query.Isolated, query.Timeout, reporter).ReadAsync(Select(query, reporter), cancellationToken);
    }

    static List<ModuleContents> Contents(IReadOnlyList<ModuleReading> readings, IReporter reporter)
    {
        List<ModuleContents> read = [];
        foreach (var reading in readings)
        {
            if (reading.Failure is { } failure)
                reporter.Error(failure);
            else
                read.Add(reading.Contents!);
        }

        return read;
    }

    /// <summary>The modules to read: all that p11-kit uses in the program, or the one of a name or file, whether it uses it or not.</summary>
    static IReadOnlyList<ModuleEntry> Select(Pkcs11TokenQuery query, IReporter reporter)
    {
        var configured = ModuleConfiguration.ReadAll(query.Program ?? ModuleConfiguration.ThisProgram(), reporter);
        if (query.Module is not { } wanted)
        {
            foreach (var module in configured.Where(module => module.NotUsed is not null))
                reporter.Verbose($"The module {module.Name} is not used: {module.NotUsed}");
            // Its tokens would be left out again, and to load it takes as long as to load one with keys.
            return [.. configured.Where(module => module.NotUsed is null && (query.IncludeTrust || !module.IsTrustStore))];
        }

        if (!wanted.Contains('/', StringComparison.Ordinal))
        {
            if (configured.FirstOrDefault(module => string.Equals(module.Name, wanted, StringComparison.Ordinal)) is { } found)
                return [found];
            wanted = LibraryDirectories.Find(wanted) ?? throw new HsmRemoteException(
                "ModuleNotFound", FailureKind.NotFound, $"p11-kit is not configured with a module '{wanted}', and there is no library of that name where modules are.",
                $"There is: {string.Join(", ", configured.Select(m => m.Name))}. A library elsewhere is given by its path.", wanted);
        }

        return [ModuleEntry.OfLibrary(Path.GetFullPath(wanted), configured)];
    }

    static async Task<ModuleContents> ReadSocketAsync(string path, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken)
    {
        using var deadline = CancellationTokenSource.CreateLinkedTokenSource(cancellationToken);
        deadline.CancelAfter(query.Timeout);
        using var step = new Step(reporter, $"Read the tokens behind {path}") { Outcome = "failed" };
        try
        {
            var contents = await ModuleReader.ReadSocketAsync(module: null, path, deadline.Token);
            foreach (var failure in contents.Failures)
                reporter.Error(Unreadable(failure.Message, FailureKind.Unavailable, failure));
            step.Outcome = $"tokens: {contents.Tokens.Count}";
            return contents;
        }
        catch (Exception e) when (e is P11KitRpcException or Pkcs11ErrorException or IOException)
        {
            throw Unreadable(e.Message, FailureKind.Unavailable, e);
        }
        catch (OperationCanceledException e) when (!cancellationToken.IsCancellationRequested)
        {
            throw Unreadable($"no answer within {query.Timeout.TotalSeconds:0.###} s", FailureKind.Timeout, e);
        }

        HsmRemoteException Unreadable(string why, FailureKind kind, Exception? cause = null) => new(
            "SocketUnreadable", kind, $"No tokens can be read through {path}: {why.TrimEnd('.')}.",
            $"Test-P11Socket {(query.ServerName is { } name ? $"-Name {name}" : $"-SocketPath {path}")} says what is wrong.", path, cause);
    }
}

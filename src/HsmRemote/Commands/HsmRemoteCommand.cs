using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Management.Automation;
using System.Security;

namespace HsmRemote.Commands;

/// <summary>
/// What all cmdlets share: services run off the pipeline thread, so that Ctrl-C is answered at once, and what they report is
/// written on it, as the engine demands.
/// </summary>
public abstract class HsmRemoteCommand : PSCmdlet, IDisposable
{
    readonly CancellationTokenSource stopping = new();
    ProgressDisplay? progress;
    SecureString? pinOfFile;

    private protected static IHsmRemoteServices Services => ServiceLoader.Services;

    /// <inheritdoc/>
    public void Dispose()
    {
        Dispose(disposing: true);
        GC.SuppressFinalize(this);
    }

    /// <summary>Called once, when the command has ended in whatever way.</summary>
    protected virtual void Dispose(bool disposing)
    {
        if (disposing)
        {
            stopping.Dispose();
            pinOfFile?.Dispose();
        }
    }

    /// <summary>Called by the engine, on another thread, when the pipeline is stopped.</summary>
    protected override void StopProcessing() => stopping.Cancel();

    /// <summary>Ends when the pipeline is stopped.</summary>
    private protected CancellationToken StopToken => stopping.Token;

    /// <summary>Runs work of a service to its end, or until the pipeline is stopped.</summary>
    /// <param name="work">The work.</param>
    /// <param name="leave">Whether it may be left behind when the pipeline is stopped: not while it undoes what it changed.</param>
    private protected T Await<T>(Func<IReporter, CancellationToken, Task<T>> work, bool leave = true) =>
        Run((reporter, _, cancellation) => work(reporter, cancellation), leave, showsProgress: true);

    /// <summary>The same, for work that goes on until it is stopped, of which no progress is shown, and that has objects to write before that.</summary>
    private protected T Await<T>(Func<IReporter, Action<object>, CancellationToken, Task<T>> work, bool leave) => Run(work, leave, showsProgress: false);

    T Run<T>(Func<IReporter, Action<object>, CancellationToken, Task<T>> work, bool leave, bool showsProgress)
    {
        var reporter = new PipelineReporter();
        using var finishing = leave ? null : new Finishing();
        var task = Task.Run(() => work(reporter, reporter.Object, stopping.Token));
        // Whatever way it ends, it is the end of what is reported.
        _ = task.ContinueWith(_ => reporter.Complete(), CancellationToken.None, TaskContinuationOptions.ExecuteSynchronously, TaskScheduler.Default);
        try
        {
            var left = leave ? stopping.Token : CancellationToken.None;
            while (showsProgress ? TryTake(reporter.Records, () => reporter.Doing, left, out var record) : reporter.Records.TryTake(out record, Timeout.Infinite, left))
                record(this);
            return task.GetAwaiter().GetResult();
        }
        catch when (!leave && !task.IsCompleted)
        {
            // What a stopped pipeline has no use for any more could not be written. The work ends first: it may have something to undo.
            stopping.Cancel();
            ((IAsyncResult)task).AsyncWaitHandle.WaitOne();
            throw;
        }
        catch (OperationCanceledException) when (stopping.IsCancellationRequested)
        {
            throw new PipelineStoppedException();
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw Inaccessible(e);
        }
        finally
        {
            Progress.Complete();
        }
    }

    /// <summary>What a file did not allow. Who reads one that often cannot be read says so better, with what it is for.</summary>
    private protected HsmRemoteException Inaccessible(Exception e) => new(
        "FileInaccessible", e is UnauthorizedAccessException ? FailureKind.PermissionDenied : FailureKind.Unavailable,
        $"{MyInvocation.MyCommand.Name} needs a file that it cannot use: {e.Message.TrimEnd('.')}.",
        "Run it as root, for example with sudo, or see what is there: namei -l PATH.", innerException: e);

    ProgressDisplay Progress => progress ??= new(this, MyInvocation.MyCommand.Name);

    /// <summary>Takes what comes next, and shows progress until it does.</summary>
    /// <param name="from">Where it comes.</param>
    /// <param name="doing">What is being done meanwhile.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <param name="next">What came.</param>
    /// <returns>False when nothing will come any more.</returns>
    private protected bool TryTake<T>(BlockingCollection<T> from, Func<string> doing, CancellationToken cancellationToken, [MaybeNullWhen(false)] out T next)
    {
        T? taken = default;
        var isTaken = false;
        Progress.Await(pause => (isTaken = from.TryTake(out taken, (int)pause.TotalMilliseconds, cancellationToken)) || from.IsCompleted, doing);
        next = taken;
        return isTaken;
    }

    /// <summary>Takes the display of progress away.</summary>
    private protected void CompleteProgress() => Progress.Complete();

    /// <summary>Does what concerns one record. Its failure is written as an error, and the records behind it have their turn.</summary>
    private protected void Attempt(Action action)
    {
        try
        {
            action();
        }
        catch (HsmRemoteException e)
        {
            WriteError(ToErrorRecord(e));
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            WriteError(ToErrorRecord(Inaccessible(e)));
        }
    }

    /// <summary>The same, for work that has nothing to wait for itself.</summary>
    private protected T Await<T>(Func<IReporter, T> work) => Await((reporter, _) => Task.FromResult(work(reporter)));

    /// <summary>Reads a URI that was typed in.</summary>
    /// <exception cref="HsmRemoteException">It is none.</exception>
    private protected static Pkcs11Uri ParseUri(string text, string parameter) =>
        Pkcs11Uri.TryParse(text, out var uri, out var error)
            ? uri
            // The text is not repeated: it may hold a PIN.
            : throw new HsmRemoteException(
                "UriMalformed", FailureKind.InvalidArgument, $"The value of -{parameter} is no PKCS #11 URI. {error}",
                "Take it from Get-Pkcs11Token or 'p11tool --list-tokens', in quotes.", parameter);

    /// <summary>Reads the URI of an object, or of all objects of a token, that was typed in.</summary>
    /// <exception cref="HsmRemoteException">It is none, or holds a PIN.</exception>
    private protected static Pkcs11Uri ParseObjectUri(string text, string parameter) =>
        ParseUri(text, parameter) is { HasPin: false } uri
            ? uri
            : throw new HsmRemoteException(
                "UriHasPin", FailureKind.InvalidArgument, $"The value of -{parameter} holds a PIN, which the shell's history keeps. It was not used.",
                "Leave it out of the URI.", parameter);

    private protected static HsmRemoteException NoSuchToken(Pkcs11Uri uri) => new(
        "TokenNotFound", FailureKind.NotFound, "There is no token that -Uri selects.", "See which there are: Get-Pkcs11Token.", uri);

    /// <summary>The PIN that -Pin or -PinPath gives, or null. One from a file is forgotten with the command.</summary>
    /// <exception cref="HsmRemoteException">Both give one, it is empty, or the file is not a safe one.</exception>
    private protected SecureString? ReadPin(SecureString? pin, string? path)
    {
        if (pin is not null && path is not null)
            throw new HsmRemoteException("PinAmbiguous", FailureKind.InvalidArgument, "-Pin and -PinPath both give a PIN.", "Give one of them.", path);
        if (path is not null)
            pin = pinOfFile = Services.Sockets.ReadPin(Resolve(path));
        return pin is not { Length: 0 }
            ? pin
            : throw new HsmRemoteException("PinEmpty", FailureKind.InvalidArgument, "The PIN is empty.", "Ask for one: -Pin (Read-Host -AsSecureString PIN).", "-Pin");
    }

    /// <summary>Reads a pattern that was typed in.</summary>
    /// <exception cref="HsmRemoteException">It is none.</exception>
    private protected static WildcardPattern Pattern(string text, WildcardOptions options = WildcardOptions.None)
    {
        try
        {
            var pattern = WildcardPattern.Get(text, options);
            // It is not read before it is used.
            _ = pattern.IsMatch("");
            return pattern;
        }
        catch (WildcardPatternException e)
        {
            throw new HsmRemoteException(
                "PatternInvalid", FailureKind.InvalidArgument, $"'{text}' is no pattern: a bracket in it is not closed.", "Close it, or write `[ for a bracket that is meant itself.", text, e);
        }
    }

    /// <summary>The same; that it is none is written as an error.</summary>
    WildcardPattern? TryPattern(string text)
    {
        WildcardPattern? pattern = null;
        Attempt(() => pattern = Pattern(text));
        return pattern;
    }

    /// <summary>The instances of names or patterns. A name that is not there is an error, a pattern that fits none is not.</summary>
    /// <param name="names">The names or patterns.</param>
    /// <param name="scope">Whose; null: the machine's and the caller's.</param>
    /// <param name="detailed">Whether everything about those of a pattern is found out.</param>
    /// <param name="namedDetailed">The same for those of a name.</param>
    private protected IEnumerable<P11KitServer> FindServers(string[] names, P11KitServerScope? scope = null, bool detailed = false, bool namedDetailed = false)
    {
        foreach (var name in names)
        {
            if (WildcardPattern.ContainsWildcardCharacters(name))
            {
                if (TryPattern(name) is not { } pattern)
                    continue;
                foreach (var server in Await(reporter => Services.Servers.Get(reporter, detailed)).Where(server => pattern.IsMatch(server.Name) && (scope ?? server.Scope) == server.Scope))
                    yield return server;
            }
            else if (TryFindServer(name, scope, detailed || namedDetailed) is { } server)
            {
                yield return server;
            }
        }
    }

    /// <summary>The instance of a name; that there is none is written as an error.</summary>
    private protected P11KitServer? TryFindServer(string name, P11KitServerScope? scope = null, bool detailed = false)
    {
        P11KitServer? server = null;
        Attempt(() => server = Await(reporter => Services.Servers.Find(name, reporter, scope, detailed)));
        return server;
    }

    private protected static HsmRemoteException SocketUnknown(P11KitServer server) => new(
        "SocketUnknown", FailureKind.InvalidOperation, $"The units of '{server.Name}' do not say where it listens ({server.UnitPath}).",
        "Give the socket itself, with -SocketPath.", server.Name);

    /// <summary>Where an instance listens; that its units do not say is written as an error.</summary>
    private protected string? TryGetSocketPath(P11KitServer server)
    {
        if (server.SocketPath is null)
        {
            WriteError(ToErrorRecord(SocketUnknown(server)));
        }

        return server.SocketPath;
    }

    /// <summary>The forwards of names or patterns. A name that is not there is an error, a pattern that fits none is not.</summary>
    private protected IEnumerable<P11SocketForward> FindForwards(string[] names, P11KitServerScope? scope)
    {
        var all = Await(Services.Forwards.Get).Where(forward => (scope ?? forward.Scope) == forward.Scope).ToList();
        foreach (var name in names)
        {
            if (TryPattern(name) is not { } pattern)
                continue;
            var found = all.Where(forward => pattern.IsMatch(forward.Name)).ToList();
            if (found.Count == 0 && !WildcardPattern.ContainsWildcardCharacters(name))
            {
                WriteError(ToErrorRecord(new HsmRemoteException(
                    "ForwardNotFound", FailureKind.NotFound, $"There is no forward '{name}' on this host.",
                    all.Count == 0 ? "Make it: New-P11SocketForward." : $"There is: {string.Join(", ", all)}. Get-P11SocketForward shows them.", name)));
            }

            foreach (var forward in found)
                yield return forward;
        }
    }

    /// <summary>Writes what came of a test: its checks for -Verbose, and all of it, or only whether it succeeded.</summary>
    private protected void WriteTest(P11SocketTest test, bool quiet)
    {
        foreach (var check in test.Checks)
            WriteVerbose($"{check.Name}: {check.Status}: {check.Detail} ({check.Duration.TotalMilliseconds:F1} ms)");
        if (quiet)
            WriteObject(test.Succeeded);
        else
            WriteObject(test);
    }

    /// <summary>An absolute path: the session's location is not that of the process.</summary>
    private protected string Resolve(string path) => SessionState.Path.GetUnresolvedProviderPathFromPSPath(path);

    private protected static ErrorRecord ToErrorRecord(HsmRemoteException e)
    {
        var category = e.Kind switch
        {
            FailureKind.InvalidArgument => ErrorCategory.InvalidArgument,
            FailureKind.InvalidData => ErrorCategory.InvalidData,
            FailureKind.NotFound => ErrorCategory.ObjectNotFound,
            FailureKind.Exists => ErrorCategory.ResourceExists,
            FailureKind.PermissionDenied => ErrorCategory.PermissionDenied,
            FailureKind.Unavailable => ErrorCategory.ResourceUnavailable,
            FailureKind.Timeout => ErrorCategory.OperationTimeout,
            _ => ErrorCategory.InvalidOperation,
        };
        var record = new ErrorRecord(e, e.ErrorId, category, e.Target);
        // The engine shows the recommendation in a line of its own; the exception's message has it all.
        if (e.Remedy is not null)
            record.ErrorDetails = new ErrorDetails(e.Failure) { RecommendedAction = e.Remedy };
        return record;
    }

    /// <summary>Tells hsmremote (Interruption.cs), which does not know of this module, that an end of the process would leave something half done.</summary>
    sealed class Finishing : IDisposable
    {
        const string Key = "HsmRemote.Finishing";
        static readonly Lock Changing = new();
        static int count;

        internal Finishing() => Add(1);

        public void Dispose() => Add(-1);

        static void Add(int number)
        {
            lock (Changing)
                AppContext.SetData(Key, (count += number) > 0);
        }
    }

    /// <summary>Collects what a service reports, from any thread, for the pipeline thread to write.</summary>
    sealed class PipelineReporter : IReporter
    {
        readonly List<string> steps = [];

        /// <summary>What there is to be written.</summary>
        internal BlockingCollection<Action<HsmRemoteCommand>> Records { get; } = [];

        /// <summary>The step that was begun last of those that have not ended.</summary>
        internal string Doing
        {
            get
            {
                lock (steps)
                    return steps is [.., var last] ? last : "Working";
            }
        }

        public void Verbose(string message) => Add(command => command.WriteVerbose(message));

        public void Started(string step)
        {
            lock (steps)
                steps.Add(step);
        }

        public void Ended(string step, string? outcome, TimeSpan duration)
        {
            lock (steps)
                steps.Remove(step);
            Verbose($"{step}{(outcome is null ? "" : $": {outcome}")} ({duration.TotalMilliseconds:F0} ms)");
        }

        public void Warning(string message) => Add(command => command.WriteWarning(message));

        public void Error(HsmRemoteException error) => Add(command => command.WriteError(ToErrorRecord(error)));

        internal void Object(object written) => Add(command => command.WriteObject(written));

        internal void Complete() => Records.CompleteAdding();

        void Add(Action<HsmRemoteCommand> record)
        {
            try
            {
                Records.Add(record);
            }
            catch (InvalidOperationException)
            {
                // From a native call that was abandoned: nobody listens any more.
            }
        }
    }
}

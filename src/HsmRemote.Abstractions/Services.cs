using System.Security;

namespace HsmRemote;

/// <summary>The services behind the cmdlets. The one implementation is in HsmRemote.Services, in a load context of its own.</summary>
public interface IHsmRemoteServices
{
    /// <summary>Tokens, of the modules of this host and of sockets.</summary>
    IPkcs11TokenService Tokens { get; }

    /// <summary>Modules in p11-kit's configuration.</summary>
    IPkcs11ModuleService Modules { get; }

    /// <summary>What is in tokens.</summary>
    IPkcs11ObjectService Objects { get; }

    /// <summary>Instances of p11-kit servers.</summary>
    IP11KitServerService Servers { get; }

    /// <summary>Tests of sockets.</summary>
    IP11SocketService Sockets { get; }

    /// <summary>What containers need, and what they have.</summary>
    IP11ContainerService Containers { get; }

    /// <summary>Sockets that travel to other machines.</summary>
    IP11SocketForwardService Forwards { get; }
}

/// <summary>Where a service says what it is doing. Safe to call from any thread.</summary>
public interface IReporter
{
    /// <summary>Something worth knowing, for -Verbose.</summary>
    void Verbose(string message);

    /// <summary>A step begins: what is being done now, for a display of progress.</summary>
    void Started(string step);

    /// <summary>A step has ended, for -Verbose.</summary>
    /// <param name="step">The step, as it was started.</param>
    /// <param name="outcome">What came of it in a few words, or null.</param>
    /// <param name="duration">How long it took.</param>
    void Ended(string step, string? outcome, TimeSpan duration);

    /// <summary>Something that the administrator should know.</summary>
    void Warning(string message);

    /// <summary>A failure that concerns one thing of several; the rest goes on.</summary>
    void Error(HsmRemoteException error);
}

/// <summary>What to look for. All null: every token of every module in p11-kit's configuration.</summary>
public sealed record Pkcs11TokenQuery
{
    /// <summary>Only tokens that this URI selects.</summary>
    public Pkcs11Uri? Uri { get; init; }

    /// <summary>Only this module: its name in p11-kit's configuration, or its file.</summary>
    public string? Module { get; init; }

    /// <summary>Only what is behind this socket.</summary>
    public string? SocketPath { get; init; }

    /// <summary>The instance that the socket is of, for messages; null when there is none.</summary>
    public string? ServerName { get; init; }

    /// <summary>The program whose modules are meant, as p11-kit's <c>enable-in</c> and <c>disable-in</c> call it; null: this one.</summary>
    public string? Program { get; init; }

    /// <summary>Each module in a process of its own, so that a crash or a hang of one is not this process's.</summary>
    public bool Isolated { get; init; }

    /// <summary>Also slots whose token is not initialised.</summary>
    public bool IncludeUninitialized { get; init; }

    /// <summary>Also p11-kit's store of trusted certificates.</summary>
    public bool IncludeTrust { get; init; }

    /// <summary>How long all of it may take.</summary>
    public TimeSpan Timeout { get; init; } = TimeSpan.FromSeconds(30);

    /// <summary>The environment for the modules, such as SOFTHSM2_CONF: they do not see what was set in the session.</summary>
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>(StringComparer.Ordinal);
}

/// <summary>Finds tokens.</summary>
public interface IPkcs11TokenService
{
    /// <summary>Lists tokens, module by module. A module that fails is reported, and the others are listed.</summary>
    /// <exception cref="HsmRemoteException">Nothing can be listed: no such module, no connection.</exception>
    Task<IReadOnlyList<Pkcs11Token>> FindAsync(Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>Looks again and again, until there are tokens enough or the query's time is over; gives what the last look found.</summary>
    /// <exception cref="HsmRemoteException">Nothing can ever be listed: no such module.</exception>
    Task<IReadOnlyList<Pkcs11Token>> WaitAsync(
        Pkcs11TokenQuery query, Func<IReadOnlyList<Pkcs11Token>, bool> isEnough, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>The names of the modules in p11-kit's configuration.</summary>
    IReadOnlyList<string> ModuleNames();
}

/// <summary>Desired state compared with what is there: the changes that are missing, ready to be made.</summary>
public interface IChangePlan : IDisposable
{
    /// <summary>The instance.</summary>
    string Name { get; }

    /// <summary>The changes, in order. Empty when there is nothing to do.</summary>
    IReadOnlyList<PlannedChange> Changes { get; }

    /// <summary>Makes the changes in order. When one fails, those made are undone.</summary>
    /// <exception cref="HsmRemoteException">A change failed; the message says which, why, and whether all was undone.</exception>
    Task ApplyAsync(IReporter reporter, CancellationToken cancellationToken);
}

/// <summary>Instances of p11-kit servers under this host's systemd.</summary>
public interface IP11KitServerService
{
    /// <summary>Fails unless the caller may change system units.</summary>
    /// <exception cref="HsmRemoteException">The caller is not root.</exception>
    void RequireRoot();

    /// <summary>Whose instance is meant when nobody said: the machine's, unless only the caller has one of the names.</summary>
    P11KitServerScope ScopeOf(IReadOnlyList<string> names);

    /// <summary>Fails unless the caller may change an instance: root any, and others their own.</summary>
    /// <param name="name">The instance, which need not be there.</param>
    /// <param name="scope">Whose it is; null: the one that there is.</param>
    /// <exception cref="HsmRemoteException">The caller is not root, and it is the machine's.</exception>
    void RequireRights(string name, P11KitServerScope? scope);

    /// <summary>
    /// Waits until no other run changes an instance, and keeps others waiting until what this gives is disposed. A plan that
    /// is to be applied is made while it is held.
    /// </summary>
    /// <param name="name">The instance, which need not be there.</param>
    /// <param name="scope">Whose it is; null: the one that there is.</param>
    /// <param name="reporter">Told who is waited for.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="HsmRemoteException">There is no systemd here, or another run takes longer than five minutes.</exception>
    Task<IDisposable> LockAsync(string name, P11KitServerScope? scope, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>
    /// The same for the groups of instances: one that came with an instance goes with the last that has it, which another run may
    /// just be removing. Asked for once, when the instances themselves are held: so no two runs wait for each other.
    /// </summary>
    /// <param name="names">The instances.</param>
    /// <param name="group">The group that they are to have; null: the one that they have.</param>
    /// <param name="groupId">Its number.</param>
    /// <param name="reporter">Told who is waited for.</param>
    /// <param name="cancellationToken">Ends the waiting.</param>
    /// <exception cref="HsmRemoteException">Another run takes longer than five minutes.</exception>
    Task<IReadOnlyList<IDisposable>> LockGroupsAsync(IReadOnlyList<string> names, string? group, uint? groupId, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>Every instance that there is, by name.</summary>
    /// <param name="reporter">Told what cannot be read.</param>
    /// <param name="detailed">Also what takes longer to find out: memory, processor time, drop-ins, drift, journal.</param>
    IReadOnlyList<P11KitServer> Get(IReporter reporter, bool detailed = false);

    /// <summary>The instance of a name.</summary>
    /// <inheritdoc cref="Get"/>
    /// <param name="name">The name.</param>
    /// <param name="reporter">Told what cannot be read.</param>
    /// <param name="scope">Whose it is; null: the machine's or the caller's.</param>
    /// <param name="detailed">Also what takes longer to find out: memory, processor time, drop-ins, drift, journal.</param>
    /// <exception cref="HsmRemoteException">There is none, or there is one of each.</exception>
    P11KitServer Find(string name, IReporter reporter, P11KitServerScope? scope = null, bool detailed = false);

    /// <summary>The newest journal entries of an instance's units, the newest last.</summary>
    IReadOnlyList<P11KitLogEntry> Log(P11KitServer server, int count, IReporter reporter);

    /// <summary>The names of the instances, without asking systemd: for completion.</summary>
    IReadOnlyList<string> Names();

    /// <summary>What is missing for an instance to be as it should.</summary>
    /// <exception cref="HsmRemoteException">It cannot be so: a name, a path or a group that is taken, a target that would be misread.</exception>
    Task<IChangePlan> PlanInstallAsync(P11KitServerSpec spec, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What has to go for an instance to be gone.</summary>
    /// <exception cref="HsmRemoteException">Something else installed it.</exception>
    IChangePlan PlanUninstall(string name, IReporter reporter, P11KitServerScope? scope = null);

    /// <summary>What is missing for an instance to accept connections.</summary>
    /// <exception cref="HsmRemoteException">There is no such instance.</exception>
    IChangePlan PlanStart(string name, IReporter reporter, P11KitServerScope? scope = null);

    /// <summary>What is missing for an instance to be stopped, its open connections included.</summary>
    /// <exception cref="HsmRemoteException">There is no such instance.</exception>
    IChangePlan PlanStop(string name, IReporter reporter, P11KitServerScope? scope = null);

    /// <summary>What starts an instance anew, its open connections ended.</summary>
    /// <exception cref="HsmRemoteException">There is no such instance.</exception>
    IChangePlan PlanRestart(string name, IReporter reporter, P11KitServerScope? scope = null);

    /// <summary>The connections of an instance that are open.</summary>
    /// <exception cref="HsmRemoteException">The caller may not see them.</exception>
    Task<IReadOnlyList<P11KitConnection>> GetConnectionsAsync(P11KitServer server, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What ends a connection; nothing when it has ended.</summary>
    IChangePlan PlanDisconnect(P11KitConnection connection);

    /// <summary>What is missing for an instance to have a target. The tokens of the host are asked what its URIs select.</summary>
    /// <exception cref="HsmRemoteException">
    /// There is no such instance, the server would misread a URI, or a URI does not select the one token that it is to select.
    /// </exception>
    Task<IP11TargetPlan> PlanTargetAsync(P11TargetRequest request, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What a server makes of URIs as its target.</summary>
    /// <param name="texts">The URIs; a malformed one is a result too.</param>
    /// <param name="query">How the tokens of the host are asked, once for all of them.</param>
    /// <param name="reporter">Told of modules that fail, as warnings.</param>
    /// <param name="cancellationToken">Ends it.</param>
    Task<IReadOnlyList<Pkcs11UriTest>> TestUrisAsync(IReadOnlyList<string> texts, Pkcs11TokenQuery query, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>The target of an instance, as its file has it.</summary>
    /// <exception cref="HsmRemoteException">There is no such instance, or its file has something else than URIs.</exception>
    P11TargetUri GetTarget(string name, P11KitServerScope? scope = null);

    /// <summary>Runs <c>p11-kit server</c> without systemd until it is told to end; then its socket goes.</summary>
    /// <param name="targetUri">The tokens to expose.</param>
    /// <param name="socketPath">The socket, absolute; null: one in a directory of its own.</param>
    /// <param name="started">Told when it listens.</param>
    /// <param name="reporter">Told what the server writes.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <exception cref="HsmRemoteException">The path is taken, a URI would be misread, or the server does not start or ends by itself.</exception>
    Task RunForegroundAsync(
        IReadOnlyList<Pkcs11Uri> targetUri, string? socketPath, Action<P11KitForegroundServer> started, IReporter reporter, CancellationToken cancellationToken);
}

/// <summary>Tests of sockets.</summary>
public interface IP11SocketService
{
    /// <summary>Connects as an identity and climbs the ladder.</summary>
    /// <param name="endpoint">The socket, and what is known of it.</param>
    /// <param name="identity">Who connects.</param>
    /// <param name="timeout">For the whole.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="login">Whether to log in and sign, and with what; null: neither.</param>
    /// <exception cref="HsmRemoteException">There is no such user, or the caller may not take on the identity.</exception>
    Task<P11SocketTest> TestAsync(
        P11SocketEndpoint endpoint, P11IdentityRequest identity, TimeSpan timeout, CancellationToken cancellationToken, P11Login? login = null);

    /// <summary>Reads a PIN from a file that nobody but the caller can read.</summary>
    /// <exception cref="HsmRemoteException">It is not there, others can read it, or it holds no PIN.</exception>
    SecureString ReadPin(string path);

    /// <summary>The names of the containers that run, for completion; none when no engine answers.</summary>
    Task<IReadOnlyList<string>> ContainersAsync(CancellationToken cancellationToken);
}

/// <summary>Sockets that travel over ssh to another machine, or from there to here.</summary>
public interface IP11SocketForwardService
{
    /// <summary>The forwards of the machine and those of the caller, by name.</summary>
    IReadOnlyList<P11SocketForward> Get(IReporter reporter);

    /// <summary>The names of the forwards, without asking systemd: for completion.</summary>
    IReadOnlyList<string> Names();

    /// <summary>The names of hosts in the caller's ssh configuration, for completion.</summary>
    IReadOnlyList<string> HostNames();

    /// <summary>What a forward is called and whose it is, when nobody said.</summary>
    /// <exception cref="HsmRemoteException">There is nothing to make a name of, or it cannot be a name.</exception>
    (string Name, P11KitServerScope Scope) Identify(P11SocketForwardSpec spec);

    /// <summary>Fails unless the caller may change a forward, and waits until no other run changes it.</summary>
    /// <exception cref="HsmRemoteException">The caller may not, or another run takes longer than five minutes.</exception>
    Task<IDisposable> LockAsync(string name, P11KitServerScope scope, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What is missing for a forward to be as it should. Both ends are asked, unless it is and stands.</summary>
    /// <exception cref="HsmRemoteException">
    /// The local socket does not answer, the far side cannot be reached or is not who it was, or the socket cannot be made there.
    /// </exception>
    Task<IChangePlan> PlanNewAsync(P11SocketForwardSpec spec, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>What has to go for a forward to be gone, here and on the far side. None of that name: nothing to do.</summary>
    Task<IChangePlan> PlanRemoveAsync(string name, P11KitServerScope scope, IReporter reporter, CancellationToken cancellationToken);

    /// <summary>Climbs the ladder of a forward: its tunnel, the other end, and what answers there.</summary>
    /// <param name="forward">The forward.</param>
    /// <param name="timeout">For the whole.</param>
    /// <param name="cancellationToken">Ends it.</param>
    /// <param name="login">Whether to log in and sign, and with what; null: neither.</param>
    Task<P11SocketTest> TestAsync(P11SocketForward forward, TimeSpan timeout, CancellationToken cancellationToken, P11Login? login = null);
}

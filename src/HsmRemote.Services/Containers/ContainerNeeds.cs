using System.Globalization;
using HsmRemote.Services.Sockets;

namespace HsmRemote.Services.Containers;

/// <summary>Computes what a container needs, from facts alone; or why it cannot work, and what would make it.</summary>
sealed class ContainerNeeds
{
    // Directories that hold more than one thing: mounted, they would give a container all of it.
    static readonly string[] Shared = ["/", "/run", "/var/run", "/var", "/tmp", "/var/tmp", "/etc", "/srv", "/opt", "/usr", "/home", "/root"];

    readonly SocketAccess socket;
    readonly EngineFacts engine;
    readonly P11ContainerRequest request;
    readonly ContainerUser user;
    readonly List<P11ContainerReason> reasons = [];
    string? group;
    string? userNamespace;

    ContainerNeeds(SocketAccess socket, EngineFacts engine, P11ContainerRequest request, ContainerUser user)
    {
        this.socket = socket;
        this.engine = engine;
        this.request = request;
        this.user = user;
    }

    /// <summary>What the container needs. The text of it is left to the writers.</summary>
    /// <exception cref="HsmRemoteException">It cannot work.</exception>
    internal static P11ContainerConfig Compute(SocketAccess socket, EngineFacts engine, P11ContainerRequest request, ContainerUser user) =>
        new ContainerNeeds(socket, engine, request, user).Compute();

    P11ContainerConfig Compute()
    {
        var mount = Mount();
        Because("Environment", "p11-kit-client.so connects to the socket that P11_KIT_SERVER_ADDRESS names; a bare path is refused, and without it every program sees no slots.");
        if (request.Engine is P11ContainerEngine.Env)
            Because("Group", "None here: an .env file says nothing of a user or of groups.");
        else
            LetIn();

        var label = SecurityLabel();
        var environment = new Dictionary<string, string>(StringComparer.Ordinal) { [ProcessAddress.Variable] = ProcessAddress.Encode(socket.SocketPath) };
        foreach (var (name, value) in request.Variables)
        {
            // In an .env file it is one of the variables that a compose file may ask for.
            if (request.Engine is not P11ContainerEngine.Env && name is ProcessAddress.Variable)
                throw ContainerValues.Invalid($"variable {name}", "it is computed, and another would lead elsewhere", name);
            environment[name] = value;
        }

        return new P11ContainerConfig
        {
            Name = socket.Name,
            Engine = request.Engine,
            Image = request.Image,
            User = user.ToString(),
            SocketPath = socket.SocketPath,
            Mount = mount,
            Environment = environment,
            SupplementaryGroup = group,
            UserNamespace = userNamespace,
            SecurityLabel = label,
            Rootless = engine.Rootless,
            Reasons = reasons,
        };
    }

    /// <summary>Whether a directory holds more than one socket's own things.</summary>
    internal static bool IsShared(string directory) => Array.IndexOf(Shared, directory) >= 0 || Path.GetDirectoryName(directory) is "/run/user" or "/home";

    P11ContainerMount Mount()
    {
        var directory = Path.GetDirectoryName(socket.SocketPath)!;
        if (IsShared(directory))
        {
            throw new HsmRemoteException(
                "SocketDirectoryShared", FailureKind.InvalidOperation,
                $"The socket of '{socket.Name}' is in {directory}, which holds other things too, and a container gets the directory as a whole.",
                $"Give it a directory of its own: Install-P11KitServer -Name {socket.Name} -SocketPath {directory.TrimEnd('/')}/{socket.Name}/pkcs11.", socket.SocketPath);
        }

        Because("Mount", $"The directory {directory} and not the socket: a socket that is made anew when the server starts again would be another file than the one mounted. "
            + "Read-only: connecting writes to the socket, not to the directory.");
        return new P11ContainerMount(directory, directory, ReadOnly: true);
    }

    void LetIn()
    {
        if (engine.Rootless)
            Rootless();
        else if (engine.HasUserNamespace)
            InUserNamespace();
        else
            OnHostIds();
        RequireDirectory();
    }

    /// <summary>The directory has to let in whom the socket lets in.</summary>
    void RequireDirectory()
    {
        const uint Nobody = uint.MaxValue;
        // Who runs a rootless engine on another host is not known.
        if (socket.Directory is not { } directory || directory.LetsIn(new(Nobody, Nobody, [])) || (engine.Rootless && engine.Owner is null))
            return;
        var isOwner = user.IsRoot || user.IsImages || userNamespace is not null;
        var letsIn = engine switch
        {
            { Rootless: true, Owner: { } owner } => directory.LetsIn(new(isOwner ? owner.UserId : Nobody, isOwner ? owner.GroupId : Nobody, group is null ? [] : owner.Groups)),
            { HasUserNamespace: true } => false,
            _ => directory.LetsIn(new(user.IsImages ? 0 : user.Id ?? Nobody, user.GroupId ?? Nobody, group is null ? [] : [uint.Parse(group, CultureInfo.InvariantCulture)])),
        };
        var path = Path.GetDirectoryName(socket.SocketPath)!;
        if (!letsIn)
        {
            throw new HsmRemoteException(
                "SocketDirectoryClosed", FailureKind.PermissionDenied,
                $"The directory {path} ({directory.Description}) keeps out the container's user {user.ToString() ?? "(the image's own)"}, who would see no slots.",
                $"`chmod o+x {path}`, and DirectoryMode=0755 in the unit, so that it stays so: `systemctl edit {socket.Unit}`.", socket.SocketPath);
        }

        if (user.IsImages && !engine.Rootless)
            Because("Mount", $"The directory ({directory.Description}) does not let in everybody: this works when the image's user is root.");
    }

    /// <summary>The ids of the container are those of the host.</summary>
    void OnHostIds()
    {
        if (engine.UserNamespace is "host")
        {
            userNamespace = "host";
            Because("UserNamespace", "None, as asked for: in one of its own, the container's groups would be other groups on the host.");
        }

        RequirePeer(user.Id, user.GroupId);
        if (user.IsRoot)
            Because("Group", "None: the container's root is the host's, whom the permissions of a file do not stop. (Without the capability DAC_OVERRIDE it would need the group.)");
        else if (socket.OthersMayConnect)
            Because("Group", $"None: every process of the host may connect ({socket.Description}).");
        else if (user.Id is { } id && id == socket.OwnerId && (socket.Mode & UnixFileMode.UserWrite) != UnixFileMode.None)
            Because("Group", $"None: the user {id} owns the socket.");
        else if (user.GroupId is { } primary && primary == socket.GroupId && socket.GroupMayConnect)
            Because("Group", $"None besides the primary one: {primary} is the socket's group.");
        else
            AddGroup();
    }

    void AddGroup()
    {
        if (!socket.GroupMayConnect || socket.GroupId is not { } id || (id == 0 && !user.IsImages))
        {
            throw new HsmRemoteException(
                "SocketNotShared", FailureKind.InvalidOperation,
                $"Only root may connect to '{socket.Name}' ({socket.Description}), and the container runs as {user.ToString() ?? "the image's user"}."
                + (socket.GroupId == 0 && socket.GroupMayConnect ? " The group root would give the container more than the token." : ""),
                $"Give the socket a group: Install-P11KitServer -Name {socket.Name} -Group GROUP.", socket.Name);
        }

        if (id == 0)
        {
            Because("Group", $"None: only root may connect ({socket.Description}), so this works when the image's user is root. For another, give the socket a group.");
            return;
        }

        group = id.ToString(CultureInfo.InvariantCulture);
        Because("Group", $"{group}, the socket's, by number: writing to the socket is connecting ({socket.Description}), and no group of the image has to have that number or a name."
            + (user.IsImages ? " The image's own user is not known here; root would not need it." : user.Id is null ? $" Which number {user} has is not known here; root would not need it." : ""));
    }

    /// <summary>An engine that runs as root puts the container into a user namespace: all its ids are others on the host.</summary>
    void InUserNamespace()
    {
        if (!socket.HasPeerCheck && socket.OthersMayConnect)
        {
            Because("Group", $"None: every process of the host may connect ({socket.Description}), also one of a user namespace.");
            return;
        }

        throw new HsmRemoteException(
            "UserNamespaceHidesGroup", FailureKind.InvalidOperation,
            $"In a user namespace ({engine.UserNamespace}) the container's users and groups, group {socket.GroupId} and root too, are others on the host, and none of them may connect to '{socket.Name}'.",
            request.Engine is P11ContainerEngine.Kubernetes
                ? "Leave the Pod in the host's user namespace (hostUsers: true): -UserNamespace host."
                : "Start this container without one: -UserNamespace host, which is written as the engine's option for it.", socket.Name);
    }

    /// <summary>The container's root is the user who runs the engine; its other ids are nobody's on the host.</summary>
    void Rootless()
    {
        // The image's own user is taken for root, which is what most images have.
        var isOwner = user.IsRoot || user.IsImages;
        if (socket.OthersMayConnect && !socket.HasPeerCheck)
        {
            Because("Group", $"None: every process of the host may connect ({socket.Description}).");
            return;
        }

        if (socket.Scope == P11KitServerScope.User || (engine.Owner is { } owner && owner.UserId == socket.OwnerId))
        {
            RequirePeer(engine.Owner?.UserId, engine.Owner?.GroupId);
            Because("Group", "None: the socket belongs to the user who runs the engine.");
            if (isOwner)
                Because("UserNamespace", "The default: the container's root is the user who runs the engine.");
            else
                KeepId();
            return;
        }

        if (socket.HasPeerCheck && !isOwner)
            RequirePeer(uint.MaxValue, uint.MaxValue);
        else if (socket.HasPeerCheck)
            RequirePeer(engine.Owner?.UserId, engine.Owner?.GroupId);
        KeepGroups();
    }

    void KeepId()
    {
        if (engine.Program is not "podman" || user.Id is not { } id)
        {
            throw new HsmRemoteException(
                "RootlessWithoutGroups", FailureKind.InvalidOperation,
                user.Id is null
                    ? $"Which number the user '{user}' has in the image is not known here, so that it cannot be made the user who runs the engine, whose socket this is."
                    : $"Of a rootless {engine.Program ?? "engine"}, only the container's root is the user whose socket this is; user {user} is nobody on the host.",
                user.Id is null ? "Give the number: -Uid and -Gid." : "Run the container as root (-Uid 0), which is that user on the host and no more; or use podman.", socket.Name);
        }

        userNamespace = string.Create(CultureInfo.InvariantCulture, $"keep-id:uid={id}{(user.GroupId is { } primary ? $",gid={primary}" : "")}");
        Because("UserNamespace", $"The container's user {id} is made the user who runs the engine, whose socket it is (podman 4.3 and later).");
    }

    void KeepGroups()
    {
        if (!socket.GroupMayConnect || socket.GroupId is not { } id || id == 0)
        {
            throw new HsmRemoteException(
                "SocketNotShared", FailureKind.InvalidOperation, $"Only root may connect to '{socket.Name}' ({socket.Description}), and a rootless engine has no root of the host.",
                $"Give the socket a group: Install-P11KitServer -Name {socket.Name} -Group GROUP, and make the user who runs the engine a member.", socket.Name);
        }

        if (engine.Program is not "podman" || engine.Runtime is not (null or "crun"))
        {
            throw new HsmRemoteException(
                "RootlessWithoutGroups", FailureKind.InvalidOperation,
                $"A rootless engine drops the groups of the user who runs it, and {(engine.Program is "podman" ? $"podman keeps them with the runtime crun only, not with {engine.Runtime}" : $"{engine.Program ?? "this one"} has no way to keep them")}; group {id} would be another group on the host.",
                (engine.Program is "podman" ? "Use `podman --runtime crun` (-Runtime crun)" : "Use podman with the runtime crun (-Engine Podman)")
                + ", an engine that runs as root, or an instance of the user's own, of scope User.", socket.Name);
        }

        if (engine.Owner is { } owner && !owner.Groups.Contains(id))
        {
            throw new HsmRemoteException(
                "RootlessUserNotMember", FailureKind.PermissionDenied, $"The user {owner.Name}, who runs the engine, is not in group {id}, and a rootless container has no rights that its user has not.",
                $"`usermod --append --groups {id} {owner.Name}`, with the group's name, and log in again.", socket.Name);
        }

        group = "keep-groups";
        Because("Group", $"keep-groups: a rootless engine cannot give group {id} of the host, only leave the container those that its user has. The user who runs podman has to be a member, and the runtime has to be crun.");
    }

    /// <summary>Throws unless a peer with these ids of the host gets in.</summary>
    void RequirePeer(uint? userId, uint? groupId)
    {
        if ((socket.PeerUserId is null || socket.PeerUserId == userId) && (socket.PeerGroupId is null || socket.PeerGroupId == groupId))
        {
            if (socket.HasPeerCheck)
                Because("User", $"'{socket.Name}' checks its peers, and this is who it lets in.");
            return;
        }

        var wanted = (socket.PeerUserId, socket.PeerGroupId) switch
        {
            ({ } u, null) => $"uid {u}",
            (null, { } g) => $"primary gid {g}",
            var (u, g) => $"uid {u} and primary gid {g}",
        };
        throw new HsmRemoteException(
            "PeerCheckExcludes", FailureKind.PermissionDenied,
            $"'{socket.Name}' lets in only peers with {wanted}; supplementary groups do not count, and root is no exception. The container would run as {user.ToString() ?? "the image's user, who is not known here"}"
            + (engine.Rootless ? ", which a rootless engine makes another user of the host." : "."),
            (engine.Rootless ? "Use an engine that runs as root, and run" : "Run")
            + $" the container as that user: -Uid {socket.PeerUserId?.ToString(CultureInfo.InvariantCulture) ?? "UID"}{(socket.PeerGroupId is { } gid ? string.Create(CultureInfo.InvariantCulture, $" -Gid {gid}") : "")}. "
            + "Or install an instance with Install-P11KitServer, where the socket's permissions decide.", socket.Name);
    }

    string? SecurityLabel()
    {
        switch (engine.SecurityModule)
        {
            case P11SecurityModule.SELinux:
                Because("SecurityLabel", "SELinux lets no container connect to a socket of the host: relabelling (:z) changes the file, and connecting to the server's domain stays forbidden. A policy of your own can take the place of this.");
                return request.Engine is P11ContainerEngine.Kubernetes ? "spc_t" : "label=disable";
            case P11SecurityModule.AppArmor:
                Because("SecurityLabel", "None: the engines' own AppArmor profiles let a container connect to a socket that is mounted.");
                return null;
            default:
                return null;
        }
    }

    void Because(string setting, string why) => reasons.Add(new(setting, why));
}

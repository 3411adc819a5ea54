using System.Collections;
using System.Collections.Specialized;
using System.Management.Automation;
using System.Security;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Writes down what a container needs to use the token of an instance, for each engine in its own form.</summary>
[Cmdlet(VerbsCommon.New, "P11ContainerConfig", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium, DefaultParameterSetName = EngineSet)]
[OutputType(typeof(string), typeof(P11ContainerConfig), typeof(P11ChangeResult))]
public sealed class NewP11ContainerConfigCommand : ChangeCommand
{
    const string EngineSet = "Engine";
    const string DockerfileSet = "Dockerfile";
    const string PinVariable = "TEDGE_DEVICE_CRYPTOKI_PIN";

    SecureString? pinOfFile;
    string? written;

    /// <summary>The instances' names, with wildcards.</summary>
    [Parameter(ParameterSetName = EngineSet, Position = 0, ValueFromPipelineByPropertyName = true)]
    [ArgumentCompleter(typeof(ServerNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["p11-kit-server"];

    /// <summary>Whose instances: the machine's, or the caller's own. By default those that there are.</summary>
    [Parameter(ParameterSetName = EngineSet, ValueFromPipelineByPropertyName = true)]
    public P11KitServerScope? Scope { get; set; }

    /// <summary>Who reads it: docker run, podman run, compose, a quadlet, Kubernetes, or the .env file of compose.</summary>
    [Parameter(ParameterSetName = EngineSet, Mandatory = true, Position = 1)]
    public P11ContainerEngine Engine { get; set; }

    /// <summary>The lines of a Dockerfile that an image of this distribution needs.</summary>
    [Parameter(ParameterSetName = DockerfileSet, Mandatory = true)]
    public P11ContainerDistribution Dockerfile { get; set; }

    /// <summary>The image.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ArgumentCompleter(typeof(ImageNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Image { get; set; }

    /// <summary>The user that the container runs as, by a name that the image knows. By default the image's own.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNullOrEmpty]
    public string? User { get; set; }

    /// <summary>The user that the container runs as, by a number, which the image need not know.</summary>
    [Parameter]
    public uint? Uid { get; set; }

    /// <summary>The user's primary group, by number. By default the same number as the user's.</summary>
    [Parameter]
    public uint? Gid { get; set; }

    /// <summary>The engine runs without root. By default this host's engine is asked.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    public SwitchParameter Rootless { get; set; }

    /// <summary>The user namespace that the engine puts the container in, such as 'auto'; 'host' asks for none. By default this host's engine is asked.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNullOrEmpty]
    public string? UserNamespace { get; set; }

    /// <summary>What confines containers on the host. By default this host's engine is asked.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    public P11SecurityModule? SecurityModule { get; set; }

    /// <summary>The OCI runtime, such as crun. By default this host's engine is asked.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ArgumentCompleter(typeof(RuntimeNameCompleter))]
    [ValidateNotNullOrEmpty]
    public string? Runtime { get; set; }

    /// <summary>The name of the service in a compose file, of the Pod and its container, of the unit. By default the instance's.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNullOrEmpty]
    public string? Service { get; set; }

    /// <summary>More variables for the environment, or for the .env file.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNull]
    public IDictionary? Variable { get; set; }

    /// <summary>The domain of Cumulocity, for the variable C8Y_DOMAIN.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNullOrEmpty]
    public string? C8yDomain { get; set; }

    /// <summary>The device's certificate, PEM or DER, for the variable CERTPUBLIC.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNullOrEmpty]
    public string? CertificatePath { get; set; }

    /// <summary>The user PIN, for the variable TEDGE_DEVICE_CRYPTOKI_PIN of an .env file, or for a secret.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNull]
    public SecureString? Pin { get; set; }

    /// <summary>The same, with the PIN in this file, which must belong to the caller and have mode 0600.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    [ValidateNotNullOrEmpty]
    public string? PinPath { get; set; }

    /// <summary>The PIN as a secret of compose, in a file of its own, and not in the environment.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    public SwitchParameter PinAsSecret { get; set; }

    /// <summary>The file to write. A compose file and an .env file keep what else is in them.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? Path { get; set; }

    /// <summary>All of it as an object, with the arguments one by one and the reasons, and not only the text.</summary>
    [Parameter(ParameterSetName = EngineSet)]
    public SwitchParameter AsObject { get; set; }

    /// <summary>Files are the caller's affair: no root is needed for them.</summary>
    protected override void BeginProcessing()
    {
        try
        {
            RequireOneUser();
            RequireOneOutput();
            RequirePinToBeWritable();
            if (PinPath is not null)
                pinOfFile = Services.Sockets.ReadPin(Resolve(PinPath));
            if ((Pin ?? pinOfFile) is { Length: 0 })
                throw Invalid("PinEmpty", "The PIN is empty.", "Ask for one: -Pin (Read-Host -AsSecureString PIN).", "-Pin");
        }
        catch (HsmRemoteException e)
        {
            ThrowTerminatingError(ToErrorRecord(e));
        }
    }

    /// <inheritdoc/>
    protected override void ProcessRecord() => Attempt(() =>
    {
        if (ParameterSetName is DockerfileSet)
        {
            WriteDockerfile();
            return;
        }

        var request = Request();
        foreach (var server in FindServers(Name, Scope))
            Attempt(() => Write(server, request));
    });

    /// <inheritdoc/>
    protected override void Dispose(bool disposing)
    {
        if (disposing)
            pinOfFile?.Dispose();
        base.Dispose(disposing);
    }

    void WriteDockerfile()
    {
        if (Path is null)
            WriteObject(Services.Containers.Dockerfile(Dockerfile, Uid, Gid).TrimEnd('\n'));
        else
            Carry((_, _) => Task.FromResult(Services.Containers.PlanDockerfile(Dockerfile, Uid, Gid, Resolve(Path))), $"Write {Resolve(Path)}");
    }

    void Write(P11KitServer server, P11ContainerRequest request)
    {
        if (Path is null)
        {
            var config = Await((reporter, cancellation) => Services.Containers.CreateAsync(server, request, reporter, cancellation));
            WriteObject(AsObject ? config : config.Text.TrimEnd('\n'));
            return;
        }

        // Of a compose file, each has a service of its own.
        if (written is not null && !(Engine is P11ContainerEngine.Compose && Service is null))
        {
            throw Invalid(
                "PathAmbiguous", $"{Resolve(Path)} is for '{written}' already, and cannot be for '{server.Name}' as well.",
                "Give each instance a file of its own: name one instance, or use `ForEach-Object` with a -Path that has the name in it.", Path);
        }

        written = server.Name;
        var pin = (Pin ?? pinOfFile) is not null || PinAsSecret ? new P11ContainerPin(Pin ?? pinOfFile, PinAsSecret) : null;
        Carry(
            (reporter, cancellation) => Services.Containers.PlanAsync(server, request, Resolve(Path), pin, reporter, cancellation),
            $"Write {Resolve(Path)} for containers that use '{server.Name}'");
    }

    P11ContainerRequest Request()
    {
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        if (CertificatePath is not null)
            variables["CERTPUBLIC"] = Services.Containers.CertificateVariable(Resolve(CertificatePath));
        if (C8yDomain is not null)
            variables["C8Y_DOMAIN"] = C8yDomain;
        List<(string Name, string Value)> given = [];
        foreach (DictionaryEntry entry in Variable ?? new Hashtable())
            given.Add((LanguagePrimitives.ConvertTo<string>(entry.Key), LanguagePrimitives.ConvertTo<string>(entry.Value)));
        // A hashtable has another order in each process: the same command would change the file each time.
        foreach (var (name, value) in Variable is IOrderedDictionary ? given : [.. given.OrderBy(v => v.Name, StringComparer.Ordinal)])
            variables[name] = value;
        return new P11ContainerRequest
        {
            Engine = Engine,
            Image = Image,
            UserName = User,
            UserId = Uid,
            GroupId = Gid,
            Rootless = MyInvocation.BoundParameters.ContainsKey(nameof(Rootless)) ? Rootless.ToBool() : null,
            UserNamespace = UserNamespace,
            SecurityModule = SecurityModule,
            Runtime = Runtime,
            ServiceName = Service,
            Variables = variables,
        };
    }

    void RequireOneUser()
    {
        if (User is not null && (Uid is not null || Gid is not null))
        {
            throw Invalid(
                "IdentityAmbiguous", "-User is a name of the image's, and brings its own ids, so that it excludes -Uid and -Gid.", "Give -User, or -Uid and -Gid.", User);
        }

        if (Gid is not null && Uid is null)
            throw Invalid("UidRequired", "-Gid is the primary group of a user, and no user is given.", "Give it with -Uid.", Gid);
    }

    void RequireOneOutput()
    {
        if (AsObject && Path is not null)
        {
            throw Invalid(
                "OutputAmbiguous", "-AsObject gives an object, and -Path writes a file in its place.", "Give one of them. The object's Text is what would be in the file.", Path);
        }

        if (Engine is not P11ContainerEngine.Env || ParameterSetName is DockerfileSet || AsObject)
            return;
        // Of a user, the owner of the PIN's file is made.
        string[] users = PinAsSecret ? [] : [nameof(User), nameof(Uid), nameof(Gid)];
        var unwritten = users.Prepend(nameof(Image)).Append(nameof(Service)).Where(MyInvocation.BoundParameters.ContainsKey).Select(name => $"-{name}").ToList();
        if (unwritten.Count > 0)
            WriteWarning($"An .env file has variables only: what {string.Join(" and ", unwritten)} gave is not in it. Give it to the engine that reads the file, such as -Engine Compose.");
    }

    void RequirePinToBeWritable()
    {
        if (Variable?.Contains(PinVariable) is true)
            throw Invalid("PinNotWritable", $"A PIN in -Variable ({PinVariable}) would be in the shell's history, and would be shown.", "Give it with -Pin or -PinPath.", PinVariable);
        if (Pin is not null && PinPath is not null)
            throw Invalid("PinAmbiguous", "-Pin and -PinPath both give a PIN.", "Give one of them.", PinPath);
        if (Pin is null && PinPath is null && !PinAsSecret)
            return;
        if (Path is null)
            throw Invalid("PinNotWritable", "A PIN is not written to the screen.", "Say which file, with -Path; it gets the mode 0600.", "-Pin");
        if (Engine is P11ContainerEngine.Docker or P11ContainerEngine.Podman or P11ContainerEngine.Quadlet or P11ContainerEngine.Kubernetes)
        {
            throw Invalid(
                "PinNotWritable", $"Arguments, units and Pods can be read by others, so that a PIN is not written for -Engine {Engine}.",
                "Write it to a file: -Engine Env -Path FILE, and give the container that with --env-file FILE (EnvironmentFile= in a quadlet); in Kubernetes, use a Secret.", "-Pin");
        }

        if (Engine is P11ContainerEngine.Compose && !PinAsSecret)
            throw Invalid("PinNotWritable", "A compose file can be read by others, so that a PIN is not written to it.", "Add -PinAsSecret, or write it to the .env file: -Engine Env.", "-Pin");
    }

    static HsmRemoteException Invalid(string errorId, string message, string remedy, object target) =>
        new(errorId, FailureKind.InvalidArgument, message, remedy, target);
}

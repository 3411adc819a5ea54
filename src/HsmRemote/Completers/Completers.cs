using HsmRemote.Commands;

namespace HsmRemote.Completers;

/// <summary>Completes the names of instances.</summary>
public sealed class ServerNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => ServiceLoader.Services.Servers.Names();
}

/// <summary>Completes the names of forwards.</summary>
public sealed class ForwardNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => ServiceLoader.Services.Forwards.Names();
}

/// <summary>Completes the hosts that the caller's ssh configuration names.</summary>
public sealed class SshHostCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => ServiceLoader.Services.Forwards.HostNames();
}

/// <summary>Completes the names of modules in p11-kit's configuration.</summary>
public sealed class ModuleNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => ServiceLoader.Services.Tokens.ModuleNames();
}

/// <summary>Completes the modules that Install-P11KitServer knows the packages of.</summary>
public sealed class ModulePackageCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => ["opensc", "softhsm2", "tpm2"];
}

/// <summary>Completes the labels of tokens.</summary>
public sealed class TokenLabelCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Tokens.Now().Select(token => token.Label);
}

/// <summary>Completes the URIs of tokens.</summary>
public sealed class TokenUriCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Tokens.Now().Select(token => token.Uri.ToString());
}

/// <summary>Completes the labels of public objects.</summary>
public sealed class ObjectLabelCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Tokens.Objects([]).Select(found => found.Label).Where(label => label.Length > 0);
}

/// <summary>Completes the URIs of certificates.</summary>
public sealed class CertificateUriCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Tokens.Objects([Pkcs11ObjectClass.Certificate]).Select(found => found.Uri.ToString());
}

/// <summary>Completes the names of local groups.</summary>
public sealed class GroupNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Accounts.Names("/etc/group");
}

/// <summary>Completes the names of local users.</summary>
public sealed class UserNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Accounts.Names("/etc/passwd");
}

/// <summary>Completes the names of the containers that run.</summary>
public sealed class ContainerNameCompleter : ValueCompleter
{
    // Nobody waits longer for TAB.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private protected override IEnumerable<string> Values()
    {
        using var patience = new CancellationTokenSource(Patience);
        return ServiceLoader.Services.Sockets.ContainersAsync(patience.Token).GetAwaiter().GetResult();
    }
}

/// <summary>Completes the names of the images of this host.</summary>
public sealed class ImageNameCompleter : ValueCompleter
{
    // Nobody waits longer for TAB.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    private protected override IEnumerable<string> Values()
    {
        using var patience = new CancellationTokenSource(Patience);
        return ServiceLoader.Services.Containers.ImagesAsync(patience.Token).GetAwaiter().GetResult();
    }
}

/// <summary>Completes the names of OCI runtimes.</summary>
public sealed class RuntimeNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => ["crun", "runc"];
}

static class Accounts
{
    internal static IEnumerable<string> Names(string file) => File.ReadLines(file).Select(line => line.Split(':')[0]);
}

static class Tokens
{
    // Nobody waits longer for TAB.
    static readonly TimeSpan Patience = TimeSpan.FromSeconds(1);

    internal static IReadOnlyList<Pkcs11Token> Now() =>
        ServiceLoader.Services.Tokens
            .FindAsync(new Pkcs11TokenQuery { Timeout = Patience, Environment = GetPkcs11TokenCommand.SessionEnvironment() }, new Silence(), CancellationToken.None)
            .GetAwaiter().GetResult();

    internal static IEnumerable<Pkcs11Object> Objects(IReadOnlyList<Pkcs11ObjectClass> classes)
    {
        var query = new Pkcs11ObjectQuery { Classes = classes, Timeout = Patience, Environment = GetPkcs11TokenCommand.SessionEnvironment() };
        return Now().SelectMany(token => ServiceLoader.Services.Objects.FindAsync(token, query, new Silence(), CancellationToken.None).GetAwaiter().GetResult());
    }

    sealed class Silence : IReporter
    {
        public void Verbose(string message)
        {
        }

        public void Warning(string message)
        {
        }

        public void Error(HsmRemoteException error)
        {
        }
    }
}

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
    private protected override bool IsPattern => true;

    private protected override IEnumerable<string> Values() => Looks.Tokens.Values().Select(token => token.Label);
}

/// <summary>Completes the URIs of tokens.</summary>
public sealed class TokenUriCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Looks.Tokens.Values().Select(token => token.Uri.ToString());
}

/// <summary>Completes the labels of public objects.</summary>
public sealed class ObjectLabelCompleter : ValueCompleter
{
    private protected override bool IsPattern => true;

    private protected override IEnumerable<string> Values() => Looks.Objects.Values().Select(found => found.Label);
}

/// <summary>Completes the URIs of certificates.</summary>
public sealed class CertificateUriCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => 
        Looks.Objects.Values().Where(found => found.Class == Pkcs11ObjectClass.Certificate).Select(found => found.Uri.ToString());
}

/// <summary>Completes the URIs of private keys, which are seen only after a login: by the public keys and certificates beside them.</summary>
public sealed class PrivateKeyUriCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() =>
        Looks.Objects.Values()
            .Where(found => found.Class is Pkcs11ObjectClass.PublicKey or Pkcs11ObjectClass.Certificate && found.Id.Length > 0)
            .Select(found => $"{found.Token.Uri};id=%{string.Join('%', found.Id.Chunk(2).Select(digits => new string(digits).ToUpperInvariant()))};type=private");
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
    private protected override IEnumerable<string> Values() => Looks.Containers.Values();
}

/// <summary>Completes the names of the images of this host.</summary>
public sealed class ImageNameCompleter : ValueCompleter
{
    private protected override IEnumerable<string> Values() => Looks.Images.Values();
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

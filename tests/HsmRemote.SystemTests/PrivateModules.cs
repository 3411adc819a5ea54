namespace HsmRemote.SystemTests;

/// <summary>A configuration of p11-kit's that only the commands run with it see: other tests read the host's meanwhile.</summary>
/// <remarks>It takes the place of /etc/pkcs11 and, unless the packages' modules are wanted too, of /usr/share/p11-kit/modules.</remarks>
public sealed class PrivateModules
{
    readonly SandboxFixture sandbox;
    readonly string directory;
    readonly bool withPackages;

    public PrivateModules(SandboxFixture sandbox, string name, bool withPackages = false)
    {
        this.sandbox = sandbox;
        this.withPackages = withPackages;
        directory = $"/var/tmp/{name}";
        // The store of the tokens is the test's own, too: others make tokens meanwhile.
        sandbox.Shell($"mkdir -p {directory}/etc/modules {directory}/packages {directory}/tokens; chmod 0755 {directory}; echo 'directories.tokendir = {directory}/tokens' > {directory}/softhsm2.conf").Succeeded();
    }

    /// <summary>Adds a file of the administrator's.</summary>
    public void Write(string file, string content) => sandbox.WriteFile($"{directory}/etc/{file}", content + "\n");

    /// <summary>Adds a file of a package's.</summary>
    public void WritePackaged(string file, string content) => sandbox.WriteFile($"{directory}/packages/{file}", content + "\n");

    /// <summary>Builds tests/HsmRemote.Tests/Module/module.c; gives the library's path.</summary>
    public string Build(string name, params string[] switches)
    {
        var library = $"{directory}/{name}.so";
        string[] arguments = ["-shared", "-fPIC", "-w", "-o", library, .. switches.Select(define => $"-D{define}"), Path.Combine(SandboxFixture.RepositoryRoot, "tests/HsmRemote.Tests/Module/module.c")];
        sandbox.Run("cc", arguments).Succeeded();
        return library;
    }

    /// <summary>Makes a token in the test's own store.</summary>
    public void CreateToken(string label) =>
        Run("softhsm2-util", "--init-token", "--free", "--label", label, "--pin", "1234", "--so-pin", "5678").Succeeded();

    /// <summary>Runs a program with this configuration.</summary>
    public CommandResult Run(params string[] command) => sandbox.Run("unshare", ["--mount", "bash", "-euc", $$"""
        mkdir -p /etc/pkcs11; mount --bind {{directory}}/etc /etc/pkcs11
        {{(withPackages ? "" : $"mount --bind {directory}/packages /usr/share/p11-kit/modules")}}
        export SOFTHSM2_CONF={{directory}}/softhsm2.conf; exec "$@"
        """, "bash", .. command]);

    /// <summary>Runs PowerShell with this configuration; what it writes is text.</summary>
    public CommandResult HsmRemote(string command) => Run(SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-Command", command);

    /// <summary>Runs PowerShell with this configuration; what it writes are objects.</summary>
    public HsmRemoteResult Objects(string command) =>
        new(Run(SandboxFixture.ShellPath, "-NoProfile", "-NonInteractive", "-OutputFormat", "Json", "-Command", command));
}

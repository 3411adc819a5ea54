using System.Text.Json;

namespace HsmRemote.SystemTests;

/// <summary>Get-Pkcs11Object and Export-Pkcs11Certificate beside p11tool and pkcs11-tool, in the module and through a server.</summary>
/// <remarks>In a system of its own: of a module with more than 48 tokens p11tool sees none, and the other classes make more.</remarks>
public sealed class ObjectTests(OwnSandbox host) : IClassFixture<OwnSandbox>
{
    readonly SandboxFixture sandbox = host.Fixture;

    const string Module = SoftHsmToken.Module;

    [Fact]
    public void In_the_module_and_through_a_server_they_are_p11tools()
    {
        var token = Fill("object-both");
        sandbox.HsmRemote($"Install-P11KitServer object-both -TargetUri '{token.Uri}'").SucceededWithOne();
        var pinPath = PinFile("object-both", token.Pin);
        foreach (var (login, ours) in new[] { ("", ""), ($"--login --set-pin {token.Pin}", $"-PinPath {pinPath}") })
        {
            var listed = sandbox.Shell($"p11tool --provider {Module} --only-urls --list-all {login} '{token.Uri}'").Succeeded().Split('\n').Order(StringComparer.Ordinal);
            var inModule = Sorted(sandbox.HsmRemote($"Get-Pkcs11Token object-both | Get-Pkcs11Object {ours}").Succeeded());
            Assert.Equal(listed, inModule.Select(o => Text(o, "Uri")));
            foreach (var way in new[] { "Get-Pkcs11Object -Name object-both", "Get-P11KitServer object-both | Get-Pkcs11Object", "Get-Pkcs11Object -SocketPath /run/object-both/pkcs11", "Get-Pkcs11Token -Name object-both | Get-Pkcs11Object" })
            {
                var remote = Sorted(sandbox.HsmRemote($"{way} {ours}").Succeeded());
                Assert.Equal(inModule.Select(WithoutToken), remote.Select(WithoutToken));
            }
        }
    }

    [Fact]
    public void Types_labels_ids_and_sizes_are_pkcs11_tools()
    {
        var token = Fill("object-types");
        var listed = sandbox.Run("pkcs11-tool", "--module", Module, "--token-label", token.Label, "--login", "--pin", token.Pin, "--list-objects").Succeeded();
        var objects = sandbox.HsmRemote($"Get-Pkcs11Object -Uri '{token.Uri}' -PinPath {PinFile("object-types", token.Pin)}").Succeeded();
        Assert.Equal(6, objects.Length);
        foreach (var found in objects)
        {
            var heading = (Text(found, "Class"), Text(found, "Type")) switch
            {
                ("PublicKey", "EC") => $"Public Key Object; EC  EC_POINT {Text(found, "KeySize")} bits",
                ("PublicKey", "RSA") => $"Public Key Object; RSA {Text(found, "KeySize")} bits",
                ("PrivateKey", "EC") => "Private Key Object; EC",
                ("PrivateKey", "RSA") => "Private Key Object; RSA",
                ("Certificate", _) => "Certificate Object; type = X.509 cert",
                _ => "Data object",
            };
            var block = Assert.Single(listed.Split("\n", StringSplitOptions.None).Aggregate(new List<string>(), Blocks), b => b.StartsWith(heading, StringComparison.Ordinal));
            Assert.Contains(Text(found, "Label"), block, StringComparison.Ordinal);
            Assert.Contains(Text(found, "Id"), block, StringComparison.Ordinal);
        }

        static List<string> Blocks(List<string> blocks, string line)
        {
            if (line.StartsWith(' ') && blocks.Count > 0)
                blocks[^1] += $"\n{line}";
            else
                blocks.Add(line);
            return blocks;
        }
    }

    [Fact]
    public void A_certificate_is_what_was_written_and_a_user_may_export_it()
    {
        Fill("object-export");
        sandbox.Shell("install -d -m 1777 /var/tmp/object-export").Succeeded();
        var pem = sandbox.Shell("openssl x509 -inform DER -in /var/tmp/object-export.der").Succeeded();
        Assert.Equal(pem, sandbox.HsmRemote("Export-Pkcs11Certificate 'pkcs11:token=object-export;object=certificate'").SucceededWithOne().GetString());
        // Through the server, as somebody who is not root and may not look into the store.
        sandbox.HsmRemote("Install-P11KitServer object-export -SocketMode 0666 -TargetUri 'pkcs11:token=object-export'").SucceededWithOne();
        sandbox.Shell($"setpriv --reuid 5000 --regid 5000 --clear-groups env HOME=/tmp {SandboxFixture.ShellPath} -NoProfile -Command \"Get-Pkcs11Object -SocketPath /run/object-export/pkcs11 -Type Certificate | Export-Pkcs11Certificate -Path /var/tmp/object-export/edge.pem\"").Succeeded();
        Assert.Equal(pem, sandbox.Shell("cat /var/tmp/object-export/edge.pem").Succeeded());
        Assert.Equal("5000:5000 644", sandbox.Shell("stat -c '%u:%g %a' /var/tmp/object-export/edge.pem").Succeeded());
        var line = sandbox.HsmRemote("Export-Pkcs11Certificate 'pkcs11:token=object-export' -Format Base64Pem").SucceededWithOne().GetString();
        Assert.Equal(sandbox.Shell("base64 --wrap=0 /var/tmp/object-export/edge.pem").Succeeded(), line);
    }

    [Fact]
    public void The_table_fits_its_terminal()
    {
        Fill("object-table");
        var screen = sandbox.Run("env", "COLUMNS=100", SandboxFixture.ShellPath, "-NoProfile", "-Command", $"Get-Pkcs11Object -Uri 'pkcs11:token=object-table' -PinPath {PinFile("object-table", "123456")}").Succeeded();
        Assert.All(screen.Split('\n'), line => Assert.InRange(line.TrimEnd().Length, 0, 100));
        Assert.Contains("EC secp256r1", screen, StringComparison.Ordinal);
        Assert.Contains("CN=object", screen, StringComparison.Ordinal);
    }

    /// <summary>A token with an EC pair, an RSA pair, a certificate, and data.</summary>
    SoftHsmToken Fill(string label)
    {
        var token = sandbox.CreateToken(label);
        sandbox.Shell($$"""
            tool() { pkcs11-tool --module {{Module}} --token-label {{label}} --login --pin {{token.Pin}} "$@"; }
            tool --keypairgen --key-type rsa:2048 --label 'R; S=A' --id 0A0B
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=object -keyout /dev/null -outform DER -out /var/tmp/{{label}}.der
            tool --write-object /var/tmp/{{label}}.der --type cert --label certificate --id 0c
            echo data > /var/tmp/{{label}}.data
            tool --write-object /var/tmp/{{label}}.data --type data --label 'some data'
            """).Succeeded();
        return token;
    }

    string PinFile(string name, string pin)
    {
        var path = $"/etc/{name}.pin";
        sandbox.WriteFile(path, pin, "0600");
        return path;
    }

    static List<JsonElement> Sorted(IEnumerable<JsonElement> objects) => [.. objects.OrderBy(o => Text(o, "Uri"), StringComparer.Ordinal)];

    static string WithoutToken(JsonElement found) =>
        string.Join('\n', found.EnumerateObject().Where(p => p.Name is not ("Token" or "Certificate")).Select(p => $"{p.Name}={p.Value}"));

    static string Text(JsonElement found, string property) => found.GetProperty(property).ToString();
}

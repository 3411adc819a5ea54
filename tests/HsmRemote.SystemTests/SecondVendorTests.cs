namespace HsmRemote.SystemTests;

/// <summary>Other modules than SoftHSM's: a TPM, and smart cards where there is no reader.</summary>
public sealed class SecondVendorTests(SandboxFixture sandbox)
{
    // Each of its commands is a program of its own, and a TPM in software takes its time.
    static readonly TimeSpan Deadline = SandboxFixture.DefaultDeadline;

    [Fact]
    public void A_TPMs_token_is_registered_listed_and_signs_through_a_server()
    {
        const string Directory = "/var/tmp/vendor-tpm";
        var modules = new PrivateModules(sandbox, "vendor-tpm");
        sandbox.WriteFile($"{Directory}/pin", "123456", "0600");
        // The TPM keeps three things at a time, hence the resource manager. All of it ends with the script.
        sandbox.WriteFile($"{Directory}/with-tpm", $$"""
            #!/bin/bash
            set -euo pipefail
            mkdir -p {{Directory}}/state {{Directory}}/store
            swtpm socket --tpm2 --tpmstate dir={{Directory}}/state --server type=unixio,path={{Directory}}/tpm \
                --ctrl type=unixio,path={{Directory}}/tpm.ctrl --flags not-need-init,startup-clear &
            swtpm=$!
            until [[ -S {{Directory}}/tpm && -S {{Directory}}/tpm.ctrl ]]; do sleep 0.1; done
            tpm2-abrmd --allow-root --tcti=swtpm:path={{Directory}}/tpm &
            trap "kill $! $swtpm" EXIT
            until busctl status com.intel.tss2.Tabrmd >/dev/null 2>&1; do sleep 0.1; done
            export TPM2_PKCS11_STORE={{Directory}}/store TPM2_PKCS11_TCTI=tabrmd: TPM2TOOLS_TCTI=tabrmd: TSS2_LOG=all+NONE
            "$@"
            """, "0755");

        modules.HsmRemote("Register-Pkcs11Module tpm2 libtpm2_pkcs11.so -Force").Succeeded();
        var result = sandbox.Run(Deadline, "", "unshare", "--mount", "bash", "-euc", $$"""
            mkdir -p /etc/pkcs11; mount --bind {{Directory}}/etc /etc/pkcs11
            exec {{Directory}}/with-tpm bash -euo pipefail -c '
                tpm2_ptool init >/dev/null
                tpm2_ptool addtoken --pid=1 --label=vendor-tpm --sopin=12345678 --userpin=123456 >/dev/null
                tpm2_ptool addkey --label=vendor-tpm --userpin=123456 --algorithm=ecc256 --key-label=key --id=01 >/dev/null
                p11tool --list-token-urls
                p11-kit server -f -n {{Directory}}/socket --provider "$(readlink -f /usr/lib/*/pkcs11/libtpm2_pkcs11.so)" pkcs11:token=vendor-tpm >/dev/null &
                trap "kill $!" EXIT
                until [ -S {{Directory}}/socket ]; do sleep 0.1; done
                {{SandboxFixture.ShellPath}} -NoProfile -Command "
                    Get-Pkcs11Token vendor-tpm | ForEach-Object { \"\$(\$_.Uri) \$(\$_.Module) \$(\$_.Type)\" }
                    Get-Pkcs11Token vendor-tpm -Isolated | ForEach-Object { \"isolated \$(\$_.Uri)\" }
                    \"first end\""
                {{SandboxFixture.ShellPath}} -NoProfile -Command "
                    Get-Pkcs11Token -SocketPath {{Directory}}/socket | ForEach-Object { \"socket \$(\$_.Uri)\" }
                    \$test = Test-P11Socket -SocketPath {{Directory}}/socket -PinPath {{Directory}}/pin -TimeoutSeconds 60
                    \"signed \$(\$test.Succeeded) \$(\$test.Checks | ForEach-Object { \$_.Name; \$_.Status; \$_.Detail })\""'
            """);
        var lines = result.Succeeded().Split('\n');
        // Its model is padded with NULs, which p11-kit compares, so that they belong to the URI.
        var uri = Assert.Single(lines, line => line.StartsWith("pkcs11:", StringComparison.Ordinal) && line.EndsWith("token=vendor-tpm", StringComparison.Ordinal));
        Assert.Contains("TPM%00", uri, StringComparison.Ordinal);
        Assert.Contains($"{uri} tpm2 Hardware token", lines);
        Assert.Contains($"isolated {uri}", lines);
        Assert.True(lines.Contains($"socket {uri}"), string.Join('\n', lines));
        Assert.True(lines.Any(line => line.StartsWith("signed True ", StringComparison.Ordinal) && line.Contains("Sign Passed", StringComparison.Ordinal)), string.Join('\n', lines));
    }

    [Fact]
    public void OpenSC_without_a_reader_has_no_token_and_is_no_error()
    {
        var modules = new PrivateModules(sandbox, "vendor-opensc");
        modules.Objects("Register-Pkcs11Module cards opensc-pkcs11.so").SucceededWithOne();
        Assert.Contains("cards: ", modules.Run("p11-kit", "list-modules").Succeeded(), StringComparison.Ordinal);
        foreach (var isolated in new[] { "", "-Isolated" })
        {
            Assert.Empty(modules.Objects($"Get-Pkcs11Token -IncludeUninitialized {isolated}").Succeeded());
            var module = modules.Objects($"Get-Pkcs11Module {isolated}").SucceededWithOne();
            Assert.Equal("OpenSC Project", module.GetProperty("LibraryManufacturer").GetString());
            Assert.True(module.GetProperty("Loads").GetBoolean());
            Assert.Equal(0, module.GetProperty("Tokens").GetArrayLength());
        }
    }
}

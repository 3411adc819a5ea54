namespace HsmRemote.SystemTests;

/// <summary>Applications in containers that use the token's key and know nothing of HsmRemote.</summary>
public sealed class ContainerApplicationTests(SandboxFixture sandbox)
{
    readonly ContainerHost host = new(sandbox);

    [Fact]
    public void OpenSSL_signs_a_certificate_request_with_Debian_s_engine()
    {
        var token = host.Serve("app-openssl", 7601);
        var result = host.Run(
            host.Config($"app-openssl Podman -Image {ContainerHost.Image} -Uid 5000"),
            $$"""
            set -e; cd /tmp
            printf '%s\n' 'openssl_conf = c' '[c]' 'engines = e' '[e]' 'pkcs11 = p' '[p]' 'engine_id = pkcs11' 'MODULE_PATH = {{ContainerHost.Client}}' 'PIN = {{token.Pin}}' 'init = 0' '[req]' 'distinguished_name = d' '[d]' >conf
            OPENSSL_CONF=/tmp/conf openssl req -new -engine pkcs11 -keyform engine -key 'pkcs11:token=app-openssl;object=key;type=private' -subj /CN=device -out request
            openssl req -in request -verify -noout -subject 2>&1
            """).Succeeded();
        Assert.Contains("verify OK", result, StringComparison.Ordinal);
        Assert.Contains("CN = device", result, StringComparison.Ordinal);
    }

    [Fact]
    public void An_ssh_client_signs_in_with_PKCS11Provider()
    {
        var token = host.Serve("app-ssh", 7602);
        // As root: ssh wants to know the home of who runs it, and a server of its own is beside it.
        var result = host.Run(
            host.Config($"app-ssh Podman -Image {ContainerHost.Image} -Uid 0"),
            $$"""
            set -e; cd /tmp
            mkdir -p /run/sshd /root/.ssh; chmod 700 /root/.ssh
            ssh-keygen -q -t ed25519 -N '' -f host
            ssh-keygen -D {{ContainerHost.Client}} >/root/.ssh/authorized_keys
            chmod 600 /root/.ssh/authorized_keys
            # It goes into the background before it listens, so ssh tries again, once a second.
            /usr/sbin/sshd -p 2222 -h /tmp/host -o ListenAddress=127.0.0.1 -o UsePAM=no -o PasswordAuthentication=no -E /tmp/log
            printf '#!/bin/sh\necho {{token.Pin}}\n' >ask; chmod +x ask
            SSH_ASKPASS=/tmp/ask SSH_ASKPASS_REQUIRE=force ssh -p 2222 -o ConnectionAttempts=60 -o StrictHostKeyChecking=no -o PKCS11Provider={{ContainerHost.Client}} 127.0.0.1 'echo in as $(id -un)'
            cat log
            """).Succeeded();
        Assert.Contains("in as root", result, StringComparison.Ordinal);
        Assert.Contains("Accepted publickey for root from 127.0.0.1", result, StringComparison.Ordinal);
    }

    [Fact]
    public void A_mutual_TLS_connection_with_the_token_s_key_and_certificate()
    {
        var token = host.Serve("app-tls", 7603);
        sandbox.WriteFile("/run/app-tls-work/template", "cn = \"device\"\ntls_www_client\nsigning_key\nexpiration_days = 2\n");
        sandbox.Shell(
            $$"""
            cd /run/app-tls-work; export GNUTLS_PIN={{token.Pin}} P11_KIT_SERVER_ADDRESS=unix:path=/run/app-tls/pkcs11
            # Through the server too: of a module, gnutls sees 48 tokens, and the other tests make more.
            certtool --provider {{ContainerHost.Client}} --generate-self-signed --load-privkey 'pkcs11:token=app-tls;object=key;type=private' --load-pubkey 'pkcs11:token=app-tls;object=key;type=public' --template template --outfile device.pem 2>&1
            p11tool --provider {{ContainerHost.Client}} --login --write --load-certificate device.pem --label key --id 01 'pkcs11:token=app-tls' 2>&1
            openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -keyout server.key -out server.pem -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>&1
            chmod 644 *
            """).Succeeded();
        // The server lets nobody in but the owner of that certificate, and says whom it let in.
        var result = host.Run(
            host.Config($"app-tls Podman -Image {ContainerHost.Image} -Uid 5000"),
            $$"""
            cd /tmp
            gnutls-serv --echo --port 5556 --x509keyfile /work/server.key --x509certfile /work/server.pem --x509cafile /work/device.pem --require-client-cert --verify-client-cert >log 2>&1 &
            server=$!
            for i in $(seq 300); do grep -q 15B4 /proc/net/tcp && break; sleep 0.1; done
            # It stays until it has its answer, or has ended.
            talk() {
                log=$1; shift; : >$log
                { echo hello; for i in $(seq 300); do grep -Eqx 'hello|\*\*\* .*' $log && break; sleep 0.1; done; } | gnutls-cli --x509cafile /work/server.pem -p 5556 "$@" localhost >$log 2>&1 || code=$?
                cat $log; return ${code:-0}
            }
            export GNUTLS_PIN={{token.Pin}}
            talk with --provider {{ContainerHost.Client}} --x509certfile 'pkcs11:token=app-tls;object=key;type=cert' --x509keyfile 'pkcs11:token=app-tls;object=key;type=private'
            echo --- without the key
            talk without || true
            kill $server; echo --- the server; cat log
            """, "--volume /run/app-tls-work:/work:ro").Succeeded();
        var parts = result.Split("--- ");
        Assert.Contains("Handshake was completed", parts[0], StringComparison.Ordinal);
        Assert.Contains("\nhello\n", parts[0], StringComparison.Ordinal);
        Assert.DoesNotContain("\nhello\n", parts[1], StringComparison.Ordinal);
        Assert.Contains("Certificate is required", parts[1], StringComparison.Ordinal);
        Assert.Contains("CN=device", parts[2], StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("", "0", "app-image-root", 7604)]
    [InlineData("-Uid 5000", "5000", "app-image-user", 7605)]
    public void An_image_that_is_built_with_the_fragment_needs_no_provider_to_be_named(string user, string id, string name, int groupId)
    {
        host.Serve(name, groupId);
        // Debian's mirror is out of reach in the sandbox, and the packages are in the image below already.
        sandbox.Shell($"mkdir -p /run/{name}-build").Succeeded();
        Assert.True(sandbox.HsmRemote($"New-P11ContainerConfig -Dockerfile Debian {user} -Path /run/{name}-build/fragment").SucceededWithOne().GetProperty("Changed").GetBoolean());
        sandbox.Shell($"cd /run/{name}-build; {{ echo FROM {ContainerHost.Image}; cat fragment; }} >Dockerfile; podman build --isolation=chroot --tag {name} . 2>&1").Succeeded();
        var tokens = host.Run($"{host.Config($"{name} Podman -Image localhost/{name} {user}")}", "id -u; p11tool --list-token-urls").Succeeded();
        Assert.StartsWith($"{id}\n", tokens, StringComparison.Ordinal);
        Assert.Contains($"token={name}", tokens, StringComparison.Ordinal);
    }
}

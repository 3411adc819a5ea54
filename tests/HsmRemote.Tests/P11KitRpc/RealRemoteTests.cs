using System.Diagnostics;
using System.Security.Cryptography;
using System.Text;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Tests.P11KitRpc;

/// <summary>The client against the real p11-kit and a real (software) token.</summary>
public sealed class RealRemoteTests : IDisposable
{
    const string Pin = "1234";

    readonly string directory = Directory.CreateTempSubdirectory("hsmremote-").FullName;

    string Configuration => Path.Join(directory, "softhsm2.conf");

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => Directory.Delete(directory, recursive: true);

    [Fact]
    public async Task It_sees_what_p11tool_lists()
    {
        await InitializeTokenAsync();
        var listed = (await RunAsync("p11tool", "--list-token-urls")).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        var softHsm = Assert.Single(listed, url => url.Contains("SoftHSM", StringComparison.Ordinal));

        using var remote = Start("p11-kit", "remote", "pkcs11:");
        await using var client = await ConnectAsync(remote);
        var (tokens, failures) = await RpcTokens.ReadAsync(client, Token);
        Assert.Empty(failures);
        Assert.Equal(listed.Order(StringComparer.Ordinal), tokens.Where(t => t.IsInitialized).Select(t => t.Uri.ToString()).Order(StringComparer.Ordinal));

        var token = Assert.Single(tokens, t => t.Uri.ToString().Equals(softHsm, StringComparison.Ordinal));
        Assert.Equal("Täst; a/b=c", token.Label);
        var mechanisms = await client.GetMechanismListAsync(token.SlotId, Token);
        Assert.NotEmpty(mechanisms);
        await client.GetMechanismInfoAsync(token.SlotId, mechanisms[0], Token);
        await client.FinalizeAsync(Token);
        await client.DisposeAsync();
        await remote.WaitForExitAsync(Token);
    }

    [Fact]
    public async Task It_signs_with_a_key_and_the_signature_verifies()
    {
        const uint Class = 0x0, Label = 0x3, KeyType = 0x100, Sensitive = 0x103, EcPoint = 0x181, NoSuchAttribute = 0x7FFFFFF0;
        const ulong PublicKey = 2, PrivateKey = 3, Ec = 3;
        const uint Ecdsa = 0x1041;
        const ulong UserFunctions = 1;
        await InitializeTokenAsync();
        await RunAsync("p11tool", "--batch", "--login", "--set-pin", Pin, "--generate-privkey", "ecdsa", "--curve", "secp256r1", "--label", "Key", "pkcs11:model=SoftHSM%20v2");

        using var remote = Start("p11-kit", "remote", "pkcs11:model=SoftHSM%20v2");
        await using var client = await ConnectAsync(remote);
        var (tokens, _) = await RpcTokens.ReadAsync(client, Token);
        var session = await client.OpenSessionAsync(Assert.Single(tokens, t => t.IsInitialized).SlotId, Token);
        Assert.Equal("CKR_PIN_INCORRECT", (await Assert.ThrowsAsync<Pkcs11ErrorException>(() => client.LoginAsync(session, "wrong"u8, Token))).Name);
        await client.LoginAsync(session, Encoding.ASCII.GetBytes(Pin), Token);
        Assert.Equal(UserFunctions, (await client.GetSessionInfoAsync(session, Token)).State);

        var key = Assert.Single(await client.FindObjectsAsync(session, [RpcAttribute.FromUlong(Class, PrivateKey), new(Label, "Key"u8.ToArray())], Token));
        var attributes = await client.GetAttributeValueAsync(session, key, [KeyType, Sensitive, Label, NoSuchAttribute], Token);
        Assert.Equal((Ec, true), (attributes[0].ToUlong(), attributes[1].ToBool()));
        Assert.Equal("Key"u8.ToArray(), attributes[2].Value);
        Assert.Null(attributes[3].Value);
        Assert.Empty(await client.FindObjectsAsync(session, [new(Label, "No such key"u8.ToArray())], Token));

        var hash = await client.GenerateRandomAsync(session, 32, Token);
        Assert.Equal(32, hash.Length);
        var signature = await client.SignAsync(session, Ecdsa, key, hash, Token);
        var publicKey = Assert.Single(await client.FindObjectsAsync(session, [RpcAttribute.FromUlong(Class, PublicKey)], Token));
        // An OCTET STRING of an uncompressed point: 04 41 04 x y.
        var point = (await client.GetAttributeValueAsync(session, publicKey, [EcPoint], Token))[0].Value!;
        using var ecdsa = ECDsa.Create(new ECParameters { Curve = ECCurve.NamedCurves.nistP256, Q = new() { X = point[3..35], Y = point[35..67] } });
        Assert.True(ecdsa.VerifyHash(hash, signature));

        await client.LogoutAsync(session, Token);
        await client.CloseSessionAsync(session, Token);
        Assert.Equal("CKR_SESSION_HANDLE_INVALID", (await Assert.ThrowsAsync<Pkcs11ErrorException>(() => client.GetSessionInfoAsync(session, Token))).Name);
    }

    async Task InitializeTokenAsync()
    {
        foreach (var program in new[] { "p11-kit", "p11tool", "softhsm2-util" })
        {
            if (!File.Exists($"/usr/bin/{program}"))
                Assert.Skip($"{program} is not installed: the client is NOT tested against the real p11-kit.");
        }

        Directory.CreateDirectory(Path.Join(directory, "tokens"));
        await File.WriteAllTextAsync(Configuration, $"directories.tokendir = {Path.Join(directory, "tokens")}\n", Token);
        await RunAsync("softhsm2-util", "--init-token", "--free", "--label", "Täst; a/b=c", "--so-pin", "12345678", "--pin", Pin);
    }

    static async Task<P11KitRpcClient> ConnectAsync(Process remote)
    {
        var client = await P11KitRpcClient.ConnectAsync(new DuplexStream(remote.StandardOutput.BaseStream, remote.StandardInput.BaseStream), Token);
        await client.InitializeAsync(Token);
        return client;
    }

    Process Start(string program, params string[] arguments) => Process.Start(new ProcessStartInfo($"/usr/bin/{program}", arguments)
    {
        UseShellExecute = false,
        RedirectStandardInput = true,
        RedirectStandardOutput = true,
        Environment = { ["SOFTHSM2_CONF"] = Configuration },
    })!;

    async Task<string> RunAsync(string program, params string[] arguments)
    {
        using var process = Start(program, arguments);
        process.StandardInput.Close();
        var output = await process.StandardOutput.ReadToEndAsync(Token);
        await process.WaitForExitAsync(Token);
        Assert.Equal(0, process.ExitCode);
        return output;
    }
}

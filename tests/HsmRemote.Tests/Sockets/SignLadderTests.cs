using System.Security;
using System.Text;
using HsmRemote.Services.Pkcs11;
using HsmRemote.Services.Sockets;
using HsmRemote.Tests.P11KitRpc;

namespace HsmRemote.Tests.Sockets;

/// <summary>
/// Login and Sign, with a token that can be brought to everything. SoftHSM neither counts wrong PINs nor locks, has no
/// keypad and signs rightly, so these causes are provoked here only; the others for real as well, in SocketSignTests.
/// </summary>
public sealed class SignLadderTests : IDisposable
{
    const string Pin = "1234-ä";

    readonly SocketDirectory directory = new();

    static CancellationToken Token => TestContext.Current.CancellationToken;

    public void Dispose() => directory.Dispose();

    [Fact]
    public async Task Without_a_PIN_nothing_is_tried()
    {
        using var signer = Listen(new());
        var test = await TestAsync(null);
        Assert.True(test.Succeeded);
        Assert.All(test.Checks.TakeLast(2), c => Assert.Equal((P11SocketCheckStatus.Skipped, "not asked for"), (c.Status, c.Detail)));
        Assert.Equal(0, signer.Logins);
    }

    [Theory]
    [InlineData(false, false, false)]
    [InlineData(false, true, false)]
    [InlineData(true, false, false)]
    [InlineData(true, true, true)]
    [InlineData(false, false, true)]
    public async Task It_logs_in_signs_and_verifies(bool isRsa, bool certificate, bool isNew)
    {
        using var signer = Listen(new() { IsRsa = isRsa, HasPublicKey = !certificate, HasCertificate = certificate, IsNew = isNew });
        var test = await TestAsync(Login());
        Assert.True(test.Succeeded, test.Explanation);
        Assert.All(test.Checks, c => Assert.Equal(P11SocketCheckStatus.Passed, c.Status));
        Assert.Equal($"'key' signs with {(isRsa ? "CKM_RSA_PKCS" : "CKM_ECDSA")}; verified with its {(certificate ? "certificate" : "public key")}", test.Checks[^1].Detail);
        Assert.Equal(Encoding.UTF8.GetBytes(Pin), signer.Pin);
        Assert.Equal(1, signer.Logins);
    }

    [Theory]
    [InlineData(0x2040DUL, P11SocketCause.PinFinalTry)]
    [InlineData(0x4040DUL, P11SocketCause.PinLocked)]
    [InlineData(0x405UL, P11SocketCause.PinNotSet)]
    [InlineData(0x50DUL, P11SocketCause.PinOnReader)]
    public async Task Flags_that_speak_against_an_attempt_are_heeded(ulong flags, P11SocketCause cause)
    {
        using var signer = Listen(new(flags));
        Fails(await TestAsync(Login()), P11SocketCheckName.Login, cause);
        Assert.Equal(0, signer.Logins);
    }

    [Fact]
    public async Task The_last_attempt_is_made_with_Force()
    {
        using var signer = Listen(new(0x2040D));
        Assert.True((await TestAsync(Login(force: true))).Succeeded);
        Assert.Equal(1, signer.Logins);
    }

    [Theory]
    [InlineData(0xA0UL, P11SocketCause.PinIncorrect, "CKR_PIN_INCORRECT")]
    [InlineData(0xA2UL, P11SocketCause.PinIncorrect, "CKR_PIN_LEN_RANGE")]
    [InlineData(0xA4UL, P11SocketCause.PinLocked, "CKR_PIN_LOCKED")]
    [InlineData(0x102UL, P11SocketCause.PinNotSet, "")]
    [InlineData(0xA3UL, P11SocketCause.Pkcs11Error, "CKR_PIN_EXPIRED")]
    public async Task What_C_Login_says_is_a_cause(ulong result, P11SocketCause cause, string detail)
    {
        using var signer = Listen(new() { LoginResult = result });
        var test = await TestAsync(Login());
        Fails(test, P11SocketCheckName.Login, cause);
        Assert.Contains(detail, test.Checks.Single(c => c.Name == P11SocketCheckName.Login).Detail, StringComparison.Ordinal);
        Assert.Equal(1, signer.Logins);
    }

    [Theory]
    [InlineData(0x40DUL, "does not say")]
    [InlineData(0x1040DUL, "more than one")]
    [InlineData(0x2040DUL, "one attempt is left")]
    public async Task A_wrong_PIN_says_what_is_left(ulong flags, string left)
    {
        using var signer = Listen(new(flags) { LoginResult = 0xA0 });
        Assert.Contains(left, (await TestAsync(Login(force: true))).Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_token_that_refused_a_PIN_is_not_asked_again_in_the_same_run()
    {
        using var signer = Listen(new() { LoginResult = 0xA0 });
        var login = Login();
        await TestAsync(login);
        var again = await TestAsync(login);
        Fails(again, P11SocketCheckName.Login, P11SocketCause.PinIncorrect);
        Assert.Equal(1, signer.Logins);
        await TestAsync(Login());
        Assert.Equal(2, signer.Logins);
    }

    [Fact]
    public async Task A_PIN_that_was_taken_is_used_again()
    {
        using var signer = Listen(new());
        var login = Login();
        Assert.True((await TestAsync(login)).Succeeded);
        Assert.True((await TestAsync(login)).Succeeded);
    }

    [Fact]
    public async Task Two_at_once_make_one_attempt_with_a_wrong_PIN()
    {
        using var signer = new FakeSigner { LoginResult = 0xA0 };
        directory.Listen(s => Task.Run(() => signer.ServeAsync(s), Token));
        var second = Path.Join(directory.FullName, "second");
        directory.Listen(signer.ServeAsync, second);
        var login = Login();
        await Task.WhenAll(TestAsync(login), TestAsync(login, second));
        Assert.Equal(1, signer.Logins);
    }

    [Theory]
    [InlineData(0, P11SocketCause.KeyNotFound)]
    [InlineData(2, P11SocketCause.KeyAmbiguous)]
    public async Task Only_one_key_needs_no_name(int keys, P11SocketCause cause)
    {
        using var signer = Listen(new() { Keys = keys });
        var test = await TestAsync(Login());
        Fails(test, P11SocketCheckName.Sign, cause);
        if (keys > 1)
            Assert.Contains("id=%02;object=key;type=private", test.Explanation, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_key_in_another_token_is_not_found_and_costs_no_attempt()
    {
        using var signer = Listen(new());
        Fails(await TestAsync(Login(key: "pkcs11:token=Other;id=%01")), P11SocketCheckName.Login, P11SocketCause.KeyNotFound);
        Assert.Equal(0, signer.Logins);
    }

    [Fact]
    public async Task A_PIN_is_tried_on_one_token_only()
    {
        var server = new FakeServer(new FakeToken("One"), new FakeToken("Two", Serial: "0002"));
        directory.Listen(async s =>
        {
            await using var stream = new System.Net.Sockets.NetworkStream(s);
            await server.ServeAsync(stream);
        });
        var test = await TestAsync(Login());
        Fails(test, P11SocketCheckName.Login, P11SocketCause.SeveralMatches);
        Assert.DoesNotContain(18u, server.Calls);
    }

    [Fact]
    public async Task What_cannot_be_verified_proves_nothing()
    {
        const ulong Edwards = 0x40;
        using (Listen(new() { KeyType = Edwards }))
        {
            var test = await TestAsync(Login());
            Fails(test, P11SocketCheckName.Sign, P11SocketCause.KeyUnsupported);
            Assert.Contains("Ed25519", test.Explanation, StringComparison.Ordinal);
        }

        var other = Path.Join(directory.FullName, "other");
        using var signer = new FakeSigner { HasPublicKey = false };
        directory.Listen(signer.ServeAsync, other);
        Fails(await TestAsync(Login(), other), P11SocketCheckName.Sign, P11SocketCause.PublicKeyNotFound);
    }

    [Theory]
    [InlineData(0x70UL, "CKM_ECDSA: CKR_MECHANISM_INVALID")]
    [InlineData(0x68UL, "CKM_ECDSA: CKR_KEY_FUNCTION_NOT_PERMITTED")]
    [InlineData(0x101UL, "CKM_ECDSA: CKR_USER_NOT_LOGGED_IN")]
    public async Task A_mechanism_that_is_refused_has_its_name(ulong result, string detail)
    {
        using var signer = Listen(new() { SignInitResult = result });
        var test = await TestAsync(Login());
        Fails(test, P11SocketCheckName.Sign, P11SocketCause.MechanismRefused);
        Assert.Equal(detail, test.Checks[^1].Detail);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_signature_that_does_not_verify_is_invalid(bool isRsa)
    {
        using var signer = Listen(new() { SignsWrongly = true, IsRsa = isRsa });
        Fails(await TestAsync(Login()), P11SocketCheckName.Sign, P11SocketCause.SignatureInvalid);
    }

    /// <summary>The rungs below have theirs in RobustnessTests.</summary>
    [Theory]
    [InlineData(10)] // C_OpenSession
    [InlineData(18)] // C_Login
    [InlineData(26)] // C_FindObjectsInit
    [InlineData(43)] // C_Sign
    public async Task Ctrl_C_ends_it_at_log_in_and_at_sign(uint call)
    {
        using var signer = Listen(new() { StallsAt = call });
        using var ending = new CancellationTokenSource();
        var test = new P11SocketService().TestAsync(new(null, directory.SocketPath), new(), TimeSpan.FromSeconds(60), ending.Token, Login());
        await signer.Stalled.Task.WaitAsync(TimeSpan.FromSeconds(30), Token);
        await ending.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => test).WaitAsync(TimeSpan.FromSeconds(20), Token);
    }

    [Fact]
    public async Task Mechanisms_have_names_and_a_note_of_who_sees_them()
    {
        using var signer = Listen(new());
        Assert.Equal(["CKM_RSA_PKCS", "CKM_ECDSA"], (await TestAsync(null)).Mechanisms);
        Assert.Equal("CKM_AES_GCM (before p11-kit 0.25.0)", Hidden(0x1087));
        Assert.Equal("CKM_EDDSA", Hidden(0x1057));
        Assert.Equal("0x80000123", Hidden(0x80000123));
        Assert.True(Mechanism.Of(Mechanism.Sha256RsaPkcs).IsAlwaysVisible);

        static string Hidden(ulong type) => new P11HiddenMechanism(Mechanism.Of(type).Name, Mechanism.Of(type).VisibleFrom).ToString();
    }

    FakeSigner Listen(FakeSigner signer)
    {
        directory.Listen(signer.ServeAsync);
        return signer;
    }

    static P11Login Login(string? key = null, bool force = false)
    {
        var pin = new SecureString();
        foreach (var c in Pin)
            pin.AppendChar(c);
        return new(pin, key is null ? null : Pkcs11Uri.Parse(key), force);
    }

    Task<P11SocketTest> TestAsync(P11Login? login, string? path = null) =>
        new P11SocketService().TestAsync(new(null, path ?? directory.SocketPath), new(), TimeSpan.FromSeconds(30), Token, login);

    static void Fails(P11SocketTest test, P11SocketCheckName check, P11SocketCause cause)
    {
        Assert.Equal((check, cause), (test.FailedCheck, test.Cause));
        Assert.False(test.Succeeded);
        Assert.NotNull(test.Remedy);
        Assert.DoesNotContain(Pin, $"{test.Explanation} {test.Remedy} {string.Join(' ', test.Checks)}", StringComparison.Ordinal);
    }
}

using System.Management.Automation;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;

namespace HsmRemote.Tests.Module;

/// <summary>Get-Pkcs11Object and Export-Pkcs11Certificate with a real module, SoftHSM, beside p11tool.</summary>
public sealed class ObjectTests : IDisposable
{
    readonly Engine engine;
    readonly SoftHsmStore store;

    public ObjectTests(Engine engine)
    {
        this.engine = engine;
        Assert.SkipUnless(File.Exists("/usr/bin/softhsm2-util"), "softhsm2 is not installed: objects are NOT read from a real module.");
        Assert.SkipUnless(File.Exists("/usr/bin/p11tool"), "gnutls-bin is not installed: our URIs are NOT compared with p11tool's.");
        Assert.SkipUnless(File.Exists("/usr/bin/pkcs11-tool"), "opensc is not installed: there is nothing to make objects with.");
        store = new("objects");
    }

    public void Dispose() => store.Dispose();

    [Fact]
    public void URIs_are_p11tools_whatever_labels_and_ids_are_like()
    {
        File.WriteAllText(store.PathOf("data"), "data");
        store.Tool("--write-object", store.PathOf("data"), "--type", "data", "--label", "plain");
        store.Tool("--write-object", store.PathOf("data"), "--type", "data");
        foreach (var (label, id) in new[] { ("AZ az_-.~", "415A617A5F2D2E7E"), ("; =&?#%/:@[]\"<>'", "00"), ("Größe-ключ-鍵", "FF00FE"), ("trailing  ", "2020"), ("*", "2A") })
            WriteCertificate("--label", label, "--id", id);
        WriteCertificate();
        WriteCertificate("--label", "no id");
        WriteCertificate("--id", "0102");
        // Where p11tool's own room for them ends.
        WriteCertificate("--label", new string('L', 128), "--id", "AB");
        WriteCertificate("--label", new string('L', 129), "--id", "AC");
        // No UTF-8 at all.
        store.Run("bash", "-c", $"pkcs11-tool --module {SoftHsmStore.Library} --token-label objects --login --pin 1234 --write-object '{store.PathOf("certificate")}' --type cert --label $'\\xff\\xfe odd' --id 03");
        store.Tool("--keypairgen", "--key-type", "EC:secp256r1", "--label", "pair", "--id", "07");

        Assert.Equal(store.ListedUris(), Uris(""));
        var all = Uris($"-PinPath '{PinFile(SoftHsmStore.Pin)}'");
        Assert.Equal(store.ListedUris("--login", "--set-pin", SoftHsmStore.Pin), all);
        Assert.Contains(all, uri => uri.EndsWith(";id=%07;object=pair;type=private", StringComparison.Ordinal));
    }

    [Fact]
    public void An_object_has_what_the_token_says_of_it()
    {
        store.Tool("--keypairgen", "--key-type", "rsa:2048", "--label", "rsa", "--id", "01");
        store.Tool("--keypairgen", "--key-type", "EC:secp384r1", "--label", "ec", "--id", "02");
        store.Tool("--keygen", "--key-type", "aes:32", "--label", "aes", "--id", "03", "--private");
        using var written = WriteCertificate("--label", "certificate", "--id", "01");

        var objects = Objects($"-PinPath '{PinFile(SoftHsmStore.Pin)}'");
        Pkcs11Object One(Pkcs11ObjectClass objectClass, string label) => Assert.Single(objects, o => o.Class == objectClass && string.Equals(o.Label, label, StringComparison.Ordinal));
        var rsa = One(Pkcs11ObjectClass.PrivateKey, "rsa");
        Assert.Equal(("RSA", 2048, (string?)null, "01"), (rsa.Type, rsa.KeySize, rsa.Curve, rsa.Id));
        Assert.Equal((true, true, false, true, true, true), (rsa.IsPrivate, rsa.IsSensitive, rsa.IsExtractable, rsa.IsAlwaysSensitive, rsa.IsNeverExtractable, rsa.IsLocal));
        Assert.True(rsa.Usage.HasFlag(Pkcs11KeyUsage.Sign) && !rsa.Usage.HasFlag(Pkcs11KeyUsage.Verify));
        Assert.Equal(2048, One(Pkcs11ObjectClass.PublicKey, "rsa").KeySize);
        foreach (var objectClass in new[] { Pkcs11ObjectClass.PrivateKey, Pkcs11ObjectClass.PublicKey })
        {
            var ec = One(objectClass, "ec");
            Assert.Equal(("EC", 384, "secp384r1"), (ec.Type, ec.KeySize, ec.Curve));
            Assert.Null(ec.Certificate);
        }

        var aes = One(Pkcs11ObjectClass.SecretKey, "aes");
        Assert.Equal(("AES", 256, (string?)null), (aes.Type, aes.KeySize, aes.Curve));
        var certificate = One(Pkcs11ObjectClass.Certificate, "certificate");
        Assert.Equal(("X_509", written.Thumbprint, false), (certificate.Type, certificate.Certificate!.Thumbprint, certificate.IsPrivate));
        Assert.Equal(("objects", "softhsm2"), (certificate.Token.Label, certificate.Token.Module));
    }

    [Fact]
    public void The_token_filters_by_class_label_id_and_URI()
    {
        store.Tool("--keypairgen", "--key-type", "EC:secp256r1", "--label", "edge key", "--id", "0A0B");
        store.Tool("--keypairgen", "--key-type", "EC:secp256r1", "--label", "Edge", "--id", "0C");
        WriteCertificate("--label", "edge key", "--id", "0A0B").Dispose();

        Assert.Equal(3, Objects("").Count);
        Assert.Equal(["Certificate", "PublicKey"], Classes("'edge key'"));
        Assert.Equal(["Certificate", "PublicKey"], Classes("edge*"));
        Assert.Equal(["PublicKey"], Classes("-Label E*"));
        Assert.Equal(["Certificate", "PublicKey", "PublicKey"], Classes("Edge, 'edge key'"));
        Assert.Equal(["Certificate"], Classes("-Type Certificate, Data"));
        Assert.Equal(["PublicKey"], Classes("-Class PublicKey -Id 0c"));
        Assert.Equal(["Certificate", "PublicKey"], Classes("-Id 0x0A:0B"));
        Assert.Equal(["Certificate", "PublicKey"], Classes("-Id ([Pkcs11Uri]'pkcs11:id=%0A%0B').Id"));
        Assert.Equal(["Certificate", "PublicKey", "PublicKey"], Classes("-Id '0c', ([Pkcs11Uri]'pkcs11:id=%0A%0B').Id"));
        // A single number is still what was typed; of several, that is lost.
        Assert.StartsWith("ObjectNotFound,", engine.Run($"{Session} Get-Pkcs11Object -Module softhsm2 -Id 0x10").Error.FullyQualifiedErrorId, StringComparison.Ordinal);
        var numbers = engine.Run($"{Session} Get-Pkcs11Object -Module softhsm2 -Id 0x10, 01").Error;
        Assert.StartsWith("ParameterArgumentTransformationError,", numbers.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains("in quotes", numbers.ToString(), StringComparison.Ordinal);
        Assert.Empty(Classes("-Type SecretKey"));
        Assert.Equal(["Certificate", "PublicKey"], UriClasses("pkcs11:token=objects;id=%0A%0B"));
        Assert.Equal(["PublicKey"], UriClasses("pkcs11:object=Edge;type=public"));
        Assert.Equal(["Certificate"], UriClasses("pkcs11:object=edge%20key' -Type Certificate -Label 'e*"));

        foreach (var (arguments, what) in new[] { ("edge", "'edge'"), ("-Id 0D", "id 0D"), ("-Label Edge, no", "'no'") })
        {
            var error = engine.Run($"{Session} Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object {arguments}").Error;
            Assert.StartsWith("ObjectNotFound,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
            Assert.Contains(what, error.ToString(), StringComparison.Ordinal);
            Assert.Contains("-PinPath", error.ErrorDetails.RecommendedAction, StringComparison.Ordinal);
        }

        Assert.StartsWith("ObjectNotFound,", engine.Run($"{Session} Get-Pkcs11Object -Uri 'pkcs11:object=edge%20key;type=private'").Error.FullyQualifiedErrorId, StringComparison.Ordinal);

        List<string> UriClasses(string uri) => [.. engine.Run($"{Session} Get-Pkcs11Object -Module softhsm2 -Uri '{uri}'").Check().Select(o => $"{((Pkcs11Object)o.BaseObject).Class}").Order(StringComparer.Ordinal)];
    }

    [Fact]
    public void Of_a_module_and_in_a_process_of_its_own_they_are_the_same()
    {
        store.Tool("--keypairgen", "--key-type", "EC:secp256r1", "--label", "key", "--id", "01");
        WriteCertificate("--label", "key", "--id", "01").Dispose();
        var expected = Uris("Get-Pkcs11Object -Module softhsm2");
        Assert.Equal(2, expected.Length);
        Assert.Equal(expected, Uris("Get-Pkcs11Module softhsm2 | Get-Pkcs11Object"));
        Assert.Equal(expected, Uris("Get-Pkcs11Object -Module softhsm2 -Isolated"));
        Assert.Equal(expected, Uris("Get-Pkcs11Token -Module softhsm2 -Isolated | Get-Pkcs11Object -Isolated"));
        Assert.Equal(3, Uris($"Get-Pkcs11Object -Module softhsm2 -Isolated -PinPath '{PinFile(SoftHsmStore.Pin)}'").Length);
        Assert.Contains("BEGIN CERTIFICATE", Assert.Single(engine.Run($"{Session} Export-Pkcs11Certificate pkcs11:token=objects -Isolated").Check()).ToString(), StringComparison.Ordinal);

        string[] Uris(string command) => [.. engine.Run($"{Session} {command}").Check().Select(o => $"{((Pkcs11Object)o.BaseObject).Uri}").Order(StringComparer.Ordinal)];
    }

    [Fact]
    public void Where_there_is_no_token_what_was_named_is_not_there_either()
    {
        var empty = Directory.CreateTempSubdirectory("hsmremote-tests-");
        try
        {
            File.WriteAllText(Path.Combine(empty.FullName, "softhsm2.conf"), $"directories.tokendir = {empty.FullName}\n");
            var errors = engine.Run($"$env:SOFTHSM2_CONF = '{empty.FullName}/softhsm2.conf'; Get-Pkcs11Object nosuch -Module softhsm2 -Id 99").Errors;
            Assert.Equal(2, errors.Count);
            Assert.All(errors, error => Assert.StartsWith("ObjectNotFound,", error.FullyQualifiedErrorId, StringComparison.Ordinal));
        }
        finally
        {
            empty.Delete(recursive: true);
        }
    }

    [Fact]
    public void A_PIN_is_tried_once_and_on_one_token_only()
    {
        store.Tool("--keypairgen", "--key-type", "EC:secp256r1", "--label", "key", "--id", "01");
        Assert.Equal(["PublicKey"], Classes(""));
        Assert.Equal(["PrivateKey", "PublicKey"], Classes($"-PinPath '{PinFile(SoftHsmStore.Pin)}'"));
        Assert.Equal(["PrivateKey", "PublicKey"], Classes("-Pin (& { $pin = [securestring]::new(); '1234'.ToCharArray().ForEach{ $pin.AppendChar($_) }; $pin })"));
        // The login has ended with the command.
        Assert.Equal(["PublicKey"], Classes(""));

        var wrong = engine.Run($"{Session} Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object -PinPath '{PinFile("77441")}'").Error;
        Assert.StartsWith("PinIncorrect,", wrong.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Equal(ErrorCategory.PermissionDenied, wrong.CategoryInfo.Category);
        Assert.DoesNotContain("77441", $"{wrong} {wrong.Exception} {wrong.ErrorDetails.RecommendedAction}", StringComparison.Ordinal);

        store.AddToken("second");
        var several = engine.Run($"{Session} Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object -PinPath '{PinFile(SoftHsmStore.Pin)}'").Error;
        Assert.StartsWith("PinForSeveralTokens,", several.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Equal(["PrivateKey", "PublicKey"], engine.Run($"{Session} Get-Pkcs11Object -Uri 'pkcs11:token=objects' -PinPath '{PinFile(SoftHsmStore.Pin)}'").Check()
            .Select(o => $"{((Pkcs11Object)o.BaseObject).Class}").Order(StringComparer.Ordinal));
    }

    [Fact]
    public void A_token_that_is_gone_is_named()
    {
        engine.Run($"{Session} $gone = Get-Pkcs11Token -Module softhsm2").Check();
        store.Run("softhsm2-util", "--delete-token", "--token", "objects");
        var error = engine.Run($"{Session} $gone | Get-Pkcs11Object").Error;
        Assert.StartsWith("TokenGone,", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Contains("'objects'", error.ToString(), StringComparison.Ordinal);
    }

    [Fact]
    public void A_certificate_is_exported_as_text_and_into_a_file()
    {
        using var written = WriteCertificate("--label", "edge", "--id", "01");
        var pem = written.ExportCertificatePem();
        var uri = Assert.Single(store.ListedUris());
        Assert.Equal(pem, Assert.Single(engine.Run($"{Session} Export-Pkcs11Certificate '{uri}'").Check()).BaseObject);
        Assert.Equal(pem, Assert.Single(engine.Run($"{Session} Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object edge | Export-Pkcs11Certificate").Check()).BaseObject);

        var file = store.PathOf("edge.pem");
        string Export(string more = "") => $"{Session} Export-Pkcs11Certificate 'pkcs11:object=edge' -Path '{file}' {more}";
        Assert.Equal((true, true), Result(Export("-WhatIf")));
        Assert.False(File.Exists(file));
        Assert.Equal((true, false), Result(Export()));
        Assert.Equal($"{pem}\n", File.ReadAllText(file));
        Assert.Equal((false, false), Result(Export()));
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        var oneLine = (string)Assert.Single(engine.Run($"{Session} Export-Pkcs11Certificate '{uri}' -Format Base64Pem").Check()).BaseObject;
        Assert.Equal(store.Run("base64", "--wrap=0", file), oneLine);
        Assert.Equal((true, false), Result(Export("-Format Base64Pem")));
        Assert.Equal($"{oneLine}\n", File.ReadAllText(file));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(file));

        (bool Changed, bool WhatIf) Result(string script)
        {
            var result = (P11ChangeResult)Assert.Single(engine.Run(script).Check()).BaseObject;
            return (result.Changed, result.WhatIf);
        }
    }

    [Fact]
    public void What_cannot_be_exported_is_an_error_that_says_why()
    {
        WriteCertificate("--label", "one", "--id", "01").Dispose();
        WriteCertificate("--label", "two", "--id", "02").Dispose();
        store.Tool("--keypairgen", "--key-type", "EC:secp256r1", "--label", "key", "--id", "03");
        File.WriteAllText(store.PathOf("junk"), "no DER");
        var file = store.PathOf("out.pem");
        Expect("CertificateAmbiguous", $"Export-Pkcs11Certificate 'pkcs11:token=objects' -Path '{file}'");
        Expect("CertificateAmbiguous", $"Get-Pkcs11Object -Module softhsm2 -Type Certificate | Export-Pkcs11Certificate -Path '{file}'");
        Expect("CertificateNotFound", "Export-Pkcs11Certificate 'pkcs11:object=three'");
        Expect("CertificateNotFound", "Get-Pkcs11Object -Module softhsm2 -Type Data | Export-Pkcs11Certificate");
        Expect("NotCertificate", "Export-Pkcs11Certificate 'pkcs11:object=key;type=public'");
        Expect("NotCertificate", $"Get-Pkcs11Object -Module softhsm2 key | Export-Pkcs11Certificate -Path '{file}'");
        Expect("TokenNotFound", "Export-Pkcs11Certificate 'pkcs11:token=none'");
        Expect("PathUnusable", "Export-Pkcs11Certificate 'pkcs11:object=one' -Path /no/such/directory/file");
        Expect("PathUnusable", $"Export-Pkcs11Certificate 'pkcs11:object=one' -Path '{store.PathOf("tokens")}'");
        Assert.False(File.Exists(file));
        Assert.Equal(2, engine.Run($"{Session} Export-Pkcs11Certificate 'pkcs11:token=objects'").Check().Count);

        void Expect(string errorId, string script) =>
            Assert.StartsWith($"{errorId},", engine.Run($"{Session} {script}").Error.FullyQualifiedErrorId, StringComparison.Ordinal);
    }

    [Fact]
    public void TAB_completes_classes_labels_and_certificates()
    {
        WriteCertificate("--label", "edge key", "--id", "01").Dispose();
        engine.Run(Session).Check();
        Assert.Contains("PrivateKey", engine.CompleteAtLast("Get-Pkcs11Object -Type Pri", Session));
        Assert.Equal(["'edge key'"], engine.CompleteAtLast("Get-Pkcs11Object -Label ed", Session));
        Assert.EndsWith("type=cert'", Assert.Single(engine.CompleteAtLast("Export-Pkcs11Certificate -Uri pkcs11:", Session)), StringComparison.Ordinal);
        Assert.Contains("Base64Pem", engine.CompleteAtLast("Export-Pkcs11Certificate -Format B", Session));
    }

    string Session => $"$env:SOFTHSM2_CONF = '{store.Configuration}';";

    X509Certificate2 WriteCertificate(params string[] arguments)
    {
        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        var request = new CertificateRequest("CN=edge", key, HashAlgorithmName.SHA256);
        var certificate = request.CreateSelfSigned(DateTimeOffset.UtcNow.AddDays(-1), DateTimeOffset.UtcNow.AddDays(1));
        File.WriteAllBytes(store.PathOf("certificate"), certificate.RawData);
        store.Tool(["--write-object", store.PathOf("certificate"), "--type", "cert", .. arguments]);
        return certificate;
    }

    string PinFile(string pin)
    {
        var path = store.PathOf($"pin-{pin}");
        File.WriteAllText(path, $"{pin}\n");
        File.SetUnixFileMode(path, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        return path;
    }

    List<Pkcs11Object> Objects(string arguments) =>
        [.. engine.Run($"{Session} Get-Pkcs11Token -Module softhsm2 | Get-Pkcs11Object {arguments}").Check().Select(o => (Pkcs11Object)o.BaseObject)];

    List<string> Uris(string arguments) => [.. Objects(arguments).Select(o => o.Uri.ToString()).Order(StringComparer.Ordinal)];

    List<string> Classes(string arguments) => [.. Objects(arguments).Select(o => $"{o.Class}").Order(StringComparer.Ordinal)];
}

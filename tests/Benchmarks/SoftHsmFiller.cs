using System.Formats.Asn1;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Net.Pkcs11Interop.Common;
using Net.Pkcs11Interop.LowLevelAPI80;

namespace HsmRemote.Benchmarks;

/// <summary>Puts many public objects into a token: data, public keys and certificates by turns, each with a label.</summary>
static class SoftHsmFiller
{
    internal static void Fill(string library, string pin, int count)
    {
        NativeLibrary.SetDllImportResolver(typeof(Pkcs11Library).Assembly, (name, _, _) => name is "libdl" ? NativeLibrary.Load("libdl.so.2") : 0);
        using var module = new Pkcs11Library(library);
        Check(module.C_Initialize(null!));
        var slots = new ulong[2];
        ulong slotCount = 2;
        Check(module.C_GetSlotList(tokenPresent: true, slots, ref slotCount));
        ulong session = 0;
        Check(module.C_OpenSession(slots[0], CKF.CKF_SERIAL_SESSION | CKF.CKF_RW_SESSION, 0, 0, ref session));
        Check(module.C_Login(session, CKU.CKU_USER, Encoding.ASCII.GetBytes(pin), (ulong)pin.Length));

        using var key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        using var certificate = new CertificateRequest("CN=bench", key, HashAlgorithmName.SHA256).CreateSelfSigned(DateTimeOffset.UtcNow, DateTimeOffset.UtcNow.AddDays(1));
        for (var i = 0; i < count; i++)
            Create(module, session, i, key, certificate);
        Check(module.C_Finalize(0));
    }

    static void Create(Pkcs11Library module, ulong session, int number, ECDsa key, X509Certificate2 certificate)
    {
        List<CK_ATTRIBUTE> template =
        [
            Attribute(CKA.CKA_TOKEN, [1]), Attribute(CKA.CKA_PRIVATE, [0]), Attribute(CKA.CKA_LABEL, Encoding.ASCII.GetBytes($"object {number:D5}")),
        ];
        switch (number % 3)
        {
            case 0:
                template.AddRange([Number(CKA.CKA_CLASS, (ulong)CKO.CKO_DATA), Attribute(CKA.CKA_VALUE, new byte[100])]);
                break;
            case 1:
                var point = key.ExportParameters(includePrivateParameters: false).Q;
                var parameters = new AsnWriter(AsnEncodingRules.DER);
                parameters.WriteObjectIdentifier("1.2.840.10045.3.1.7");
                template.AddRange(
                [
                    Number(CKA.CKA_CLASS, (ulong)CKO.CKO_PUBLIC_KEY), Number(CKA.CKA_KEY_TYPE, (ulong)CKK.CKK_EC), Attribute(CKA.CKA_ID, BitConverter.GetBytes(number)),
                    Attribute(CKA.CKA_EC_PARAMS, parameters.Encode()), Attribute(CKA.CKA_EC_POINT, [4, 65, 4, .. point.X!, .. point.Y!]),
                ]);
                break;
            default:
                template.AddRange(
                [
                    Number(CKA.CKA_CLASS, (ulong)CKO.CKO_CERTIFICATE), Number(CKA.CKA_CERTIFICATE_TYPE, (ulong)CKC.CKC_X_509), Attribute(CKA.CKA_ID, BitConverter.GetBytes(number)),
                    Attribute(CKA.CKA_SUBJECT, certificate.SubjectName.RawData), Attribute(CKA.CKA_VALUE, certificate.RawData),
                ]);
                break;
        }

        ulong handle = 0;
        Check(module.C_CreateObject(session, [.. template], (ulong)template.Count, ref handle));
        template.ForEach(attribute => Marshal.FreeHGlobal(attribute.value));
    }

    static CK_ATTRIBUTE Number(CKA type, ulong value) => Attribute(type, BitConverter.GetBytes(value));

    static CK_ATTRIBUTE Attribute(CKA type, byte[] value)
    {
        var copy = Marshal.AllocHGlobal(value.Length);
        Marshal.Copy(value, 0, copy, value.Length);
        return new() { type = (ulong)type, value = copy, valueLen = (ulong)value.Length };
    }

    static void Check(CKR result)
    {
        if (result != CKR.CKR_OK)
            throw new InvalidOperationException($"{result}");
    }
}

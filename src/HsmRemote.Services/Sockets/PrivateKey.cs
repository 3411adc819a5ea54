using System.Text;
using HsmRemote.Services.P11KitRpc;
using HsmRemote.Services.Pkcs11;

namespace HsmRemote.Services.Sockets;

/// <summary>A private key in a token, as far as one needs to know it to have it sign.</summary>
/// <param name="Handle">Its handle in this session.</param>
/// <param name="Type">CKA_KEY_TYPE.</param>
/// <param name="Id">CKA_ID, which its public half shares; empty when it has none.</param>
/// <param name="Label">CKA_LABEL.</param>
/// <param name="Uri">What names it and no other key.</param>
sealed record PrivateKey(ulong Handle, ulong? Type, byte[] Id, string Label, Pkcs11Uri Uri)
{
    internal const ulong Rsa = 0x0;
    internal const ulong Ec = 0x3;
    const ulong EcEdwards = 0x40;

    const ulong ObjectClass = 0x3; // CKO_PRIVATE_KEY
    const uint Class = 0x0;
    const uint LabelAttribute = 0x3;
    const uint KeyType = 0x100;
    const uint IdAttribute = 0x102;

    internal bool IsEdwards => Type == EcEdwards;

    /// <summary>The private keys of a token that a URI names; all when there is none.</summary>
    internal static async Task<IReadOnlyList<PrivateKey>> FindAsync(
        P11KitRpcClient client, ulong session, Pkcs11Token token, Pkcs11Uri? named, CancellationToken cancellationToken)
    {
        List<RpcAttribute> template = [RpcAttribute.FromUlong(Class, ObjectClass)];
        if (named?.Value("id") is { } id)
            template.Add(new(IdAttribute, id));
        if (named?.Value("object") is { } label)
            template.Add(new(LabelAttribute, label));

        List<PrivateKey> keys = [];
        foreach (var handle in await client.FindObjectsAsync(session, template, cancellationToken))
        {
            var attributes = await client.GetAttributeValueAsync(session, handle, [KeyType, IdAttribute, LabelAttribute], cancellationToken);
            var (keyId, keyLabel) = (attributes[1].Value ?? [], attributes[2].Value ?? []);
            keys.Add(new(
                handle, attributes[0].ToUlong(), keyId, Encoding.UTF8.GetString(keyLabel),
                new ObjectUri(token.Uri).For(Pkcs11ObjectClass.PrivateKey, keyId, keyLabel)));
        }

        return keys;
    }
}

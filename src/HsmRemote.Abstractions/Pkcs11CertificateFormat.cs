namespace HsmRemote;

/// <summary>How a certificate is written.</summary>
public enum Pkcs11CertificateFormat
{
    /// <summary>PEM, RFC 7468.</summary>
    Pem,

    /// <summary>The base64 of the PEM file, in one line, as <c>base64 --wrap=0</c> makes it: for an environment variable.</summary>
    Base64Pem,
}

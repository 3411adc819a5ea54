using System.Management.Automation;
using System.Text;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Exports certificates of PKCS #11 tokens as PEM, or in one line for an environment variable: as text, or into a file.</summary>
[Cmdlet(VerbsData.Export, "Pkcs11Certificate", SupportsShouldProcess = true, ConfirmImpact = ConfirmImpact.Medium, DefaultParameterSetName = UriSet)]
[OutputType(typeof(string), typeof(P11ChangeResult))]
public sealed class ExportPkcs11CertificateCommand : ChangeCommand
{
    const string ObjectSet = "Object";
    const string UriSet = "Uri";

    readonly List<Pkcs11Object> certificates = [];
    bool isRefused;

    /// <summary>The certificates, as Get-Pkcs11Object gives them.</summary>
    [Parameter(ParameterSetName = ObjectSet, Mandatory = true, ValueFromPipeline = true)]
    [ValidateNotNull]
    public Pkcs11Object[] InputObject { get; set; } = [];

    /// <summary>What selects the certificate: its own URI, or its token's. The modules of this host are searched.</summary>
    [Parameter(ParameterSetName = UriSet, Mandatory = true, Position = 0)]
    [ArgumentCompleter(typeof(CertificateUriCompleter))]
    [ValidateNotNullOrEmpty]
    public string Uri { get; set; } = "";

    /// <summary>Pem, or Base64Pem: the base64 of the PEM file in one line.</summary>
    [Parameter]
    public Pkcs11CertificateFormat Format { get; set; }

    /// <summary>The file to write the one certificate to. Without it, the text is the output.</summary>
    [Parameter(Position = 1)]
    [ValidateNotNullOrEmpty]
    public string? Path { get; set; }

    /// <summary>Reads each module in a process of its own, behind 'p11-kit remote': one that crashes is named, and the session goes on.</summary>
    [Parameter(ParameterSetName = UriSet)]
    public SwitchParameter Isolated { get; set; }

    /// <summary>How long one module or token may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter(ParameterSetName = UriSet)]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    /// <summary>It needs no root: the file is the caller's.</summary>
    protected override void BeginProcessing()
    {
    }

    /// <inheritdoc/>
    protected override void ProcessRecord()
    {
        foreach (var found in ParameterSetName is UriSet ? [.. Find()] : InputObject)
        {
            if (found.Certificate is not null)
                certificates.Add(found);
            else
                Refuse(NoCertificate(found));
        }
    }

    /// <inheritdoc/>
    protected override void EndProcessing()
    {
        Attempt(Export);
        base.EndProcessing();
    }

    // More of them make no message clearer.
    const int MaxNamed = 5;

    void Export()
    {
        if (certificates.Count == 0)
        {
            // Why has been said, unless there was nothing at all.
            if (!isRefused)
                throw new HsmRemoteException("CertificateNotFound", FailureKind.NotFound, "There is no certificate to export.", "See which there are: Get-Pkcs11Object -Type Certificate.", Path);
            return;
        }

        if (Path is null)
        {
            certificates.ForEach(certificate => WriteObject(Text(certificate)));
            return;
        }

        if (certificates is not [var only])
        {
            throw new HsmRemoteException(
                "CertificateAmbiguous", FailureKind.InvalidArgument,
                $"There are {certificates.Count} certificates for one file: {string.Join(", ", certificates.Take(MaxNamed))}{(certificates.Count > MaxNamed ? ", …" : "")}.",
                "Name the one that is meant, with its id for example.", Path);
        }

        var path = Resolve(Path);
        Carry((_, _) => Task.FromResult(Services.Objects.PlanExport(path, Text(only) + "\n")), $"Export the certificate {only}");
    }

    List<Pkcs11Object> Find()
    {
        List<Pkcs11Object> found = [];
        try
        {
            var uri = ParseObjectUri(Uri, nameof(Uri));
            var (timeout, environment) = (TimeSpan.FromSeconds(TimeoutSeconds), GetPkcs11TokenCommand.SessionEnvironment());
            var query = Pkcs11ObjectQuery.Of(uri) with { Isolated = Isolated, Timeout = timeout, Environment = environment };
            // What is selected by its type and is no certificate is named as such.
            if (query.Classes.Count == 0)
                query = query with { Classes = [Pkcs11ObjectClass.Certificate] };
            var tokens = Await((reporter, cancellation) => Services.Tokens.FindAsync(
                new Pkcs11TokenQuery { Uri = uri, Isolated = Isolated, Timeout = timeout, Environment = environment }, reporter, cancellation));
            if (tokens.Count == 0)
                throw NoSuchToken(uri);
            foreach (var token in tokens)
                found.AddRange(Await((reporter, cancellation) => Services.Objects.FindAsync(token, query, reporter, cancellation)));
        }
        catch (HsmRemoteException e)
        {
            Refuse(e);
        }

        return found;
    }

    void Refuse(HsmRemoteException error)
    {
        isRefused = true;
        WriteError(ToErrorRecord(error));
    }

    string Text(Pkcs11Object certificate)
    {
        var pem = certificate.Certificate!.ExportCertificatePem();
        return Format is Pkcs11CertificateFormat.Pem ? pem : Convert.ToBase64String(Encoding.ASCII.GetBytes($"{pem}\n"));
    }

    static HsmRemoteException NoCertificate(Pkcs11Object found) =>
        found.Class == Pkcs11ObjectClass.Certificate
            ? new HsmRemoteException(
                "CertificateUnreadable", FailureKind.InvalidData, $"{found} is no X.509 certificate in DER, or the token does not give its value.",
                "See what the token holds: p11tool --export URL.", found)
            : new HsmRemoteException(
                "NotCertificate", FailureKind.InvalidArgument, $"{found} is no certificate: its class is {found.Class}.",
                "Its certificate, if there is one, has the same id: Get-Pkcs11Object -Type Certificate -Id ID.", found);
}

using System.Management.Automation;
using HsmRemote.Completers;

namespace HsmRemote.Commands;

/// <summary>Gets the PKCS #11 modules that p11-kit is configured with, and whether it uses them and they load.</summary>
[Cmdlet(VerbsCommon.Get, "Pkcs11Module")]
[OutputType(typeof(Pkcs11Module))]
public sealed class GetPkcs11ModuleCommand : HsmRemoteCommand
{
    /// <summary>The modules' names, with wildcards. By default all.</summary>
    [Parameter(Position = 0)]
    [ArgumentCompleter(typeof(ModuleNameCompleter))]
    [SupportsWildcards]
    [ValidateNotNullOrEmpty]
    public string[] Name { get; set; } = ["*"];

    /// <summary>The program for which 'enable-in' and 'disable-in' are read: the last part of what it is started as. By default this one.</summary>
    [Parameter]
    [ValidateNotNullOrEmpty]
    public string? ProgramName { get; set; }

    /// <summary>Only reads the files: no module is loaded.</summary>
    [Parameter]
    public SwitchParameter ConfigurationOnly { get; set; }

    /// <summary>Loads each module in a process of its own, behind 'p11-kit remote': one that crashes is named, and the others are read.</summary>
    [Parameter]
    public SwitchParameter Isolated { get; set; }

    /// <summary>How long it may take, in seconds, from 0.1 to 3600.</summary>
    [Parameter]
    [ValidateRange(0.1, 3600.0)]
    public double TimeoutSeconds { get; set; } = 30;

    /// <inheritdoc/>
    protected override void EndProcessing() => Attempt(() =>
    {
        var query = new Pkcs11ModuleQuery
        {
            Program = ProgramName,
            ConfigurationOnly = ConfigurationOnly,
            Isolated = Isolated,
            Timeout = TimeSpan.FromSeconds(TimeoutSeconds),
            Environment = GetPkcs11TokenCommand.SessionEnvironment(),
        };
        var patterns = Array.ConvertAll(Name, name => Pattern(name));
        var modules = Await((reporter, cancellation) =>
            Services.Modules.GetAsync(query, name => Array.Exists(patterns, pattern => pattern.IsMatch(name)), reporter, cancellation));
        WriteObject(modules, enumerateCollection: true);
        foreach (var name in Name.Where(name => !WildcardPattern.ContainsWildcardCharacters(name) && !modules.Any(module => string.Equals(module.Name, name, StringComparison.Ordinal))))
        {
            WriteError(ToErrorRecord(new HsmRemoteException(
                "ModuleNotFound", FailureKind.NotFound, $"p11-kit is not configured with a module '{name}'.",
                $"There is: {string.Join(", ", Services.Tokens.ModuleNames())}. Register-Pkcs11Module adds one.", name)));
        }
    });
}

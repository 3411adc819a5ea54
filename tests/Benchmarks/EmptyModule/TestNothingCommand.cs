using System.Management.Automation;

namespace HsmRemote.Benchmarks;

/// <summary>The least that a binary module can have.</summary>
[Cmdlet(VerbsDiagnostic.Test, "Nothing")]
public sealed class TestNothingCommand : PSCmdlet;

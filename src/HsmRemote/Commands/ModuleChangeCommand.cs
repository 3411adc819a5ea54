using System.Management.Automation;

namespace HsmRemote.Commands;

/// <summary>What the cmdlets share that change p11-kit's configuration: whose it is.</summary>
public abstract class ModuleChangeCommand : ChangeCommand
{
    /// <summary>Whose configuration: the host's (System), which needs root, or the caller's own (User). By default root's is the host's.</summary>
    [Parameter]
    public Pkcs11ModuleScope? Scope { get; set; }

    /// <summary>Whose it is, when that was not said too.</summary>
    private protected Pkcs11ModuleScope ScopeOrOwn => Scope ?? (Environment.IsPrivilegedProcess ? Pkcs11ModuleScope.System : Pkcs11ModuleScope.User);

    private protected override bool NeedsRoot => ScopeOrOwn == Pkcs11ModuleScope.System;
}

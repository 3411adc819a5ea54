using HsmRemote.Services.Plan;

namespace HsmRemote.Services.Server;

/// <summary>Where an instance has its target: in a file of its own, or in its unit's command.</summary>
interface ITargetPlace
{
    /// <summary>The target's URIs.</summary>
    /// <exception cref="HsmRemoteException">One of them is no PKCS #11 URI.</exception>
    IReadOnlyList<Pkcs11Uri> Uris();

    /// <summary>Whether a target selects all that is selected now. What is no URI may select anything.</summary>
    bool IsCoveredBy(IReadOnlyList<Pkcs11Uri> target);

    /// <summary>The steps that make this the target; none when it is.</summary>
    /// <exception cref="HsmRemoteException">It cannot be written there.</exception>
    IReadOnlyList<PlanStep> Steps(IReadOnlyList<Pkcs11Uri> target, P11KitServerScope scope);
}

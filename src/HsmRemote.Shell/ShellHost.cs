using System.Globalization;
using System.Management.Automation.Host;

namespace HsmRemote.Shell;

/// <summary>What the engine sees of this program.</summary>
internal sealed class ShellHost(ShellUserInterface userInterface) : PSHost
{
    private Action? _nestedPrompt;

    /// <summary>The code of 'exit N', or null while nothing has asked to leave.</summary>
    public int? ExitCode { get; private set; }

    /// <summary>Whether a nested prompt was left; the loop that sees it takes it back.</summary>
    public bool NestedPromptLeft { get; set; }

    public override string Name => "HsmRemote";

    public override Version Version { get; } = System.Version.Parse(ShellVersion.Number);

    public override Guid InstanceId { get; } = Guid.NewGuid();

    public override PSHostUserInterface UI => userInterface;

    public override CultureInfo CurrentCulture => CultureInfo.CurrentCulture;

    // The language of the help and of the messages.
    public override CultureInfo CurrentUICulture { get; } = CultureInfo.GetCultureInfo("en-US");

    public void OfferNestedPrompt(Action prompt) => _nestedPrompt = prompt;

    public override void SetShouldExit(int exitCode) => ExitCode = exitCode;

    public override void EnterNestedPrompt()
    {
        if (_nestedPrompt is null)
            throw new HostException("There is no prompt to suspend to: this is not an interactive session.");
        _nestedPrompt();
    }

    public override void ExitNestedPrompt() => NestedPromptLeft = true;

    public override void NotifyBeginApplication() => userInterface.ClearProgress();

    public override void NotifyEndApplication()
    {
    }
}

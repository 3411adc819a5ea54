using System.Collections.ObjectModel;
using System.Globalization;
using System.Management.Automation;
using System.Management.Automation.Host;
using System.Management.Automation.Runspaces;
using System.Security;
using System.Text;
using HsmRemote.Shell;

namespace HsmRemote.Tests.Module;

/// <summary>The real engine with the published module in it, and a screen of 100 columns that keeps what is shown.</summary>
public sealed class FormatHost : PSHost, IDisposable
{
    internal const int Width = 100;

    readonly Screen screen = new();
    readonly Runspace runspace;
    readonly Lock oneAtATime = new();

    public FormatHost()
    {
        var state = InitialSessionState.CreateDefault2();
        EngineFormat.AddTo(state);
        runspace = RunspaceFactory.CreateRunspace(this, state);
        runspace.Open();
        using var shell = PowerShell.Create(runspace);
        shell.AddScript($"Import-Module '{Checkout.Manifest}'").Invoke();
    }

    public override string Name => "Format";

    public override Version Version { get; } = new(1, 0);

    public override Guid InstanceId { get; } = Guid.NewGuid();

    public override PSHostUserInterface UI => screen;

    public override CultureInfo CurrentCulture => CultureInfo.InvariantCulture;

    public override CultureInfo CurrentUICulture => CultureInfo.InvariantCulture;

    public void Dispose() => runspace.Dispose();

    public override void SetShouldExit(int exitCode)
    {
    }

    public override void EnterNestedPrompt()
    {
    }

    public override void ExitNestedPrompt()
    {
    }

    public override void NotifyBeginApplication()
    {
    }

    public override void NotifyEndApplication()
    {
    }

    /// <summary>What is shown of objects.</summary>
    /// <param name="objects">The objects.</param>
    /// <param name="format">What they are piped through before Out-Default, such as <c>Format-List</c>; empty: nothing.</param>
    /// <param name="colour">Whether the host has colour.</param>
    internal string Show(IEnumerable<object> objects, string format, bool colour)
    {
        lock (oneAtATime)
        {
            screen.Begin(colour);
            using var shell = PowerShell.Create(runspace);
            shell.AddScript($"param($objects) $PSStyle.OutputRendering = '{(colour ? "Ansi" : "PlainText")}'; $objects {(format.Length > 0 ? "| " : "")}{format} | Out-Default");
            shell.AddParameter("objects", objects.ToArray()).Invoke();
            Assert.Empty(shell.Streams.Error);
            return screen.Text;
        }
    }

    internal IReadOnlyList<Type> OutputTypes()
    {
        lock (oneAtATime)
        {
            using var shell = PowerShell.Create(runspace);
            return
            [
                .. shell.AddScript("(Get-Command -Module HsmRemote).OutputType.Type").Invoke<Type>()
                    .Where(type => type.Namespace is "HsmRemote").Distinct().OrderBy(type => type.Name, StringComparer.Ordinal),
            ];
        }
    }

    sealed class Screen : PSHostUserInterface
    {
        readonly StringBuilder text = new();
        bool hasColour;

        internal string Text => text.ToString();

        public override bool SupportsVirtualTerminal => hasColour;

        public override PSHostRawUserInterface RawUI { get; } = new Size100();

        internal void Begin(bool colour)
        {
            hasColour = colour;
            text.Clear();
        }

        public override void Write(string value) => text.Append(GetOutputString(value, hasColour));

        public override void Write(ConsoleColor foregroundColor, ConsoleColor backgroundColor, string value) => text.Append(GetOutputString(value, hasColour));

        public override void WriteLine(string value) => text.Append(GetOutputString(value, hasColour)).Append('\n');

        public override void WriteErrorLine(string value) => text.Append("ERROR: ").Append(value).Append('\n');

        public override void WriteDebugLine(string message)
        {
        }

        public override void WriteProgress(long sourceId, ProgressRecord record)
        {
        }

        public override void WriteVerboseLine(string message)
        {
        }

        public override void WriteWarningLine(string message) => text.Append("WARNING: ").Append(message).Append('\n');

        public override string ReadLine() => throw new NotSupportedException();

        public override SecureString ReadLineAsSecureString() => throw new NotSupportedException();

        public override Dictionary<string, PSObject> Prompt(string caption, string message, Collection<FieldDescription> descriptions) => throw new NotSupportedException();

        public override int PromptForChoice(string caption, string message, Collection<ChoiceDescription> choices, int defaultChoice) => throw new NotSupportedException();

        public override PSCredential PromptForCredential(string caption, string message, string userName, string targetName) => throw new NotSupportedException();

        public override PSCredential PromptForCredential(
            string caption, string message, string userName, string targetName, PSCredentialTypes allowedCredentialTypes, PSCredentialUIOptions options) =>
            throw new NotSupportedException();
    }

    sealed class Size100 : PSHostRawUserInterface
    {
        public override ConsoleColor BackgroundColor { get; set; }

        public override ConsoleColor ForegroundColor { get; set; }

        public override Size BufferSize { get; set; } = new(Width, 3000);

        public override Coordinates CursorPosition { get; set; }

        public override int CursorSize { get; set; }

        public override bool KeyAvailable => false;

        public override Size MaxPhysicalWindowSize => BufferSize;

        public override Size MaxWindowSize => BufferSize;

        public override Coordinates WindowPosition { get; set; }

        public override Size WindowSize { get; set; } = new(Width, 3000);

        public override string WindowTitle { get; set; } = "";

        public override int LengthInBufferCells(string source) => Terminal.CellsOf(source);

        public override int LengthInBufferCells(char source) => Terminal.CellsOf(source.ToString());

        public override void FlushInputBuffer()
        {
        }

        public override BufferCell[,] GetBufferContents(Rectangle rectangle) => throw new NotSupportedException();

        public override KeyInfo ReadKey(ReadKeyOptions options) => throw new NotSupportedException();

        public override void ScrollBufferContents(Rectangle source, Coordinates destination, Rectangle clip, BufferCell fill) => throw new NotSupportedException();

        public override void SetBufferContents(Coordinates origin, BufferCell[,] contents) => throw new NotSupportedException();

        public override void SetBufferContents(Rectangle rectangle, BufferCell fill) => throw new NotSupportedException();
    }
}

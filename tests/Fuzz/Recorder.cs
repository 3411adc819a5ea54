using System.Diagnostics;
using HsmRemote.Services.P11KitRpc;

namespace HsmRemote.Fuzz;

/// <summary>Makes the corpus: holds conversations with the real p11-kit and SoftHSM, with tokens of its own, and writes them down.</summary>
static class Recorder
{
    internal static async Task RecordAsync(string corpus)
    {
        var directory = Directory.CreateTempSubdirectory("hsmremote-record-");
        try
        {
            var configuration = Path.Combine(directory.FullName, "softhsm2.conf");
            await File.WriteAllTextAsync(configuration, $"directories.tokendir = {directory.FullName}\n");
            foreach (var label in new[] { "one", "two" })
                await RunAsync("softhsm2-util", "--init-token", "--free", "--label", label, "--so-pin", "12345678", "--pin", Conversation.Pin);
            await RunAsync("p11tool", "--batch", "--login", "--set-pin", Conversation.Pin, "--generate-privkey", "ecdsa", "--curve", "secp256r1", "--label", "key", "pkcs11:token=one");

            await RecordAsync("no-token", "pkcs11:token=none", Conversation.Pin);
            await RecordAsync("one-token", "pkcs11:token=one", Conversation.Pin);
            await RecordAsync("wrong-pin", "pkcs11:token=one", "0000");
            // With the empty slot that SoftHSM always has.
            await RecordAsync("three-slots", "pkcs11:model=SoftHSM%20v2", Conversation.Pin);

            async Task RecordAsync(string name, string uri, string pin)
            {
                using var remote = Start("p11-kit", "remote", uri);
                await using var stream = new RecordingStream(new DuplexStream(remote.StandardOutput.BaseStream, remote.StandardInput.BaseStream));
                await Conversation.HoldAsync(stream, pin, CancellationToken.None);
                await remote.WaitForExitAsync();
                var conversation = new Conversation(name, [.. stream.Turns.Select(turn => (turn.Request.ToArray(), turn.Reply.ToArray()))]);
                conversation.Save(corpus);
                Console.WriteLine($"{name}: {conversation.Turns.Count} turns");
            }

            async Task RunAsync(string program, params string[] arguments)
            {
                using var process = Start(program, arguments);
                process.StandardInput.Close();
                var output = await process.StandardOutput.ReadToEndAsync();
                await process.WaitForExitAsync();
                if (process.ExitCode != 0)
                    throw new InvalidOperationException($"{program} failed: {output}");
            }

            Process Start(string program, params string[] arguments) => Process.Start(new ProcessStartInfo(program, arguments)
            {
                UseShellExecute = false,
                RedirectStandardInput = true,
                RedirectStandardOutput = true,
                Environment = { ["SOFTHSM2_CONF"] = configuration },
            })!;
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    /// <summary>Notes what goes through it.</summary>
    sealed class RecordingStream(Stream inner) : ConversationStream
    {
        internal List<(List<byte> Request, List<byte> Reply)> Turns { get; } = [];

        public override ValueTask WriteAsync(ReadOnlyMemory<byte> buffer, CancellationToken cancellationToken = default)
        {
            Turns.Add(([.. buffer.Span], []));
            return inner.WriteAsync(buffer, cancellationToken);
        }

        public override async ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default)
        {
            var count = await inner.ReadAsync(buffer, cancellationToken);
            Turns[^1].Reply.AddRange(buffer.Span[..count]);
            return count;
        }

        public override Task FlushAsync(CancellationToken cancellationToken) => inner.FlushAsync(cancellationToken);

        public override void Flush() => inner.Flush();

        protected override void Dispose(bool disposing)
        {
            if (disposing)
                inner.Dispose();
            base.Dispose(disposing);
        }
    }
}

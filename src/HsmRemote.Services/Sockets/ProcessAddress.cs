using System.Globalization;
using System.Text;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Sockets;

/// <summary>The socket that p11-kit-client.so connects to in a process, as that process's own environment has it.</summary>
/// <param name="SocketPath">The path; of an address that names none, the address.</param>
/// <param name="Fault">What is wrong with it, or null.</param>
sealed record ProcessAddress(string SocketPath, Rung? Fault)
{
    internal const string Variable = "P11_KIT_SERVER_ADDRESS";
    const string Scheme = "unix:path=";

    internal static ProcessAddress Read(P11Identity identity, int process)
    {
        var environment = ProcessView.Environment(process);
        var address = environment.GetValueOrDefault(Variable);
        // An empty one is none to p11-kit.
        if (string.IsNullOrEmpty(address))
        {
            var fallback = $"{RuntimeDirectory(environment, identity)}/p11-kit/pkcs11";
            return new(fallback, FileStatus.TryReadLink(ProcessView.Reach(identity, fallback), out _) == 0 ? null : AddressLost(identity, fallback));
        }

        return Decode(address) is { } path ? new(path, null) : new(address, AddressMalformed(identity, address));
    }

    /// <summary>The address of a socket.</summary>
    internal static string Encode(string socketPath) => Scheme + socketPath.Replace("%", "%25", StringComparison.Ordinal);

    /// <summary>The path in an address, as p11-kit reads it: the scheme and the first slash literally, then percent-encoded; null where it refuses.</summary>
    internal static string? Decode(string address)
    {
        if (!address.StartsWith(Scheme + '/', StringComparison.Ordinal))
            return null;
        var encoded = Encoding.UTF8.GetBytes(address[Scheme.Length..]);
        List<byte> decoded = [];
        for (var i = 0; i < encoded.Length; i++)
        {
            if (encoded[i] != '%')
                decoded.Add(encoded[i]);
            else if (i + 2 < encoded.Length && byte.TryParse(encoded.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out var value))
            {
                decoded.Add(value);
                i += 2;
            }
            else
                return null;
        }

        return Encoding.UTF8.GetString([.. decoded]);
    }

    // Where a p11-kit server of the user itself is, and the client looks without an address.
    static string RuntimeDirectory(IReadOnlyDictionary<string, string> environment, P11Identity identity) =>
        environment.GetValueOrDefault("XDG_RUNTIME_DIR") is ['/', ..] directory ? directory.TrimEnd('/') : $"/run/user/{identity.UserId}";

    static Rung AddressLost(P11Identity identity, string fallback) => new(
        $"no {Variable} in the environment",
        P11SocketCause.AddressLost,
        $"{Subject(identity)} was started without {Variable}, so that p11-kit-client.so looks for {fallback}, which is not there. "
        + "The variable was never set for it, was set after it started, or was lost on the way: sudo, su and sshd pass on only what they are told to.",
        identity.ContainerName is { } container
            ? $"Start the container with it: `--env {Variable}={Scheme}/run/NAME/pkcs11` (`New-P11ContainerConfig` writes it); {container} has to be made anew for that."
            : $"Start it with the variable: `sudo --preserve-env={Variable} COMMAND`, or `env {Variable}={Scheme}/run/NAME/pkcs11 COMMAND`. In a unit: `Environment={Variable}={Scheme}/run/NAME/pkcs11`.");

    static Rung AddressMalformed(P11Identity identity, string address)
    {
        // The commonest slip is a bare path.
        var path = address is ['/', ..] ? address : "/run/NAME/pkcs11";
        return new(
            $"{Variable}={address}",
            P11SocketCause.AddressMalformed,
            $"{Subject(identity)} has {Variable}={address}, which names no Unix socket. "
            + $"p11-kit reads an address only in the form {Scheme}/PATH, with any other % in the path written as %25, and says nothing when it is of another form.",
            $"Start it with the address in that form: `{Variable}={Scheme}{path.Replace("%", "%25", StringComparison.Ordinal)}`.");
    }

    static string Subject(P11Identity identity) => identity.ContainerName is { } container
        ? $"The main process of the container {container} ({identity.ProcessId})"
        : $"The process {identity.ProcessId}";
}

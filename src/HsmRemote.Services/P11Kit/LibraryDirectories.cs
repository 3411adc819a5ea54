using System.Runtime.InteropServices;

namespace HsmRemote.Services.P11Kit;

/// <summary>Where distributions put the libraries of modules.</summary>
static class LibraryDirectories
{
    /// <summary>What a multiarch distribution (Debian and its kind) calls this architecture.</summary>
    static readonly string Multiarch = RuntimeInformation.ProcessArchitecture switch
    {
        Architecture.X64 => "x86_64-linux-gnu",
        Architecture.X86 => "i386-linux-gnu",
        Architecture.Arm64 => "aarch64-linux-gnu",
        Architecture.Arm => "arm-linux-gnueabihf",
        Architecture.RiscV64 => "riscv64-linux-gnu",
        Architecture.LoongArch64 => "loongarch64-linux-gnu",
        Architecture.Ppc64le => "powerpc64le-linux-gnu",
        Architecture.S390x => "s390x-linux-gnu",
        var other => $"{other}",
    };

    /// <summary>The directories that p11-kit is built to take a relative path from: one of them on any one distribution.</summary>
    static readonly string[] ModuleDirectories = [$"/usr/lib/{Multiarch}/pkcs11", "/usr/lib64/pkcs11", "/usr/lib/pkcs11"];

    /// <summary>Where libraries of modules are besides: packages that do not know p11-kit, and vendors' own installers.</summary>
    static readonly string[] OtherDirectories =
    [
        $"/usr/lib/{Multiarch}", $"/usr/lib/{Multiarch}/softhsm", $"/usr/lib/{Multiarch}/opencryptoki", "/usr/lib64", "/usr/lib64/softhsm",
        "/usr/lib64/opencryptoki", "/usr/lib", "/usr/lib/softhsm", "/usr/lib/opencryptoki", $"/usr/local/lib/{Multiarch}/pkcs11", "/usr/local/lib/pkcs11",
        "/usr/local/lib64", "/usr/local/lib", "/usr/local/lib/softhsm",
    ];

    /// <summary>What p11-kit makes of a path in its configuration.</summary>
    internal static string Absolute(string module) => module[0] == '/'
        ? module
        : Path.Combine(
            Array.Find(ModuleDirectories, directory => File.Exists(Path.Combine(directory, module)))
            ?? Array.Find(ModuleDirectories, Directory.Exists)
            ?? ModuleDirectories[0],
            module);

    /// <summary>A library by its name alone, p11-kit's own directory first; null when it is nowhere.</summary>
    internal static string? Find(string fileName) =>
        Searched.Select(directory => Path.Combine(directory, fileName)).FirstOrDefault(File.Exists);

    /// <summary>The directories that <see cref="Find"/> looks into.</summary>
    internal static IEnumerable<string> Searched => [.. ModuleDirectories, .. OtherDirectories];
}

using System.IO.Compression;
using System.Reflection.Metadata;
using System.Reflection.PortableExecutable;
using System.Xml.Linq;

namespace HsmRemote.SystemTests;

/// <summary>What './build.sh Package' made, as somebody would use it who has nothing but the file.</summary>
public sealed class ReleaseTests(SandboxFixture sandbox)
{
    static readonly string _packages = Path.Combine(SandboxFixture.RepositoryRoot, "output/packages");

    static readonly string _module = Directory.GetDirectories(Path.Combine(SandboxFixture.RepositoryRoot, "output/HsmRemote")).Single();

    static readonly string _version = Path.GetFileName(_module);

    [Fact]
    public void Checksums_are_right() => sandbox.Shell($"cd '{_packages}' && sha256sum --strict --check SHA256SUMS && [ $(wc -l <SHA256SUMS) = 3 ]").Succeeded();

    [Fact]
    public void The_modules_package_has_what_a_repository_looks_for_and_the_files_of_the_module()
    {
        using var package = ZipFile.OpenRead(Path.Combine(_packages, $"HsmRemote.{_version}.nupkg"));
        using var stream = package.GetEntry("HsmRemote.nuspec")!.Open();
        var metadata = XDocument.Load(stream).Root!.Elements().First().Elements().ToDictionary(e => e.Name.LocalName, e => e.Value, StringComparer.Ordinal);
        Assert.Equal("HsmRemote", metadata["id"]);
        Assert.Equal(_version, metadata["version"]);
        Assert.Contains("PSModule", metadata["tags"].Split(' '));
        Assert.Contains("PSCmdlet_Test-P11Socket", metadata["tags"].Split(' '));

        foreach (var file in Directory.EnumerateFiles(_module, "*", SearchOption.AllDirectories))
        {
            var entry = package.GetEntry(Path.GetRelativePath(_module, file));
            Assert.True(entry is not null, $"{file} is not in the package.");
            using var content = new MemoryStream();
            using var packed = entry.Open();
            packed.CopyTo(content);
            // Assemblies are not precompiled in it: it is for every machine.
            if (Path.GetExtension(file) is ".dll")
            {
                content.Position = 0;
                using var image = new PEReader(content);
                Assert.Equal((Machine.I386, 0), (image.PEHeaders.CoffHeader.Machine, image.PEHeaders.CorHeader!.ManagedNativeHeaderDirectory.Size));
            }
            else
                Assert.Equal(File.ReadAllBytes(file), content.ToArray());
        }
    }

    [Fact]
    public void The_modules_package_is_a_module_once_it_is_unpacked()
    {
        var directory = $"/root/.local/share/powershell/Modules/HsmRemote/{_version}";
        sandbox.Shell(
            $"mkdir -p {directory} && cd {directory} && python3 -m zipfile -e '{_packages}/HsmRemote.{_version}.nupkg' .").Succeeded();
        var names = sandbox.Run(SandboxFixture.ShellPath, "-NoModule", "-NoProfile", "-Command", $"Import-Module {directory}/HsmRemote.psd1; (Get-Module HsmRemote).ModuleBase; (Get-Command Test-P11Socket).Name").Succeeded();
        Assert.Equal($"{directory}\nTest-P11Socket", names);
    }

    [Fact]
    public void Assemblies_do_not_say_where_they_were_built()
    {
        // Else two builds of a commit differ; './build.sh Reproduce' compares all the bytes.
        using var package = ZipFile.OpenRead(Path.Combine(_packages, $"HsmRemote.{_version}.nupkg"));
        foreach (var name in new[] { "HsmRemote.dll", "HsmRemote.Abstractions.dll", "Dependencies/HsmRemote.Services.dll" })
        {
            using var content = new MemoryStream();
            using var packed = package.GetEntry(name)!.Open();
            packed.CopyTo(content);
            content.Position = 0;
            using var image = new PEReader(content);
            using var symbols = image.ReadEmbeddedPortablePdbDebugDirectoryData(image.ReadDebugDirectory().Single(e => e.Type is DebugDirectoryEntryType.EmbeddedPortablePdb));
            var reader = symbols.GetMetadataReader();
            Assert.NotEmpty(reader.Documents);
            Assert.All(reader.Documents, document => Assert.StartsWith("/_/", reader.GetString(reader.GetDocument(document).Name), StringComparison.Ordinal));
        }
    }

    [Fact]
    public void The_shells_package_runs_where_there_is_no_dotnet()
    {
        // In a container of plain Debian.
        _ = new ContainerHost(sandbox);
        sandbox.Shell($"mkdir /tmp/package && tar --extract --file '{_packages}/hsmremote-{_version}-linux-x64.tar.gz' --directory /tmp/package --strip-components=1").Succeeded();
        const string Command = "(Get-Command -Module HsmRemote -Name Test-P11Socket).Name; (Get-Pkcs11Module p11-kit-trust).Name";
        var output = sandbox.Shell($"""
            podman run --rm --network=none --volume /tmp/package:/opt/hsmremote:ro {ContainerHost.Image} sh -c '
                if find / -xdev -name "dotnet*" -not -path "/proc/*" | grep .; then exit 1; fi
                exec /opt/hsmremote/shell/hsmremote -NoProfile -Command "{Command}"'
            """).Succeeded();
        Assert.Equal("Test-P11Socket\np11-kit-trust", output);
    }

    [Fact]
    public void The_shells_package_for_arm64_is_for_arm64()
    {
        sandbox.Shell($"tar --extract --file '{_packages}/hsmremote-{_version}-linux-arm64.tar.gz' --directory /tmp").Succeeded();
        // e_machine, elf(5): 183 is EM_AARCH64.
        foreach (var file in new[] { "shell/hsmremote", "shell/libcoreclr.so", "shell/libpsl-native.so" })
        {
            var machine = sandbox.Shell($"od -An -t u2 -j 18 -N 2 /tmp/hsmremote-{_version}-linux-arm64/{file}").Succeeded();
            Assert.True(machine is "183", $"{file} is for the machine {machine}");
        }

        // What is precompiled for Linux has the machine's number crossed with 0x7B79, Linux's own.
        foreach (var file in new[] { "HsmRemote.dll", "Dependencies/HsmRemote.Services.dll", "Dependencies/YamlDotNet.dll" })
        {
            var path = $"/tmp/hsmremote-{_version}-linux-arm64/HsmRemote/{_version}/{file}";
            var machine = sandbox.Shell($"od -An -t u2 -j $(( $(od -An -t u4 -j 60 -N 4 {path}) + 4 )) -N 2 {path}").Succeeded();
            Assert.Equal($"{0xAA64 ^ 0x7B79}", machine);
        }
    }
}

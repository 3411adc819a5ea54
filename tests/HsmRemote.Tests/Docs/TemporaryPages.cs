using HsmRemote.Docs;

namespace HsmRemote.Tests.Docs;

/// <summary>A copy of the pages, to be spoiled.</summary>
sealed class TemporaryPages : IDisposable
{
    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-docs-");

    internal TemporaryPages()
    {
        Directory.CreateDirectory(Pages);
        foreach (var page in Directory.EnumerateFiles(Checkout.Pages))
            File.Copy(page, Path.Combine(Pages, Path.GetFileName(page)));
    }

    internal string Help => Path.Combine(directory.FullName, "help");

    string Pages => Path.Combine(directory.FullName, "pages");

    internal string this[string page]
    {
        get => File.ReadAllText(Path.Combine(Pages, page));
        set => File.WriteAllText(Path.Combine(Pages, page), value);
    }

    internal void Remove(string page) => File.Delete(Path.Combine(Pages, page));

    /// <summary>Replaces a text that has to be there.</summary>
    internal void Replace(string page, string old, string replacement)
    {
        Assert.Contains(old, this[page], StringComparison.Ordinal);
        this[page] = this[page].Replace(old, replacement, StringComparison.Ordinal);
    }

    internal IReadOnlyList<string> Convert() => Converter.Convert(Pages, Checkout.Module, Help);

    public void Dispose() => directory.Delete(recursive: true);
}

using System.Xml.Linq;
using HsmRemote.Services.Native;

namespace HsmRemote.Services.Forwarding;

/// <summary>A forward as an agent of launchd, launchd.plist(5), on macOS. It is made and not run by any test: that takes a Mac.</summary>
static class LaunchdAgent
{
    internal static string Label(ForwardLayout layout) => $"hsmremote.{layout.UnitName}";

    /// <summary>Where launchd looks at a login, and where it does not.</summary>
    internal static string Path(ForwardLayout layout) => layout.IsPersistent
        ? $"{Caller.Home}/Library/LaunchAgents/{Label(layout)}.plist"
        : $"{layout.Directory}/{Label(layout)}.plist";

    /// <summary>The forwards that there are.</summary>
    internal static IEnumerable<ForwardLayout> Layouts(P11KitServerScope scope) => ForwardLayout.Both("", scope).SelectMany(layout =>
        Directory.Exists(Above(layout))
            ? Directory.EnumerateDirectories(Above(layout), $"{ForwardLayout.Prefix}*").Select(path => layout with { Name = NameOf(path) }).Where(found => File.Exists(found.UnitPath))
            : []);

    static string Above(ForwardLayout layout) => System.IO.Path.GetDirectoryName(layout.Directory)!;

    static string NameOf(string directory) => System.IO.Path.GetFileName(directory)[ForwardLayout.Prefix.Length..] is var name && name.EndsWith(".d", StringComparison.Ordinal) ? name[..^2] : name;

    internal static string PropertyList(ForwardSettings forward)
    {
        var layout = forward.Layout;
        return $"""
            <?xml version="1.0" encoding="UTF-8"?>
            <!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">

            """ + new XElement("plist", new XAttribute("version", "1.0"), new XElement(
            "dict",
            Key("Label", new XElement("string", Label(layout))),
            Key("ProgramArguments", new XElement("array", new[] { "/bin/sh", layout.TunnelPath }.Concat(forward.TunnelArguments).Select(a => new XElement("string", a)))),
            Key("EnvironmentVariables", new XElement("dict", Key("RUNTIME_DIRECTORY", new XElement("string", layout.StateDirectory)), Key("PATH", new XElement("string", "/opt/homebrew/bin:/usr/local/bin:/usr/bin:/bin")))),
            Key("RunAtLoad", new XElement("true")),
            Key("KeepAlive", new XElement("true")),
            Key("ThrottleInterval", new XElement("integer", 5)))) + "\n";

        static object[] Key(string name, XElement value) => [new XElement("key", name), value];
    }
}

using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;
using HsmRemote.Services.Sockets;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;
using YamlDotNet.RepresentationModel;

namespace HsmRemote.Services.Containers;

/// <summary>
/// Puts settings into a compose file where it says otherwise, and leaves every other character as it is, comments and order
/// included: YamlDotNet says where each node stands, and the text is changed there. What comes of it is read again and compared.
/// </summary>
sealed partial class ComposeMerge
{
    readonly string path;
    readonly string text;
    readonly string newline;
    // Of two insertions behind one line, the deeper one belongs to what ends there. A list may stand in the column of its key.
    readonly List<(int At, int Length, string Text, int Depth)> edits = [];
    // By where they stand: a value is replaced in its place.
    readonly HashSet<long> replaced = [];
    // The representation knows where a collection begins; where it ends is known to the parser only.
    readonly Dictionary<long, int> ends = [];

    ComposeMerge(string path, string text)
    {
        this.path = path;
        this.text = text;
        newline = text.Contains("\r\n", StringComparison.Ordinal) ? "\r\n" : "\n";
    }

    /// <summary>The user that a service of a file has, as it is written: a variable of compose's has no value here. Or null.</summary>
    internal static string? UserOf(string path, string text, string service) =>
        new ComposeMerge(path, text).Read(text) is { } root && Child(root, "services") is YamlMappingNode services
        && Child(services, service) is YamlMappingNode found && Child(found, "user") is YamlScalarNode { Value: { Length: > 0 } user }
            ? user : null;

    /// <summary>Whether a file has the secret of the PIN, and the path of its file; null where that is not said here.</summary>
    internal static bool HasSecret(string path, string text, out string? file)
    {
        var merge = new ComposeMerge(path, text);
        var secret = merge.Read(text) is { } root && Child(root, "secrets") is YamlMappingNode secrets ? Child(secrets, ComposeService.PinSecret) : null;
        file = secret is null ? Path.Combine(Path.GetDirectoryName(path)!, ComposeService.PinSecret)
            : secret is YamlMappingNode map && Child(map, "file") is YamlScalarNode { Value: { } value } && !value.Contains('$', StringComparison.Ordinal) ? merge.Absolute(value)
            : null;
        return secret is not null;
    }

    /// <summary>The file with a service as it needs to be.</summary>
    /// <param name="path">The file, for messages.</param>
    /// <param name="text">What is in it.</param>
    /// <param name="service">The service's name.</param>
    /// <param name="settings">What it needs.</param>
    /// <param name="secrets">The file's secrets that it needs.</param>
    /// <param name="socketPath">The socket, whose own mount is replaced by that of its directory.</param>
    /// <exception cref="HsmRemoteException">It is no compose file, or cannot be changed without harm.</exception>
    internal static string Apply(
        string path, string text, string service, Dictionary<string, object> settings, Dictionary<string, object> secrets, string socketPath)
    {
        var merge = new ComposeMerge(path, text);
        var before = merge.Read(text);
        merge.Plan(before, service, settings, secrets, socketPath);
        if (merge.edits.Count == 0)
            return text;
        var changed = merge.Edit();

        // The judge: nothing that was there is lost, and nothing is left to do.
        var check = new ComposeMerge(path, changed);
        var after = check.Read(changed);
        check.Plan(after, service, settings, secrets, socketPath);
        if (check.edits.Count > 0 || (before is not null && !merge.Holds(after!, before)))
            throw merge.Unmergeable("the result would not say what it should", null);
        return changed;
    }

    YamlMappingNode? Read(string yaml)
    {
        try
        {
            ReadEnds(yaml);
            var stream = new YamlStream();
            stream.Load(new StringReader(yaml));
            return stream.Documents switch
            {
                [] => null,
                [{ RootNode: YamlMappingNode root }] => root,
                [{ RootNode: YamlScalarNode { Value: "" or null } }] => null,
                [_] => throw Unmergeable("it is no mapping", null),
                _ => throw Unmergeable("it holds several documents", null),
            };
        }
        catch (YamlException e)
        {
            throw new HsmRemoteException(
                "ComposeFileUnreadable", FailureKind.InvalidData, $"{path} is no YAML: {e.Message.TrimEnd('.')} (line {e.Start.Line}).", "Mend that line and run the command again.", path, e);
        }
    }

    void ReadEnds(string yaml)
    {
        Stack<long> open = [];
        var parser = new Parser(new StringReader(yaml));
        while (parser.MoveNext())
        {
            if (parser.Current is MappingStart or SequenceStart)
                open.Push(parser.Current.Start.Index);
            else if (parser.Current is MappingEnd or SequenceEnd)
            {
                // A bracket is given by where it stands; a block ends where the next thing begins, which is no closing bracket.
                var end = Position(parser.Current.End);
                ends[open.Pop()] = end < yaml.Length && yaml[end] is '}' or ']' ? end + 1 : end;
            }
        }
    }

    void Plan(YamlMappingNode? root, string service, Dictionary<string, object> settings, Dictionary<string, object> secrets, string socketPath)
    {
        if (root is null)
        {
            var all = new Dictionary<string, object>(StringComparer.Ordinal) { ["services"] = Map((service, settings)) };
            if (secrets.Count > 0)
                all["secrets"] = secrets;
            edits.Add((text.Length, 0, (text.Length == 0 || text.EndsWith('\n') ? "" : newline) + Indent(YamlText.Write(all), 0), 0));
            return;
        }

        if (Find(root, "services") is not { } services)
            Add(root, "services", Map((service, settings)));
        else if (services.Value is not YamlMappingNode { Children.Count: > 0 } all)
            Fill(services, Map((service, settings)));
        else
            MergeServices(services, all, service, settings, socketPath);

        foreach (var (name, secret) in secrets)
        {
            if (Find(root, "secrets") is not { } known)
                Add(root, "secrets", secrets);
            else if (known.Value is not YamlMappingNode { Children.Count: > 0 } map)
                Fill(known, secrets);
            else
                MergeSecret(known, map, name, (Dictionary<string, object>)secret);
        }
    }

    void MergeServices((YamlNode Key, YamlNode Value) services, YamlMappingNode all, string service, Dictionary<string, object> settings, string socketPath)
    {
        RequireOwn(services);
        if (Find(all, service) is not { } found)
        {
            // A file whose services have no images is merged with another, which may have this one's.
            if (!settings.ContainsKey("image") && all.Children.Any(s => s.Value is YamlMappingNode other && (Find(other, "image") ?? Find(other, "build")) is not null))
                throw WithoutImage(service, all);
            Add(all, service, settings);
        }
        else if (found.Value is not YamlMappingNode { Children.Count: > 0 } existing)
        {
            Fill(found, settings);
        }
        else
        {
            RequireOwn(found);
            MergeService(existing, settings, socketPath);
        }
    }

    void MergeSecret((YamlNode Key, YamlNode Value) secrets, YamlMappingNode map, string name, Dictionary<string, object> secret)
    {
        RequireOwn(secrets);
        if (Find(map, name) is not { } found)
        {
            Add(map, name, secret);
            return;
        }

        RequireOwn(found);
        var file = (string)secret["file"];
        if (found.Value is not YamlMappingNode entry || Child(entry, "file") is not YamlScalarNode { Value: { } has } node)
            throw Unmergeable($"the secret '{name}' is there, and is not a file", found.Key);
        if (!string.Equals(Absolute(has), Absolute(file), StringComparison.Ordinal))
            Replace(node, file, $"secrets/{name}/file");
    }

    void MergeService(YamlMappingNode service, Dictionary<string, object> settings, string socketPath)
    {
        if (Find(service, "<<") is { } merged)
            throw Unmergeable("the service takes settings from elsewhere (<<), which a setting of its own would replace as a whole", merged.Key);
        foreach (var (name, wanted) in settings)
        {
            if (Find(service, name) is not { } found)
            {
                Add(service, name, wanted);
                continue;
            }

            RequireOwn(found);
            switch (wanted)
            {
                case string value:
                    Replace(found.Value, value, $"{name}");
                    break;
                case Dictionary<string, object> map when found.Value is YamlMappingNode { Children.Count: > 0 } node:
                    MergeMap(node, map, name);
                    break;
                case Dictionary<string, object> map when found.Value is YamlSequenceNode { Children.Count: > 0 } list:
                    MergeVariables(list, map, name);
                    break;
                case List<object> items when found.Value is YamlSequenceNode { Children.Count: > 0 } list:
                    if (name is "volumes")
                        MergeVolume(list, (Dictionary<string, object>)items[0], socketPath, AddressIn(service, socketPath));
                    else
                        MergeList(list, items);
                    break;
                default:
                    Fill(found, wanted);
                    break;
            }
        }
    }

    void MergeMap(YamlMappingNode node, Dictionary<string, object> map, string at)
    {
        if (Find(node, "<<") is { } merged)
            throw Unmergeable($"{at} takes entries from elsewhere (<<)", merged.Key);
        foreach (var (name, value) in map)
        {
            if (Find(node, name) is { } entry)
                Replace(entry.Value, (string)value, $"{at}/{name}");
            else
                Add(node, name, value);
        }
    }

    // environment: as a list of NAME=VALUE.
    void MergeVariables(YamlSequenceNode list, Dictionary<string, object> map, string at)
    {
        foreach (var (name, value) in map)
        {
            var entry = list.Children.FirstOrDefault(c =>
                c is YamlScalarNode { Value: { } line } && (string.Equals(line, name, StringComparison.Ordinal) || line.StartsWith($"{name}=", StringComparison.Ordinal)));
            if (entry is not null)
                Replace(entry, $"{name}={value}", $"{at}/{name}");
            else
                Add(list, $"{name}={value}");
        }
    }

    void MergeList(YamlSequenceNode list, List<object> items)
    {
        foreach (var item in items.Cast<string>())
        {
            // A secret may have a long form.
            if (!list.Children.Any(c => (c is YamlMappingNode map ? Child(map, "source") : c) is YamlScalarNode s && string.Equals(s.Value, item, StringComparison.Ordinal)))
                Add(list, item);
        }
    }

    void MergeVolume(YamlSequenceNode list, Dictionary<string, object> mount, string socketPath, string? oldSocketPath)
    {
        var source = (string)mount["source"];
        var mounts = list.Children.Select(child => (Child: child, Mount: MountOf(child, socketPath))).ToList();
        if (mounts.Exists(m => m.Mount == (source, source)))
            return;
        // The socket itself, which a restart makes another file; or the directory that the server has left.
        List<string> sockets = [ComposeService.Literal(socketPath), .. oldSocketPath is null ? [] : new[] { ComposeService.Literal(oldSocketPath) }];
        var old = oldSocketPath is null || ContainerNeeds.IsShared(Path.GetDirectoryName(oldSocketPath)!) ? null : ComposeService.Literal(Path.GetDirectoryName(oldSocketPath)!);
        var (stale, _) = mounts.Find(m => sockets.Contains(m.Mount.Target!, StringComparer.Ordinal) || (old is not null && m.Mount == (old, old)));
        if (stale is YamlMappingNode map)
        {
            Replace(Child(map, "source") ?? map, source, "volumes");
            Replace(Child(map, "target") ?? map, source, "volumes");
        }
        else if (stale is not null)
        {
            Replace(stale, $"{source}:{source}:ro", "volumes");
        }
        else if (mounts.Find(m => string.Equals(m.Mount.Target, source, StringComparison.Ordinal)) is { Child: { } other, Mount: var (from, to) })
        {
            if (other is not YamlScalarNode)
                throw Unmergeable($"it mounts {from} at {to} already, which is not the directory of the socket", other);
            Replace(other, $"{source}:{source}:ro", "volumes");
        }
        else
        {
            Add(list, mount);
        }
    }

    /// <summary>The socket that a service's environment leads to so far, or null.</summary>
    static string? AddressIn(YamlMappingNode service, string socketPath)
    {
        const string Variable = ProcessAddress.Variable;
        var value = Child(service, "environment") switch
        {
            YamlMappingNode map => (Child(map, Variable) as YamlScalarNode)?.Value,
            YamlSequenceNode list => list.Children.OfType<YamlScalarNode>().FirstOrDefault(c => c.Value?.StartsWith($"{Variable}=", StringComparison.Ordinal) is true)?.Value![(Variable.Length + 1)..],
            _ => null,
        };
        return value is null ? null : ProcessAddress.Decode(Expand(value, socketPath).Replace("$$", "$", StringComparison.Ordinal));
    }

    static (string? Source, string? Target) MountOf(YamlNode volume, string socketPath)
    {
        var (source, target) = volume switch
        {
            YamlScalarNode { Value: { } text } => ShortMount().Match(text) is { Success: true } match ? (match.Groups["source"].Value, match.Groups["target"].Value) : (null, text),
            YamlMappingNode map => ((Child(map, "source") as YamlScalarNode)?.Value, (Child(map, "target") as YamlScalarNode)?.Value),
            _ => (null, null),
        };
        return (Plain(source), Plain(target));

        string? Plain(string? path) => path is null ? null : Expand(path, socketPath) is var expanded && expanded.TrimEnd('/') is { Length: > 0 } trimmed ? trimmed : path;
    }

    // The .env file that is written here has this variable.
    static string Expand(string value, string socketPath) => SocketVariable().Replace(value, _ => ComposeService.Literal(socketPath));

    string Absolute(string file) => Path.GetFullPath(file, Path.GetDirectoryName(Path.GetFullPath(path))!);

    void RequireOwn((YamlNode Key, YamlNode Value) entry)
    {
        // An alias is read as the node that it stands for, which is somewhere else; an anchor is read in other places too.
        if (!entry.Value.Anchor.IsEmpty || entry.Value.Start.Index < entry.Key.End.Index)
            throw Unmergeable($"'{entry.Key}' is shared with other places (an anchor or an alias)", entry.Key);
    }

    void Replace(YamlNode node, string value, string at)
    {
        if (node is not YamlScalarNode scalar)
            throw Unmergeable($"'{at}' is not a single value", node);
        if (string.Equals(scalar.Value, value, StringComparison.Ordinal))
            return;
        if (scalar.Style is ScalarStyle.Literal or ScalarStyle.Folded || !scalar.Anchor.IsEmpty)
            throw Unmergeable($"'{at}' is written in a form that is not changed here", node);
        replaced.Add(node.Start.Index);
        var start = Position(node.Start);
        var written = Inline(value);
        edits.Add((start, Position(node.End) - start, scalar.Value is null or "" && start > 0 && text[start - 1] == ':' ? $" {written}" : written, 0));
    }

    /// <summary>Gives a key its value, which is empty so far.</summary>
    void Fill((YamlNode Key, YamlNode Value) entry, object value)
    {
        RequireOwn(entry);
        switch (entry.Value)
        {
            case YamlScalarNode { Value: "" or null, Style: ScalarStyle.Plain }:
                InsertLines(entry.Key, YamlText.Write(value), Column(entry.Key) + 2, isItem: false);
                break;
            case YamlMappingNode { Children.Count: 0 } or YamlSequenceNode { Children.Count: 0 }:
                var start = Position(entry.Value.Start);
                edits.Add((start, End(entry.Value) - start, JsonSerializer.Serialize(value), 0));
                break;
            default:
                throw Unmergeable($"'{entry.Key}' is of another kind than compose takes", entry.Key);
        }
    }

    void Add(YamlMappingNode map, string name, object value)
    {
        if (map.Style == MappingStyle.Flow)
            InsertInFlow(map, map.Children.Count, $"{JsonSerializer.Serialize(name)}: {JsonSerializer.Serialize(value)}");
        else
            InsertLines(map, YamlText.Write(Map((name, value))), Column(map.Children[0].Key), isItem: false);
    }

    void Add(YamlSequenceNode list, object item)
    {
        if (list.Style == SequenceStyle.Flow)
        {
            InsertInFlow(list, list.Children.Count, JsonSerializer.Serialize(item));
            return;
        }

        // The dash before the last item.
        var at = Position(list.Children[^1].Start) - 1;
        while (at >= 0 && text[at] is ' ' or '\t')
            at--;
        if (at < 0 || text[at] != '-')
            throw Unmergeable("a list is written in a form that is not changed here", list.Children[^1]);
        var column = at - (text.LastIndexOf('\n', at) + 1);
        InsertLines(list, YamlText.Write(new List<object> { item }), column, isItem: true);
    }

    void InsertInFlow(YamlNode node, int count, string entry)
    {
        var at = End(node) - 1;
        var last = text.AsSpan(0, at).TrimEnd();
        edits.Add((at, 0, count == 0 || last[^1] == ',' ? entry : $", {entry}", 0));
    }

    /// <summary>Inserts whole lines behind the last one of a node.</summary>
    void InsertLines(YamlNode node, string yaml, int column, bool isItem)
    {
        var lines = Indent(yaml, column);
        var depth = (2 * column) + (isItem ? 1 : 0);
        var end = text.IndexOf('\n', ContentEnd(node));
        edits.Add(end < 0 ? (text.Length, 0, newline + lines.TrimEnd('\r', '\n'), depth) : (end + 1, 0, lines, depth));
    }

    /// <summary>Where what a node says ends: a block's own end is where the next thing begins, behind comments.</summary>
    int ContentEnd(YamlNode node)
    {
        switch (node)
        {
            case YamlMappingNode { Style: not MappingStyle.Flow, Children.Count: > 0 } map:
                var (key, value) = map.Children[^1];
                return value.Start.Index < key.End.Index || value is YamlScalarNode { Value: "" or null, Style: ScalarStyle.Plain } ? Position(key.End) : ContentEnd(value);
            case YamlSequenceNode { Style: not SequenceStyle.Flow, Children.Count: > 0 } list:
                return list.Children.Count > 1 && list.Children[^1].Start.Index < list.Children[^2].Start.Index
                    ? throw Unmergeable("a list ends in an alias", list.Children[^2])
                    : ContentEnd(list.Children[^1]);
            default:
                var end = End(node);
                while (end > 0 && char.IsWhiteSpace(text[end - 1]))
                    end--;
                return end;
        }
    }

    string Edit()
    {
        var changed = new StringBuilder(text);
        // From the end, so that positions before it stay; of two at one place, the last one first.
        foreach (var (at, length, insert, _) in edits.OrderBy(e => e.At).ThenByDescending(e => e.Depth).Reverse())
            changed.Remove(at, length).Insert(at, insert);
        return changed.ToString();
    }

    /// <summary>Whether all that was there is there still, but for what was to be replaced.</summary>
    bool Holds(YamlNode after, YamlNode before) => (after, before) switch
    {
        _ when before is YamlScalarNode { Value: "" or null } or YamlMappingNode { Children.Count: 0 } or YamlSequenceNode { Children.Count: 0 } => true,
        (YamlScalarNode a, YamlScalarNode b) => string.Equals(a.Value, b.Value, StringComparison.Ordinal) || replaced.Contains(b.Start.Index),
        (YamlMappingNode a, YamlMappingNode b) => b.Children.All(e => Child(a, ((YamlScalarNode)e.Key).Value!) is { } value && Holds(value, e.Value)),
        (YamlSequenceNode a, YamlSequenceNode b) => b.Children.Count <= a.Children.Count && b.Children.Zip(a.Children).All(p => Holds(p.Second, p.First)),
        _ => false,
    };

    string Indent(string yaml, int column) =>
        string.Concat(yaml.ReplaceLineEndings("\n").TrimEnd('\n').Split('\n').Select(line => $"{new string(' ', column)}{line}{newline}"));

    // A double-quoted scalar is the one form that fits wherever a scalar stands.
    static string Inline(string value)
    {
        var written = YamlText.Write(value).TrimEnd('\r', '\n');
        return written.Contains('\n', StringComparison.Ordinal) ? JsonSerializer.Serialize(value) : written;
    }

    static int Column(YamlNode node) => (int)node.Start.Column - 1;

    int End(YamlNode node) => node is YamlScalarNode ? Position(node.End) : ends[node.Start.Index];

    static int Position(Mark mark) => (int)mark.Index;

    static (YamlNode Key, YamlNode Value)? Find(YamlMappingNode map, string name)
    {
        foreach (var (key, value) in map.Children)
        {
            if (key is YamlScalarNode scalar && string.Equals(scalar.Value, name, StringComparison.Ordinal))
                return (key, value);
        }

        return null;
    }

    static YamlNode? Child(YamlMappingNode map, string name) => Find(map, name)?.Value;

    static Dictionary<string, object> Map((string Key, object Value) entry) => new(StringComparer.Ordinal) { [entry.Key] = entry.Value };

    HsmRemoteException WithoutImage(string service, YamlMappingNode services) => new(
        "ComposeServiceWithoutImage", FailureKind.InvalidArgument, $"{path} has no service '{service}', and a new one without an image would not start.",
        $"Say which of its services is meant, with -Service: {string.Join(", ", services.Children.Select(s => s.Key))}. Or give the new one its -Image.", path);

    HsmRemoteException Unmergeable(string why, YamlNode? node) => new(
        "ComposeFileUnmergeable", FailureKind.InvalidData, $"{path} is not changed{(node is null ? "" : $" (line {node.Start.Line})")}: {why}.",
        "Write the service to a file of its own (without -Path, or with another) and give compose both: `-f FILE -f OTHER`.", path);

    // A variable may have a colon, for its default.
    [GeneratedRegex(@"\A(?<source>(?:\$\{[^}]*\}|[^:])+):(?<target>(?:\$\{[^}]*\}|[^:])+)(?::|\z)", RegexOptions.CultureInvariant | RegexOptions.ExplicitCapture, 1000)]
    private static partial Regex ShortMount();

    [GeneratedRegex(@"\$(?:\{SOCKET_PATH(?::?[-?][^}]*)?\}|SOCKET_PATH\b)", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex SocketVariable();
}

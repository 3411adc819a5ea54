using System.Diagnostics;
using System.Text;
using System.Text.Json;
using CsCheck;
using HsmRemote.Services.Containers;

namespace HsmRemote.Tests.Containers;

/// <summary>Whatever a value holds, the reader that a text is for reads it back unchanged, or it is refused. The readers are not ours.</summary>
public sealed class WriterProperties
{
    // What means something to one format or another, and what is merely odd.
    static readonly Gen<char> Odd = Gen.OneOf<char>([.. " \t\n\r'\"\\$`%#&|;:,<>(){}[]*?!~@=-+./0123abnNyYé€\u0085\u2028\u00a0\ufeff\u007f\u0001"]);

    static readonly Gen<string> Value = Gen.OneOf(
        Odd.Array[0, 12].Select(c => new string(c)),
        Gen.String[Gen.Char.AlphaNumeric, 1, 8],
        Gen.OneOf<string>(
            "", "~", "null", "no", "On", "1:30", "0x1F", "1e3", "1_000", ".inf", "2026-01-01", "=", "<<", "- a", "a: b", "a #b", "&a", "*a", "!t", "|", ">", "%TAG", "@a", "`a", "a\\",
            "${HOME}", "$HOME", "$$", "$(HOME)", "%n", "%%", "%i", "a'b", "a\"b", "'", "\"", "--", "-x", " a", "a ", "\ta", "a\n", "\n", "...", "---", "\U0001F512"));

    // Not all that .NET takes for text is: no half of a pair.
    static readonly Gen<string[]> Values = Value.Array[40];

    [Fact]
    public void A_shell_reads_the_words_back() => Values.Sample(
        values =>
        {
            values = [.. values.Where(v => !v.Contains('\0', StringComparison.Ordinal))];
            // A first word of its own: a reader of text takes a byte order mark at the very beginning for itself.
            var read = Run("bash", "-c", $"printf '%s\\0' first {ShellWord.Join(values)}").Split('\0')[1..^1];
            Assert.Equal(values, read);
        },
        iter: 20, threads: 1);

    [Fact]
    public void Python_s_YAML_1_1_and_YamlDotNet_s_1_2_read_the_strings_back()
    {
        RequirePython("yaml");
        Values.Sample(
            values =>
            {
                var map = values.Index().ToDictionary(v => $"k{v.Index}", object (v) => v.Item, StringComparer.Ordinal);
                var yaml = YamlText.Write(new Dictionary<string, object>(StringComparer.Ordinal) { ["list"] = values.Cast<object>().ToList(), ["map"] = map });
                var read = JsonDocument.Parse(Python("import sys, yaml, json; json.dump(yaml.safe_load(sys.stdin.buffer.read()), sys.stdout)", yaml)).RootElement;
                Assert.Equal(values, read.GetProperty("list").EnumerateArray().Select(v => v.GetString()));
                Assert.Equal(values, read.GetProperty("map").EnumerateObject().Select(v => v.Value.GetString()));
                var own = new YamlDotNet.Serialization.DeserializerBuilder().Build().Deserialize<Dictionary<string, object>>(yaml);
                Assert.Equal(values, ((List<object>)own["list"]).Cast<string>());
            },
            iter: 5, threads: 1);
    }

    [Fact]
    public void Compose_reads_the_services_back()
    {
        Assert.SkipUnless(File.Exists("/usr/bin/docker-compose"), "docker-compose is not installed: it has NOT read what is written.");
        RequirePython("yaml");
        var directory = Directory.CreateTempSubdirectory("hsmremote-tests-");
        try
        {
            Values.Sample(
                values =>
                {
                    // Compose makes one slash of two, and knows what dots in a path mean.
                    static string PathOf(string value) => $"/run/d{value.Replace("/", "", StringComparison.Ordinal).Replace(".", "", StringComparison.Ordinal)}";
                    var services = values.Index().ToDictionary(
                        v => $"s{v.Index}", object (v) => ComposeService.Settings(Config(v.Item, v.Item, $"{PathOf(v.Item)}/s"), withPinSecret: false), StringComparer.Ordinal);
                    var file = Path.Combine(directory.FullName, "compose.yaml");
                    File.WriteAllText(file, YamlText.Write(new Dictionary<string, object>(StringComparer.Ordinal) { ["services"] = services }));
                    // docker-compose's own reader: what 'config' prints has been written by another program once more.
                    var read = JsonDocument.Parse(Python(
                        """
                        import sys, json
                        from compose.config import config
                        from compose.config.environment import Environment
                        loaded = config.load(config.find('.', [sys.argv[1]], Environment()))
                        print(json.dumps({s['name']: [s['image'], s['environment']['V'], s['volumes'][0].source, s['volumes'][0].target] for s in loaded.services}))
                        """, "", file)).RootElement;
                    foreach (var (index, value) in values.Index())
                        Assert.Equal([value, value, PathOf(value), PathOf(value)], read.GetProperty($"s{index}").EnumerateArray().Select(v => v.GetString()));
                },
                iter: 3, threads: 1);
        }
        finally
        {
            directory.Delete(recursive: true);
        }
    }

    [Fact]
    public void Python_s_dotenv_reads_back_what_is_not_refused()
    {
        RequirePython("dotenv");
        Values.Sample(
            values =>
            {
                List<KeyValuePair<string, string>> taken = [];
                foreach (var (index, value) in values.Index())
                {
                    try
                    {
                        DotEnvFile.Quote("A", value);
                        taken.Add(KeyValuePair.Create($"A{index}", value));
                    }
                    catch (HsmRemoteException e) when (e.ErrorId is "ContainerValueInvalid")
                    {
                        Assert.True(value.Any(c => char.IsControl(c) || c is '\'' or '\\' or '$'), $"refused: {value}");
                    }
                }

                var file = Encoding.UTF8.GetString(DotEnvFile.Write([], taken, null, withoutPin: false));
                foreach (var interpolate in new[] { "True", "False" })
                {
                    var read = JsonDocument.Parse(Python(
                        $"import sys, io, dotenv, json; json.dump(dotenv.dotenv_values(stream=io.StringIO(sys.stdin.buffer.read().decode()), interpolate={interpolate}), sys.stdout)", file)).RootElement;
                    Assert.Equal(taken.Select(v => v.Value), taken.Select(v => read.GetProperty(v.Key).GetString()));
                }
            },
            iter: 5, threads: 1);
    }

    [Fact]
    public void A_Pod_reads_its_values_back()
    {
        RequirePython("yaml");
        Values.Sample(
            values =>
            {
                var pods = string.Join("---\n", values.Select(v => KubernetesPod.Write(Config(v, v, $"/run/d{v}/s"), "pod")));
                var read = JsonDocument.Parse(Python("import sys, yaml, json; json.dump(list(yaml.safe_load_all(sys.stdin.buffer.read())), sys.stdout)", pods)).RootElement;
                foreach (var (index, value) in values.Index())
                {
                    var pod = read[index].GetProperty("spec");
                    var container = pod.GetProperty("containers")[0];
                    Assert.Equal(value, container.GetProperty("image").GetString());
                    Assert.Equal($"/run/d{value}", container.GetProperty("volumeMounts")[0].GetProperty("mountPath").GetString());
                    Assert.Equal($"/run/d{value}", pod.GetProperty("volumes")[0].GetProperty("hostPath").GetProperty("path").GetString());
                    // Kubernetes reads $$( as $(.
                    Assert.Equal(value, container.GetProperty("env")[0].GetProperty("value").GetString()!.Replace("$$(", "$(", StringComparison.Ordinal));
                }
            },
            iter: 5, threads: 1);
    }

    [Theory]
    [InlineData("-rf", "option")]
    [InlineData("a\nb", "control")]
    [InlineData("a\0b", "control")]
    [InlineData("", "empty")]
    public void An_image_that_no_engine_takes_is_refused(string image, string why) => Refused(why, () => ContainerValues.Check(Config(image, "v", "/run/a/s")));

    [Fact]
    public void What_no_environment_holds_is_refused()
    {
        Refused("NUL", () => ContainerValues.Check(Config("a", "a\0b", "/run/a/s")));
        Refused("letters", () => ContainerValues.Check(Config("a", "v", "/run/a/s") with { Environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["A-B"] = "" } }));
    }

    [Theory]
    [InlineData("/run/a", "--mount", "type=bind,source=/run/a,target=/run/a,readonly")]
    [InlineData("/run/a:b", "--mount", "type=bind,source=/run/a:b,target=/run/a:b,readonly")]
    [InlineData("/run/a,b", "--volume", "/run/a,b:/run/a,b:ro")]
    public void A_path_is_written_as_the_option_that_carries_it(string directory, string option, string value)
    {
        var arguments = RunArguments.Write(Config("a", "v", $"{directory}/s")).ToList();
        Assert.Equal(value, arguments[arguments.IndexOf(option) + 1]);
    }

    [Fact]
    public void A_path_that_no_option_carries_is_refused() => Refused("--volume", () => RunArguments.Write(Config("a", "v", "/run/a:b,c/s")));

    static void Refused(string why, Action action)
    {
        var error = Assert.Throws<HsmRemoteException>(action);
        Assert.Equal("ContainerValueInvalid", error.ErrorId);
        Assert.Contains(why, error.Message, StringComparison.Ordinal);
    }

    static P11ContainerConfig Config(string image, string value, string socketPath)
    {
        // Not Path's, which makes one slash of two.
        var directory = socketPath[..^"/s".Length];
        return new P11ContainerConfig
        {
            Name = "edge", Engine = P11ContainerEngine.Docker, Image = image, SocketPath = socketPath, Mount = new(directory, directory, ReadOnly: true),
            Environment = new Dictionary<string, string>(StringComparer.Ordinal) { ["V"] = value }, Rootless = false, Reasons = [],
        };
    }

    static void RequirePython(string module)
    {
        using var process = Process.Start(new ProcessStartInfo("/bin/sh", ["-c", $"/usr/bin/python3 -c 'import {module}' 2>/dev/null"]) { UseShellExecute = false })!;
        process.WaitForExit();
        Assert.SkipUnless(process.ExitCode == 0, $"python3 with {module} is not installed: it has NOT read what is written.");
    }

    static string Python(string program, string input, params string[] arguments) => Run("/usr/bin/python3", input, ["-c", program, .. arguments]);

    static string Run(string program, params string[] arguments) => Run(program, "", arguments);

    static string Run(string program, string input, string[] arguments)
    {
        var utf8 = new UTF8Encoding(encoderShouldEmitUTF8Identifier: false);
        var start = new ProcessStartInfo(program, arguments)
        {
            UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true,
            StandardInputEncoding = utf8, StandardOutputEncoding = utf8,
        };
        using var process = Process.Start(start)!;
        var errors = process.StandardError.ReadToEndAsync();
        var output = process.StandardOutput.ReadToEndAsync();
        process.StandardInput.Write(input);
        process.StandardInput.Close();
        process.WaitForExit();
        Assert.True(process.ExitCode == 0, $"{program}: {errors.Result}");
        return output.Result;
    }
}

using System.Text.RegularExpressions;
using YamlDotNet.Core;
using YamlDotNet.Serialization;
using YamlDotNet.Serialization.EventEmitters;

namespace HsmRemote.Services.Containers;

/// <summary>YAML that a reader of 1.1 (docker-compose, PyYAML) and of 1.2 read alike.</summary>
static partial class YamlText
{
    static readonly ISerializer Serializer = new SerializerBuilder()
        .WithIndentedSequences()
        .DisableAliases()
        .WithEventEmitter(next => new Quoting(next))
        .Build();

    internal static string Write(object value) => Serializer.Serialize(value);

    /// <summary>Plain only what can be nothing but a string; whatever else a version takes for a number, a date or a truth is quoted.</summary>
    sealed class Quoting(IEventEmitter next) : ChainedEventEmitter(next)
    {
        public override void Emit(ScalarEventInfo eventInfo, IEmitter emitter)
        {
            if (eventInfo.Source.Value is string text)
                eventInfo.Style = Plain().IsMatch(text) && !Word().IsMatch(text) ? ScalarStyle.Plain : ScalarStyle.DoubleQuoted;
            base.Emit(eventInfo, emitter);
        }
    }

    [GeneratedRegex(@"\A[A-Za-z/_](?:[A-Za-z0-9_./:=+-]*[A-Za-z0-9_./=+-])?\z", RegexOptions.CultureInvariant, 1000)]
    private static partial Regex Plain();

    [GeneratedRegex(@"\A(?:y|n|yes|no|on|off|true|false|null)\z", RegexOptions.CultureInvariant | RegexOptions.IgnoreCase, 1000)]
    private static partial Regex Word();
}

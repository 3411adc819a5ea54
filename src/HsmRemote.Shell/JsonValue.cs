using System.Collections;
using System.Collections.Concurrent;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Management.Automation;
using System.Numerics;
using System.Reflection;
using System.Security;
using System.Text.Json;

namespace HsmRemote.Shell;

/// <summary>Writes a value of the pipeline as the JSON that another program would expect of it.</summary>
internal sealed class JsonValue(Utf8JsonWriter writer)
{
    private const int DeepestLevel = 8;

    // What the runtime itself defines (processes, types, exceptions) refers to everything else in it.
    private const int DeepestRuntimeLevel = 2;

    private static readonly ConcurrentDictionary<Type, bool> _readsBack = new();

    private readonly HashSet<object> _ancestors = new(ReferenceEqualityComparer.Instance);

    public void Write(object? value) => Write(value, level: 0);

    private void Write(object? value, int level)
    {
        var plain = Unwrap(value);
        if (WriteScalar(plain))
            return;
        if (level > DeepestLevel || (level > DeepestRuntimeLevel && IsOfTheRuntime(plain)) || !_ancestors.Add(plain))
        {
            writer.WriteStringValue(Text(plain));
            return;
        }

        switch (plain)
        {
            case IDictionary dictionary:
                WriteDictionary(dictionary, level);
                break;
            case IEnumerable sequence:
                WriteSequence(sequence, level);
                break;
            default:
                WriteProperties(PSObject.AsPSObject(value), level);
                break;
        }

        _ancestors.Remove(plain);
    }

    private bool WriteScalar([NotNullWhen(false)] object? value)
    {
        switch (value)
        {
            case null or SecureString or DBNull:
                writer.WriteNullValue();
                return true;
            case string text:
                writer.WriteStringValue(text);
                return true;
            case bool isTrue:
                writer.WriteBooleanValue(isTrue);
                return true;
            case SwitchParameter isPresent:
                writer.WriteBooleanValue(isPresent);
                return true;
            case Enum or Uri or ScriptBlock or char or Type or MemberInfo or Assembly or Delegate or Pointer or Stream:
                writer.WriteStringValue(value.ToString());
                return true;
            case DateTime or DateTimeOffset:
                writer.WriteStringValue(((IFormattable)value).ToString("O", CultureInfo.InvariantCulture));
                return true;
            case TimeSpan duration:
                writer.WriteStringValue(duration.ToString("c", CultureInfo.InvariantCulture));
                return true;
            case byte[] bytes:
                writer.WriteBase64StringValue(bytes);
                return true;
            case double or float or Half:
                WriteReal(Convert.ToDouble(value, CultureInfo.InvariantCulture), (IFormattable)value);
                return true;
            case sbyte or byte or short or ushort or int or uint or long or ulong or nint or nuint or decimal or Int128
                or UInt128 or BigInteger:
                writer.WriteRawValue(((IFormattable)value).ToString(format: null, CultureInfo.InvariantCulture));
                return true;
            default:
                if (!_readsBack.GetOrAdd(value.GetType(), static type => ReadsBack(type)))
                    return false;
                writer.WriteStringValue(Text(value));
                return true;
        }
    }

    // JSON has no word for what is not a finite number.
    private void WriteReal(double number, IFormattable value)
    {
        var text = value.ToString(format: null, CultureInfo.InvariantCulture);
        if (double.IsFinite(number))
            writer.WriteRawValue(text);
        else
            writer.WriteStringValue(text);
    }

    private void WriteDictionary(IDictionary dictionary, int level)
    {
        writer.WriteStartObject();
        foreach (DictionaryEntry entry in dictionary)
        {
            writer.WritePropertyName(Text(entry.Key));
            Write(entry.Value, level + 1);
        }

        writer.WriteEndObject();
    }

    private void WriteSequence(IEnumerable sequence, int level)
    {
        writer.WriteStartArray();
        foreach (var item in sequence)
            Write(item, level + 1);
        writer.WriteEndArray();
    }

    private void WriteProperties(PSObject properties, int level)
    {
        writer.WriteStartObject();
        foreach (var property in properties.Properties)
        {
            if (!property.IsGettable)
                continue;
            writer.WritePropertyName(property.Name);
            Write(ValueOf(property), level + 1);
        }

        writer.WriteEndObject();
    }

    private static object? ValueOf(PSPropertyInfo property)
    {
        try
        {
            return property.Value;
        }
        catch (GetValueException)
        {
            return null;
        }
    }

    // A PSCustomObject is nothing but its PSObject; everything else is what the PSObject wraps.
    private static object? Unwrap(object? value) => value is PSObject { BaseObject: not PSCustomObject } wrapper
        ? wrapper.BaseObject
        : value;

    private static string Text(object value)
    {
        try
        {
            return value is IFormattable formattable
                ? formattable.ToString(format: null, CultureInfo.InvariantCulture)
                : value.ToString() ?? "";
        }
        catch (Exception exception) when (exception is not PipelineStoppedException)
        {
            return value.GetType().FullName!;
        }
    }

    private static bool IsOfTheRuntime(object value) =>
        value is not (IDictionary or PSObject or Array)
        && value.GetType().Assembly.GetName().Name!.StartsWith("System.", StringComparison.Ordinal);

    // A type that prints itself and parses what it printed (Version, IPAddress, Guid, a PKCS #11 URI) is a value.
    private static bool ReadsBack(Type type) =>
        type.GetMethod(nameof(ToString), []) is { } toString
        && toString.DeclaringType != typeof(object)
        && type.GetMethod("Parse", BindingFlags.Public | BindingFlags.Static | BindingFlags.FlattenHierarchy, [typeof(string)]) is not null;
}

using System.Collections;
using System.Reflection;
using System.Text;

namespace HsmRemote.Tests.Module;

/// <summary>What a sample has in it.</summary>
public enum Fill
{
    /// <summary>Only what has to be there: no optional value, empty lists.</summary>
    Bare,

    /// <summary>Values as they are on a host.</summary>
    Typical,

    /// <summary>Values as long as they can be, or longer.</summary>
    Long,
}

/// <summary>Makes objects of any type of the module's, for who shows them.</summary>
static class Samples
{
    const int Much = 60;

    // As long as any label, with a character that takes two columns.
    static readonly string LongText = $"鍵 a long value of {string.Join(' ', Enumerable.Repeat("words", 12))} and /a/long/path/{new string('x', 50)}";

    static readonly NullabilityInfoContext Nullability = new();

    internal static object Of(Type type, Fill fill)
    {
        var constructor = type.GetConstructors().OrderByDescending(c => c.GetParameters().Length).First(c => !c.GetParameters().Any(p => p.ParameterType == type));
        var sample = constructor.Invoke([.. constructor.GetParameters().Select(p => Value(p.ParameterType, p.Name!, fill, IsOptional(Read(p)) || p.HasDefaultValue))]);
        foreach (var property in type.GetProperties().Where(p => p.CanWrite))
            property.SetValue(sample, Value(property.PropertyType, property.Name, fill, IsOptional(Read(property))));
        return sample;
    }

    static NullabilityInfo Read(ParameterInfo parameter)
    {
        lock (Nullability)
            return Nullability.Create(parameter);
    }

    static NullabilityInfo Read(PropertyInfo property)
    {
        lock (Nullability)
            return Nullability.Create(property);
    }

    static bool IsOptional(NullabilityInfo info) => info.WriteState == NullabilityState.Nullable;

    static object? Value(Type type, string name, Fill fill, bool isOptional)
    {
        if (fill == Fill.Bare && isOptional)
            return null;
        type = Nullable.GetUnderlyingType(type) ?? type;
        if (type == typeof(string))
            return Text(name, fill);
        if (type == typeof(Pkcs11Uri))
            return Uri(fill);
        if (type == typeof(Version))
            return new Version(2, 6);
        if (type == typeof(bool))
            return fill != Fill.Bare;
        if (type == typeof(TimeSpan))
            return TimeSpan.FromMilliseconds(1234.5);
        if (type == typeof(DateTimeOffset))
            return new DateTimeOffset(2026, 11, 25, 12, 0, 0, TimeSpan.Zero);
        if (type == typeof(ReadOnlyMemory<byte>))
            return ReadOnlyMemory<byte>.Empty;
        if (type.IsEnum)
            return EnumValue(type, fill);
        if (type.IsPrimitive)
            return Convert.ChangeType(fill == Fill.Long ? 2_000_000_000 : 992, type, System.Globalization.CultureInfo.InvariantCulture);
        if (type == typeof(object))
            return Text(name, fill);
        if (type == typeof(IReadOnlyDictionary<string, string>))
            return fill == Fill.Bare ? new Dictionary<string, string>(StringComparer.Ordinal) : new Dictionary<string, string>(StringComparer.Ordinal) { ["NAME"] = Text(name, fill), ["OTHER"] = Text(name, fill) };
        if (type.IsGenericType && typeof(IEnumerable).IsAssignableFrom(type))
            return List(type.GetGenericArguments()[0], name, fill);
        // Another type of the module's, or one that a sample is easily made of.
        return type.IsAbstract ? throw new NotSupportedException($"there is no sample of {type}: teach {nameof(Samples)} one") : Of(type, fill);
    }

    // Not an array: List has a ForEach of its own, which is not PowerShell's.
    static IList List(Type element, string name, Fill fill)
    {
        var list = (IList)Activator.CreateInstance(typeof(List<>).MakeGenericType(element))!;
        for (var i = 0; i < fill switch { Fill.Bare => 0, Fill.Typical => 2, _ => 7 }; i++)
            list.Add(Value(element, name, fill, isOptional: false));
        return list;
    }

    static string Text(string name, Fill fill) => fill == Fill.Long ? LongText : name switch
    {
        "Name" => "edge",
        "Id" or "ContainerId" => Convert.ToHexStringLower(Encoding.ASCII.GetBytes("a container's id, 32 bytes long!")),
        "Label" => "edge-token",
        _ when name.EndsWith("Path", StringComparison.Ordinal) => "/run/edge/pkcs11",
        _ when name.EndsWith("Unit", StringComparison.Ordinal) => "edge@12-4711-5000.service",
        "Text" or "Difference" or "Explanation" => "The first line.\nAnd a second one.",
        _ => "a value",
    };

    static Pkcs11Uri Uri(Fill fill) => fill == Fill.Long
        ? Pkcs11Uri.Parse($"pkcs11:token={new string('t', Much)};object={new string('o', Much)};id=%01%02")
        : Pkcs11Uri.ForToken("edge-token"u8, "SoftHSM project"u8, "SoftHSM v2"u8, "0a1b2c3d4e5f6071"u8);

    static object EnumValue(Type type, Fill fill)
    {
        var values = Enum.GetValues(type).Cast<object>().ToList();
        return fill switch
        {
            Fill.Bare => values[0],
            Fill.Typical => values[Math.Min(1, values.Count - 1)],
            _ when type.IsDefined(typeof(FlagsAttribute)) => Enum.ToObject(type, values.Aggregate(0UL, (all, value) => all | Convert.ToUInt64(value, System.Globalization.CultureInfo.InvariantCulture))),
            _ => values.MaxBy(value => value.ToString()!.Length)!,
        };
    }
}

using System.Collections;
using System.Globalization;
using System.Management.Automation;
using HsmRemote.Docs.Pages;

namespace HsmRemote.Docs.Checks;

/// <summary>A parameter of a cmdlet as it is, in the words of a page's YAML block.</summary>
sealed record CmdletParameter
{
    internal required string Type { get; init; }

    internal required bool IsSwitch { get; init; }

    internal required bool SupportsWildcards { get; init; }

    internal required bool DontShow { get; init; }

    internal required IReadOnlyList<string> Aliases { get; init; }

    internal required IReadOnlyList<string> AcceptedValues { get; init; }

    /// <summary>The words that it takes, where its type is an enumeration.</summary>
    internal required IReadOnlyList<string> EnumValues { get; init; }

    /// <summary>What its property has before anything is bound, or null when that is null or empty. Empty where it always has to be given.</summary>
    internal required string? DefaultValue { get; init; }

    internal required IReadOnlyList<ParameterSetFacts> Sets { get; init; }

    /// <summary>The parameters of a cmdlet by name, without those that every cmdlet has.</summary>
    internal static IReadOnlyDictionary<string, CmdletParameter> Of(CmdletInfo cmdlet)
    {
        var unbound = Activator.CreateInstance(cmdlet.ImplementingType);
        return cmdlet.Parameters.Values
            .Where(parameter => !Cmdlet.CommonParameters.Contains(parameter.Name))
            .ToDictionary(parameter => parameter.Name, parameter => Of(parameter, cmdlet, unbound), StringComparer.Ordinal);
    }

    static CmdletParameter Of(ParameterMetadata parameter, CmdletInfo cmdlet, object? unbound)
    {
        // -WhatIf and -Confirm come from the engine, and are no property of the cmdlet.
        var property = cmdlet.ImplementingType.GetProperty(parameter.Name);
        return new CmdletParameter
        {
            Type = TypeName(parameter.ParameterType),
            IsSwitch = parameter.SwitchParameter,
            SupportsWildcards = parameter.Attributes.OfType<SupportsWildcardsAttribute>().Any(),
            DontShow = parameter.Attributes.OfType<ParameterAttribute>().Any(a => a.DontShow),
            Aliases = parameter.Aliases,
            AcceptedValues = [.. parameter.Attributes.OfType<ValidateSetAttribute>().SelectMany(a => a.ValidValues)],
            EnumValues = EnumNames(parameter.ParameterType),
            DefaultValue = parameter.ParameterSets.Values.All(set => set.IsMandatory) ? "" : Text(property?.GetValue(unbound)),
            Sets = [.. parameter.ParameterSets.Select(set => Set(set.Key, set.Value))],
        };
    }

    static ParameterSetFacts Set(string name, ParameterSetMetadata set) => new()
    {
        Name = name is ParameterAttribute.AllParameterSets ? ParameterSetFacts.All : name,
        Position = set.Position == int.MinValue ? ParameterSetFacts.Named : set.Position.ToString(CultureInfo.InvariantCulture),
        IsRequired = set.IsMandatory,
        ValueFromPipeline = set.ValueFromPipeline,
        ValueFromPipelineByPropertyName = set.ValueFromPipelineByPropertyName,
        ValueFromRemainingArguments = set.ValueFromRemainingArguments,
    };

    /// <summary>That a number may be left out (Nullable) is said by IsRequired.</summary>
    static string TypeName(Type type) => (Nullable.GetUnderlyingType(type) ?? type).FullName!;

    static string[] EnumNames(Type type)
    {
        var element = type.IsArray ? type.GetElementType()! : Nullable.GetUnderlyingType(type) ?? type;
        return element.IsEnum ? Enum.GetNames(element) : [];
    }

    static string? Text(object? value) => value switch
    {
        null or "" => null,
        SwitchParameter given => given.IsPresent.ToString(),
        Array { Length: 0 } => null,
        IEnumerable values and not string => string.Join(", ", values.Cast<object>().Select(v => Text(v))),
        IFormattable number => number.ToString(null, CultureInfo.InvariantCulture),
        _ => value.ToString(),
    };
}

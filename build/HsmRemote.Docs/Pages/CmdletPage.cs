namespace HsmRemote.Docs.Pages;

/// <summary>The page of a cmdlet, in the form of Microsoft.PowerShell.PlatyPS 1.0.</summary>
sealed record CmdletPage
{
    /// <summary>The page's file, without its ending, which has to be the cmdlet's name.</summary>
    internal required string Name { get; init; }

    internal required string Synopsis { get; init; }

    /// <summary>By the name of the parameter set.</summary>
    internal required IReadOnlyDictionary<string, string> Syntax { get; init; }

    internal required IReadOnlyList<string> Description { get; init; }

    internal required IReadOnlyList<PageExample> Examples { get; init; }

    internal required IReadOnlyList<PageParameter> Parameters { get; init; }

    /// <summary>Each a type's full name and what is said of it.</summary>
    internal required IReadOnlyList<PageType> Inputs { get; init; }

    internal required IReadOnlyList<PageType> Outputs { get; init; }

    internal required IReadOnlyList<string> Notes { get; init; }

    internal required IReadOnlyList<PageLink> Links { get; init; }

    internal string FileName => $"{Name}.md";
}

/// <summary>An example.</summary>
/// <param name="Title">Its heading.</param>
/// <param name="Code">What is typed.</param>
/// <param name="Output">What it writes, as a block of ```output shows it, or null where there is none.</param>
/// <param name="Remarks">What comes of it, as paragraphs; one of several lines is output, to be left as it is.</param>
sealed record PageExample(string Title, string Code, string? Output, IReadOnlyList<string> Remarks);

/// <summary>A parameter.</summary>
sealed record PageParameter(string Name, IReadOnlyList<string> Description, ParameterFacts Facts);

/// <summary>A type that a cmdlet takes or gives.</summary>
sealed record PageType(string Name, IReadOnlyList<string> Description);

/// <summary>A reference to another page or topic.</summary>
sealed record PageLink(string Text, string Url);

/// <summary>The YAML block of a parameter, with the keys that PlatyPS writes.</summary>
sealed class ParameterFacts
{
    public string Type { get; set; } = "";

    public string DefaultValue { get; set; } = "";

    public bool SupportsWildcards { get; set; }

    public List<string> Aliases { get; set; } = [];

    public List<ParameterSetFacts> ParameterSets { get; set; } = [];

    public bool DontShow { get; set; }

    public List<string> AcceptedValues { get; set; } = [];

    public string HelpMessage { get; set; } = "";
}

/// <summary>What a parameter is in a parameter set.</summary>
sealed class ParameterSetFacts
{
    /// <summary>PlatyPS's name for a parameter that is the same in all sets.</summary>
    internal const string All = "(All)";

    /// <summary>PlatyPS's word for a parameter that has no position.</summary>
    internal const string Named = "Named";

    public string Name { get; set; } = "";

    public string Position { get; set; } = "";

    public bool IsRequired { get; set; }

    public bool ValueFromPipeline { get; set; }

    public bool ValueFromPipelineByPropertyName { get; set; }

    public bool ValueFromRemainingArguments { get; set; }
}

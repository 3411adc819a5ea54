using System.Collections;
using System.Management.Automation;
using System.Management.Automation.Language;

namespace HsmRemote.Completers;

/// <summary>Completes an argument from the values that are there. Whatever goes wrong, it has nothing to offer, silently.</summary>
public abstract class ValueCompleter : IArgumentCompleter
{
    /// <inheritdoc/>
    public IEnumerable<CompletionResult> CompleteArgument(
        string commandName, string parameterName, string wordToComplete, CommandAst commandAst, IDictionary fakeBoundParameters)
    {
        // The word comes with the quote that was begun.
        var word = wordToComplete.Trim('\'', '"');
        try
        {
            return
            [
                .. Values()
                    .Where(value => value.Length > 0)
                    .Select(value => (Shown: value, Meant: IsPattern ? WildcardPattern.Escape(value) : value))
                    .Where(value => value.Shown.StartsWith(word, StringComparison.OrdinalIgnoreCase) || value.Meant.StartsWith(word, StringComparison.OrdinalIgnoreCase))
                    .DistinctBy(value => value.Shown, StringComparer.Ordinal)
                    .OrderBy(value => value.Shown, StringComparer.Ordinal)
                    .Select(value => new CompletionResult(Quote(value.Meant), value.Shown, CompletionResultType.ParameterValue, value.Shown)),
            ];
        }
        catch (Exception)
        {
            return [];
        }
    }

    /// <summary>Whether the parameter takes wildcards, and these values may have characters that would be some.</summary>
    private protected virtual bool IsPattern => false;

    /// <summary>The values that the argument may have.</summary>
    private protected abstract IEnumerable<string> Values();

    static string Quote(string value) =>
        value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/') && value[0] != '-'
            ? value
            : $"'{CodeGeneration.EscapeSingleQuotedStringContent(value)}'";
}

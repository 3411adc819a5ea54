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
                    .Where(value => value.StartsWith(word, StringComparison.OrdinalIgnoreCase))
                    .Distinct(StringComparer.Ordinal)
                    .Order(StringComparer.Ordinal)
                    .Select(value => new CompletionResult(Quote(value), value, CompletionResultType.ParameterValue, value)),
            ];
        }
        catch (Exception)
        {
            return [];
        }
    }

    /// <summary>The values that the argument may have.</summary>
    private protected abstract IEnumerable<string> Values();

    static string Quote(string value) =>
        value.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.' or '/')
            ? value
            : $"'{CodeGeneration.EscapeSingleQuotedStringContent(value)}'";
}

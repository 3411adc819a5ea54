using System.Collections.Immutable;
using Microsoft.CodeAnalysis;
using Microsoft.CodeAnalysis.CSharp;
using Microsoft.CodeAnalysis.CSharp.Syntax;
using Microsoft.CodeAnalysis.Operations;

namespace HsmRemote.Tests.Docs;

/// <summary>An error that the sources make.</summary>
/// <param name="Id">Its ErrorId.</param>
/// <param name="Place">Where it is made.</param>
/// <param name="Fault">What is wrong with its words, or null.</param>
sealed record SourceError(string Id, string Place, string? Fault);

/// <summary>Finds every error that the sources make, with the compiler: whatever is given to a parameter called errorId, of whichever method.</summary>
static class SourceErrors
{
    // What the projects of the sources have by ImplicitUsings.
    const string GlobalUsings = """
        global using System; global using System.Collections.Generic; global using System.IO; global using System.Linq;
        global using System.Net.Http; global using System.Threading; global using System.Threading.Tasks;
        """;

    static readonly Lazy<IReadOnlyList<SourceError>> Found = new(() => Read(Checkout.Sources));

    static readonly string[] Endings = [".", "!", "?"];

    internal static IReadOnlyList<SourceError> All => Found.Value;

    static List<SourceError> Read(string directory)
    {
        var trees = Directory.EnumerateFiles(directory, "*.cs", SearchOption.AllDirectories)
            .Select(file => CSharpSyntaxTree.ParseText(File.ReadAllText(file), path: Path.GetRelativePath(directory, file)))
            .Append(CSharpSyntaxTree.ParseText(GlobalUsings))
            .ToList();
        var references = ((string)AppContext.GetData("TRUSTED_PLATFORM_ASSEMBLIES")!).Split(Path.PathSeparator)
            // Whose types are in the sources themselves.
            .Where(path => !Path.GetFileName(path).StartsWith("HsmRemote", StringComparison.OrdinalIgnoreCase))
            .Select(path => MetadataReference.CreateFromFile(path));
        var compilation = CSharpCompilation.Create("sources", trees, references);
        var errors = trees.SelectMany(tree => Of(compilation.GetSemanticModel(tree), tree)).ToList();
        Assert.NotEmpty(errors);
        return errors;
    }

    static IEnumerable<SourceError> Of(SemanticModel model, SyntaxTree tree)
    {
        foreach (var node in tree.GetRoot().DescendantNodes().Where(node => node is BaseObjectCreationExpressionSyntax or InvocationExpressionSyntax))
        {
            var arguments = model.GetOperation(node) switch
            {
                IObjectCreationOperation creation => creation.Arguments,
                IInvocationOperation invocation => invocation.Arguments,
                _ => [],
            };
            if (arguments.FirstOrDefault(argument => argument.Parameter?.Name is "errorId") is not { Value: { } value })
                continue;
            // A helper that passes on what it was given: whoever calls it is found too.
            if (value is IParameterReferenceOperation)
                continue;
            var place = $"{tree.FilePath}({tree.GetLineSpan(node.Span).StartLinePosition.Line + 1})";
            var ids = value.DescendantsAndSelf().Select(part => part.ConstantValue).Where(constant => constant.HasValue).Select(constant => constant.Value).OfType<string>().Distinct(StringComparer.Ordinal).ToList();
            // One that is read from another error is that error's.
            Assert.True(ids.Count > 0 || value is IPropertyReferenceOperation { Property.Name: "ErrorId" }, $"{place}: which ErrorId it is cannot be seen");
            foreach (var id in ids)
                yield return new(id, place, Fault(arguments));
        }
    }

    static string? Fault(ImmutableArray<IArgumentOperation> arguments)
    {
        if (arguments.FirstOrDefault(argument => argument.Parameter!.Name is "remedy") is { } remedy
            && (remedy.ArgumentKind == ArgumentKind.DefaultValue || remedy.Value.ConstantValue is { HasValue: true, Value: null or "" }))
            return "it does not say what to do";
        if (arguments.FirstOrDefault(argument => argument.Parameter!.Name is "message") is { } message && LastText(message.Value) is { } text
            && !Endings.Any(ending => text.EndsWith(ending, StringComparison.Ordinal)))
            return $"it does not say what failed in a sentence: …{text}";
        return null;
    }

    /// <summary>The text that a value ends with, or null when that is not to be seen.</summary>
    static string? LastText(IOperation value) => value switch
    {
        { ConstantValue: { HasValue: true, Value: string text } } => text,
        IInterpolatedStringOperation { Parts: [.., IInterpolatedStringTextOperation { Text.ConstantValue.Value: string text }] } => text,
        IBinaryOperation { RightOperand: var right } => LastText(right),
        _ => null,
    };
}

using HsmRemote.Docs;

if (args is not [var pages, var module])
{
    Console.Error.WriteLine("""
        usage: HsmRemote.Docs PAGES MODULE

        Writes the help of a published module (MODULE/en-US) from its pages (PAGES/*.md). It writes nothing, says what is
        wrong and ends with status 1 when the pages and the module's cmdlets differ.
        """);
    return 2;
}

var problems = Converter.Convert(pages, module);
foreach (var problem in problems)
    Console.Error.WriteLine($"HsmRemote.Docs: {problem}");
return problems.Count == 0 ? 0 : 1;

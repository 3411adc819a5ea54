using HsmRemote.Docs;

if (args is not [var pages, var module, var help])
{
    Console.Error.WriteLine("""
        usage: HsmRemote.Docs PAGES MODULE HELP

        Writes the help of the published module in MODULE, from PAGES/*.md, into HELP. It writes nothing, says what is wrong
        and ends with status 1 when the pages and the module's cmdlets differ.
        """);
    return 2;
}

var problems = Converter.Convert(pages, module, help);
foreach (var problem in problems)
    Console.Error.WriteLine($"HsmRemote.Docs: {problem}");
return problems.Count == 0 ? 0 : 1;

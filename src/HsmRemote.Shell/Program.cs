using System.Globalization;

namespace HsmRemote.Shell;

internal static class Program
{
    private const int WrongUsage = 64;

    private static int Main(string[] arguments)
    {
        // The engine reads this when it is first touched; what a host does with its keys is for nobody's statistics.
        Environment.SetEnvironmentVariable("POWERSHELL_TELEMETRY_OPTOUT", "1");

        // The engine's pipelines run on threads of their own.
        CultureInfo.CurrentCulture = CultureInfo.DefaultThreadCurrentCulture = new EnglishCulture();

        var commandLine = CommandLine.Parse(arguments);
        if (commandLine.Error is { } error)
            return Refuse(error);

        if (commandLine.ShowHelp)
        {
            Console.Out.WriteLine(CommandLine.Usage);
            return 0;
        }

        if (commandLine.ShowVersion)
        {
            Console.Out.WriteLine($"hsmremote {ShellVersion.Number}");
            return 0;
        }

        if (commandLine.WorkingDirectory is { } directory)
        {
            if (!Directory.Exists(directory))
                return Refuse($"There is no directory '{directory}'.");
            Environment.CurrentDirectory = directory;
        }

        return new Session(commandLine).Run();
    }

    private static int Refuse(string error)
    {
        Console.Error.WriteLine($"hsmremote: {error} See hsmremote -Help.");
        return WrongUsage;
    }
}

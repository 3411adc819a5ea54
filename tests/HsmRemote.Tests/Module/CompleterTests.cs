using System.Management.Automation;

namespace HsmRemote.Tests.Module;

/// <summary>That TAB completes wherever something that can be completed is taken, whichever cmdlets there are.</summary>
public sealed class CompleterTests(Engine engine)
{
    // The words by which the module's parameters name what is on a host.
    static readonly string[] Completed =
    [
        "Name", "Server", "Label", "Uri", "TargetUri", "KeyUri", "Module", "Group", "PeerGroup", "User", "Owner", "PeerUser", "ServiceUser", "Container", "Image", "Runtime",
    ];

    // The image's own, and one of another machine.
    static readonly string[] Elsewhere = ["New-P11ContainerConfig -User", "New-P11SocketForward -User"];

    [Fact]
    public void A_parameter_that_takes_what_is_there_completes_it()
    {
        var parameters =
            (from command in engine.Run("Get-Command -Module HsmRemote").Check().Select(o => (CmdletInfo)o.BaseObject)
             from parameter in command.Parameters.Values
             where Completed.Contains(parameter.Name, StringComparer.Ordinal) || parameter.Aliases.Intersect(Completed, StringComparer.Ordinal).Any()
             // What is an enumeration completes by itself.
             where parameter.ParameterType == typeof(string) || parameter.ParameterType == typeof(string[])
             select (Text: $"{command.Name} -{parameter.Name}", parameter.Attributes)).ToList();
        Assert.NotEmpty(parameters);
        Faults.None(parameters.Where(p => !p.Attributes.OfType<ArgumentCompleterAttribute>().Any()).Select(p => p.Text).Except(Elsewhere, StringComparer.Ordinal)
            .Select(text => $"{text} has no completer"));
    }

    [Theory]
    [InlineData("New-P11ContainerConfig edge -Engine Doc", "Docker")]
    [InlineData("New-P11ContainerConfig edge -Runtime cr", "crun")]
    [InlineData("Install-P11KitServer -Mode Acc", "Acceptor")]
    [InlineData("Install-P11KitServer -PeerGroup roo", "root")]
    [InlineData("Install-P11KitServer -ServiceUser roo", "root")]
    [InlineData("Register-Pkcs11Module p11-kit-t", "p11-kit-trust")]
    public void Engines_modes_groups_users_and_modules_complete(string line, string completion) => Assert.Contains(completion, engine.CompleteAtLast(line));
}

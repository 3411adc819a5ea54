using System.Management.Automation;
using System.Net.Sockets;
using HsmRemote.Tests.Sockets;

namespace HsmRemote.Tests.Module;

/// <summary>The cmdlets in the real engine, as far as they need neither root nor systemd.</summary>
public sealed class CmdletTests(Engine engine)
{
    [Theory]
    [InlineData("Install-P11KitServer -SocketMode 0999", "ParameterArgumentValidationError", ErrorCategory.InvalidData)]
    [InlineData("Install-P11KitServer -Name ''", "ParameterArgumentValidationError", ErrorCategory.InvalidData)]
    [InlineData("Test-P11Socket -TimeoutSeconds 0 -SocketPath /x", "ParameterArgumentValidationError", ErrorCategory.InvalidData)]
    [InlineData("Test-P11Socket -SocketPath /x -User root -Uid 0", "IdentityAmbiguous", ErrorCategory.InvalidArgument)]
    [InlineData("Test-P11Socket -SocketPath /x -User no-such-user", "UserNotFound", ErrorCategory.ObjectNotFound)]
    [InlineData("Test-P11Socket -Name x -SocketPath /x", "AmbiguousParameterSet", ErrorCategory.InvalidArgument)]
    [InlineData("Get-Pkcs11Token -Uri 'pkcs11:token=a b'", "UriMalformed", ErrorCategory.InvalidArgument)]
    [InlineData("Get-Pkcs11Token -Module no-such-module", "ModuleNotFound", ErrorCategory.ObjectNotFound)]
    [InlineData("Get-Pkcs11Token -Module /no/such/module.so", "ModuleMissing", ErrorCategory.ObjectNotFound)]
    [InlineData("Get-Pkcs11Token -Module /etc/passwd", "ModuleFailed", ErrorCategory.ResourceUnavailable)]
    [InlineData("Get-Pkcs11Token 'edge['", "PatternInvalid", ErrorCategory.InvalidArgument)]
    [InlineData("Get-Pkcs11Module 'edge['", "PatternInvalid", ErrorCategory.InvalidArgument)]
    [InlineData("Get-Pkcs11Object -Label 'edge['", "PatternInvalid", ErrorCategory.InvalidArgument)]
    [InlineData("Get-P11KitServer 'edge['", "PatternInvalid", ErrorCategory.InvalidArgument)]
    [InlineData("Get-Pkcs11Token -SocketPath /no/such/socket", "SocketUnreadable", ErrorCategory.ResourceUnavailable)]
    public void Wrong_use_is_an_error_with_a_stable_id_and_a_fitting_category(string command, string errorId, ErrorCategory category)
    {
        var error = engine.Run(command).Errors[0];
        Assert.StartsWith($"{errorId},", error.FullyQualifiedErrorId, StringComparison.Ordinal);
        Assert.Equal(category, error.CategoryInfo.Category);
    }

    [Fact]
    public void An_error_recommends_what_to_do_once()
    {
        var error = engine.Run("Get-Pkcs11Token -Module no-such-module").Error;
        Assert.Contains("A library elsewhere is given by its path", error.ErrorDetails.RecommendedAction, StringComparison.Ordinal);
        Assert.DoesNotContain(error.ErrorDetails.RecommendedAction, error.ErrorDetails.Message, StringComparison.Ordinal);
        Assert.EndsWith(error.ErrorDetails.RecommendedAction, error.Exception.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_PIN_in_a_malformed_URI_is_not_repeated()
    {
        var error = engine.Run("Get-Pkcs11Token -Uri 'pkcs11:token=a;;?pin-value=77441'").Error;
        Assert.DoesNotContain("77441", error.ToString() + error.Exception.Message + error.TargetObject + error.ErrorDetails.RecommendedAction, StringComparison.Ordinal);
    }

    [Fact]
    public void A_socket_is_tested_and_Quiet_is_a_Boolean()
    {
        using var directory = new SocketDirectory();
        var test = (P11SocketTest)Assert.Single(engine.Run($"Test-P11Socket -SocketPath '{directory.SocketPath}'").Check()).BaseObject;
        Assert.Equal(P11SocketCause.PathMissing, test.Cause);
        Assert.Equal(Enum.GetValues<P11SocketCheckName>().Where(name => name is not (P11SocketCheckName.Tunnel or P11SocketCheckName.RemoteEnd)), test.Checks.Select(c => c.Name));
        Assert.Equal(false, Assert.Single(engine.Run($"Test-P11Socket -SocketPath '{directory.SocketPath}' -Quiet").Check()).BaseObject);
    }

    [Fact]
    public void Ctrl_C_ends_a_test_of_a_server_that_stalls()
    {
        using var directory = new SocketDirectory();
        var connected = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        directory.Listen(async connection =>
        {
            connected.SetResult();
            await using var stream = new NetworkStream(connection);
            await stream.CopyToAsync(Stream.Null);
        });
        // It is done within a second; a busy machine gets more.
        Assert.InRange(
            engine.RunAndStop($"Test-P11Socket -SocketPath '{directory.SocketPath}' -TimeoutSeconds 3600", connected.Task), TimeSpan.Zero, TimeSpan.FromSeconds(20));
    }

    [Fact]
    public void A_relative_path_is_that_of_the_session()
    {
        using var directory = new SocketDirectory();
        engine.Run($"$ExecutionContext.SessionState.Path.SetLocation('{directory.FullName}')").Check();
        var test = (P11SocketTest)Assert.Single(engine.Run("Test-P11Socket -SocketPath pkcs11").Check()).BaseObject;
        engine.Run("$ExecutionContext.SessionState.Path.SetLocation('/')").Check();
        Assert.Equal(directory.SocketPath, test.SocketPath);
    }

    [Theory]
    [InlineData("Install-P11KitServer -Group roo", "root")]
    [InlineData("Test-P11Socket -User roo", "root")]
    [InlineData("Get-Pkcs11Token -Module p11-kit-", "p11-kit-trust")]
    public void TAB_completes_what_is_there(string line, string completion) => Assert.Contains(completion, engine.Complete(line));

    [Fact]
    public void TAB_gives_nothing_of_ours_when_nothing_is_known()
    {
        Assert.DoesNotContain(engine.Complete("Get-P11KitServer -Name zz-no-such"), c => c.Contains("zz-no-such-", StringComparison.Ordinal));
        Assert.Empty(engine.Complete("Get-Pkcs11Token -Module zz-no-such"));
    }

    [Fact]
    public void A_URI_literal_is_a_type_of_the_session()
    {
        Assert.Equal("pkcs11:model=M;token=a%20b", Assert.Single(engine.Run("\"$([Pkcs11Uri]'pkcs11:token=a%20b;model=M')\"").Check()).BaseObject);
        Assert.Equal(
            [true, true, true, "b", true],
            engine.Run("""
                $uri = [Pkcs11Uri]'pkcs11:token=a;model=M'
                $uri -eq 'pkcs11:model=M;token=%61'
                $null -eq [Pkcs11Uri]$null
                $null -eq ('pkcs11' -as [Pkcs11Uri])
                ([Pkcs11Uri[]]('pkcs11:token=a', 'pkcs11:token=b'))[1].Token
                $uri.Matches([Pkcs11Uri]'pkcs11:token=a;model=M;serial=1')
                """).Check().Select(o => o.BaseObject));
    }

    [Fact]
    public void A_URI_that_is_none_is_an_error_with_the_offset_and_Parse_does_not_repeat_a_PIN()
    {
        Assert.Contains("Offset 15:", engine.Run("[Pkcs11Uri]'pkcs11:token=a;;serial=9'").Error.Exception.Message, StringComparison.Ordinal);
        var error = engine.Run("$text = 'pkcs11:token=a;;?pin-value=774411'; [Pkcs11Uri]::Parse($text)").Error;
        Assert.Contains("Offset 15:", error.Exception.Message, StringComparison.Ordinal);
        Assert.DoesNotContain("774411", $"{error} {error.Exception}", StringComparison.Ordinal);
    }
}

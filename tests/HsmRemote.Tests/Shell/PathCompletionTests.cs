using System.Management.Automation;
using HsmRemote.Shell;

namespace HsmRemote.Tests.Shell;

public sealed class PathCompletionTests : IDisposable
{
    readonly DirectoryInfo directory = Directory.CreateTempSubdirectory("hsmremote-tests-");

    public PathCompletionTests()
    {
        directory.CreateSubdirectory("keys");
        foreach (var name in new[] { "edge.pin", "edge two's.pin", ".hidden" })
            File.WriteAllText(Path.Combine(directory.FullName, name), "");
    }

    public void Dispose() => directory.Delete(recursive: true);

    [Theory]
    [InlineData("./ed", "'./edge two''s.pin'", "./edge.pin")]
    [InlineData("'./edge t", "'./edge two''s.pin'")]
    [InlineData("./k", "./keys/")]
    [InlineData("./.", "./.hidden")]
    [InlineData("./", "'./edge two''s.pin'", "./edge.pin", "./keys/")]
    [InlineData("./none/x")]
    // What has no slash may be the name of anything, and what a variable has is not known.
    [InlineData("ed")]
    [InlineData("$x/ed")]
    public void A_word_with_a_slash_is_a_path(string word, params string[] offered)
    {
        var completion = Complete(word);
        Assert.Equal(offered, completion.CompletionMatches.Select(match => match.CompletionText));
        Assert.Equal((4, word.Length), (completion.ReplacementIndex, completion.ReplacementLength));
    }

    [Fact]
    public void An_absolute_path_is_completed_wherever_the_session_is() =>
        Assert.Equal($"{directory.FullName}/keys/", Assert.Single(Complete($"{directory.FullName}/ke").CompletionMatches).CompletionText);

    [Fact]
    public void What_the_engine_has_found_stays()
    {
        var found = new CommandCompletion([new CompletionResult("./engine")], -1, 4, 4);
        Assert.Same(found, PathCompletion.Complete(found, "x -P./ed", directory.FullName));
    }

    CommandCompletion Complete(string word) => PathCompletion.Complete(new CommandCompletion([], -1, 4, word.Length), "cmd " + word, directory.FullName);
}

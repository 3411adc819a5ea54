using HsmRemote.Services.Containers;

namespace HsmRemote.Tests.Containers;

/// <summary>A compose file that somebody wrote, with what a service needs put in: every other character stays.</summary>
public sealed class ComposeMergeTests
{
    static readonly Dictionary<string, object> Settings = new(StringComparer.Ordinal)
    {
        ["group_add"] = new List<object> { "992" },
        ["environment"] = new Dictionary<string, object>(StringComparer.Ordinal) { ["ADDRESS"] = "unix:path=/run/edge/pkcs11" },
        ["volumes"] = new List<object>
        {
            new Dictionary<string, object>(StringComparer.Ordinal) { ["type"] = "bind", ["source"] = "/run/edge", ["target"] = "/run/edge", ["read_only"] = true },
        },
    };

    const string Group = "group_add:\n      - \"992\"\n";
    const string Environment = "environment:\n      ADDRESS: unix:path=/run/edge/pkcs11\n";
    const string Volumes = "volumes:\n      - type: bind\n        source: /run/edge\n        target: /run/edge\n        read_only: true\n";

    [Theory]
    // Nothing is there yet.
    [InlineData("", "services:\n  app:\n    " + Group + "    " + Environment + "    " + Volumes)]
    [InlineData("# mine\n", "# mine\nservices:\n  app:\n    " + Group + "    " + Environment + "    " + Volumes)]
    [InlineData("services: {}\n", "services: {\"app\":{\"group_add\":[\"992\"],\"environment\":{\"ADDRESS\":\"unix:path=/run/edge/pkcs11\"},\"volumes\":[{\"type\":\"bind\",\"source\":\"/run/edge\",\"target\":\"/run/edge\",\"read_only\":true}]}}\n")]
    [InlineData("services:\n  web:\n    command: a # x\n\n# end\n", "services:\n  web:\n    command: a # x\n  app:\n    " + Group + "    " + Environment + "    " + Volumes + "\n# end\n")]
    // The service is there.
    [InlineData("services:\n  app: # ours\n", "services:\n  app: # ours\n    " + Group + "    " + Environment + "    " + Volumes)]
    [InlineData("services:\n  app:\n    # last\n    image: a\n    # very last", "services:\n  app:\n    # last\n    image: a\n    " + Group + "    " + Environment + "    " + Volumes + "    # very last")]
    [InlineData("services:\n  app:\n    environment:\n      A: b # c\n  z:\n    image: z\n", "services:\n  app:\n    environment:\n      A: b # c\n      ADDRESS: unix:path=/run/edge/pkcs11\n    " + Group + "    " + Volumes + "  z:\n    image: z\n")]
    [InlineData("services:\n  app:\n    environment:\n    - A=b\n", "services:\n  app:\n    environment:\n    - A=b\n    - ADDRESS=unix:path=/run/edge/pkcs11\n    " + Group + "    " + Volumes)]
    [InlineData("services:\n  app:\n    environment: [A=b]\n    group_add: [ '1', ]\n", "services:\n  app:\n    environment: [A=b, \"ADDRESS=unix:path=/run/edge/pkcs11\"]\n    group_add: [ '1', \"992\"]\n    " + Volumes)]
    [InlineData("services:\n  app:\n    environment: {ADDRESS: old} # why\n    volumes:\n      - /a:/b\n", "services:\n  app:\n    environment: {ADDRESS: unix:path=/run/edge/pkcs11} # why\n    volumes:\n      - /a:/b\n      - type: bind\n        source: /run/edge\n        target: /run/edge\n        read_only: true\n    " + Group)]
    // The socket itself was mounted; its directory is already.
    [InlineData("services:\n  app:\n    volumes:\n      - /run/edge/pkcs11:/run/edge/pkcs11 # s\n", "services:\n  app:\n    volumes:\n      - /run/edge:/run/edge:ro # s\n    " + Group + "    " + Environment)]
    [InlineData("services:\n  app:\n    volumes:\n      - /run/edge:/run/edge\n", "services:\n  app:\n    volumes:\n      - /run/edge:/run/edge\n    " + Group + "    " + Environment)]
    [InlineData("services:\n  app:\n    volumes:\n      - /run/edge/:/run/edge/\n", "services:\n  app:\n    volumes:\n      - /run/edge/:/run/edge/\n    " + Group + "    " + Environment)]
    [InlineData("services:\n  app:\n    volumes:\n      - ${SOCKET_PATH}:${SOCKET_PATH}\n", "services:\n  app:\n    volumes:\n      - /run/edge:/run/edge:ro\n    " + Group + "    " + Environment)]
    [InlineData("services:\n  app:\n    volumes:\n      - \"${SOCKET_PATH:-/run/x}:${SOCKET_PATH:-/run/x}:ro\"\n", "services:\n  app:\n    volumes:\n      - /run/edge:/run/edge:ro\n    " + Group + "    " + Environment)]
    [InlineData("services:\n  app:\n    volumes:\n      - type: bind\n        source: /run/edge/pkcs11\n        target: /run/edge/pkcs11\n", "services:\n  app:\n    volumes:\n      - type: bind\n        source: /run/edge\n        target: /run/edge\n    " + Group + "    " + Environment)]
    // The server has moved since.
    [InlineData("services:\n  app:\n    environment:\n      - P11_KIT_SERVER_ADDRESS=unix:path=/run/old/pkcs11\n      - ADDRESS=unix:path=/run/edge/pkcs11\n    volumes:\n      - /run/old:/run/old:ro # t\n", "services:\n  app:\n    environment:\n      - P11_KIT_SERVER_ADDRESS=unix:path=/run/old/pkcs11\n      - ADDRESS=unix:path=/run/edge/pkcs11\n    volumes:\n      - /run/edge:/run/edge:ro # t\n    " + Group)]
    [InlineData("services:\n  app:\n    environment:\n      P11_KIT_SERVER_ADDRESS: unix:path=/run/old/pkcs11\n      ADDRESS: unix:path=/run/edge/pkcs11\n    volumes:\n      - type: bind\n        source: /run/old\n        target: /run/old\n        read_only: true\n", "services:\n  app:\n    environment:\n      P11_KIT_SERVER_ADDRESS: unix:path=/run/old/pkcs11\n      ADDRESS: unix:path=/run/edge/pkcs11\n    volumes:\n      - type: bind\n        source: /run/edge\n        target: /run/edge\n        read_only: true\n    " + Group)]
    [InlineData("services:\r\n  app:\r\n    image: a\r\n", "services:\r\n  app:\r\n    image: a\r\n    group_add:\r\n      - \"992\"\r\n    environment:\r\n      ADDRESS: unix:path=/run/edge/pkcs11\r\n    volumes:\r\n      - type: bind\r\n        source: /run/edge\r\n        target: /run/edge\r\n        read_only: true\r\n")]
    public void What_is_missing_is_put_in(string before, string after)
    {
        Assert.Equal(after, Apply(before));
        Assert.Equal(after, Apply(after));
    }

    [Fact]
    public void Secrets_are_the_file_s()
    {
        var secrets = ComposeService.Secrets("./pkcs11_pin");
        var after = ComposeMerge.Apply("f", "services:\n  app:\n    image: a\nsecrets:\n  other:\n    file: x\n", "app", ComposeServiceWithSecret(), secrets, "/s");
        Assert.Equal("services:\n  app:\n    image: a\n    secrets:\n      - pkcs11_pin\nsecrets:\n  other:\n    file: x\n  pkcs11_pin:\n    file: \"./pkcs11_pin\"\n", after);
    }

    [Theory]
    [InlineData("secrets:\n  pkcs11_pin:\n    file: ./other_pin\n", "secrets:\n  pkcs11_pin:\n    file: \"./pkcs11_pin\"\n")]
    [InlineData("secrets:\n  pkcs11_pin:\n    file: pkcs11_pin # same\n", "secrets:\n  pkcs11_pin:\n    file: pkcs11_pin # same\n")]
    public void A_secret_that_is_another_file_is_made_the_one_that_is_written(string before, string after)
    {
        const string Service = "services:\n  app:\n    secrets:\n      - source: pkcs11_pin\n        target: pin\n";
        Assert.Equal(Service + after, ComposeMerge.Apply("/srv/f", Service + before, "app", ComposeServiceWithSecret(), ComposeService.Secrets("./pkcs11_pin"), "/s"));
    }

    [Theory]
    [InlineData("secrets:\n  pkcs11_pin:\n    file: ../pin\n", true, "/pin")]
    [InlineData("secrets:\n  pkcs11_pin:\n    external: true\n", true, null)]
    [InlineData("secrets:\n  pkcs11_pin:\n    file: ${PIN_FILE}\n", true, null)]
    [InlineData("services: {}\n", false, "/srv/pkcs11_pin")]
    public void Where_the_secret_is_from_is_known(string text, bool isThere, string? expected)
    {
        Assert.Equal(isThere, ComposeMerge.HasSecret("/srv/f", text, out var file));
        Assert.Equal(expected, file);
    }

    [Theory]
    [InlineData("services: [\n", "ComposeFileUnreadable", "line")]
    [InlineData("services:\n  app: &app\n    image: a\n  worker:\n    <<: *app\n", "ComposeFileUnmergeable", "'app' is shared with other places")]
    [InlineData("x-app: &app\n  image: a\nservices:\n  app: *app\n", "ComposeFileUnmergeable", "'app' is shared with other places")]
    [InlineData("services: &all\n  app:\n    image: a\n", "ComposeFileUnmergeable", "'services' is shared with other places")]
    [InlineData("services:\n  web:\n    image: a\n", "ComposeServiceWithoutImage", "no service 'app'")]
    [InlineData("services:\n  web:\n    build: .\n", "ComposeServiceWithoutImage", "no service 'app'")]
    [InlineData("a: b\na: c\n", "ComposeFileUnreadable", "line")]
    [InlineData("- a\n", "ComposeFileUnmergeable", "no mapping")]
    [InlineData("a: b\n---\nc: d\n", "ComposeFileUnmergeable", "several documents")]
    [InlineData("services: nothing\n", "ComposeFileUnmergeable", "of another kind")]
    [InlineData("x: &x {A: b}\nservices:\n  app:\n    environment: *x\n", "ComposeFileUnmergeable", "shared with other places")]
    [InlineData("services:\n  app:\n    environment: &x {A: b}\n", "ComposeFileUnmergeable", "shared with other places")]
    [InlineData("x: &x\n  image: a\nservices:\n  app:\n    <<: *x\n", "ComposeFileUnmergeable", "settings from elsewhere")]
    [InlineData("services:\n  app:\n    volumes:\n      - type: bind\n        source: /other\n        target: /run/edge\n", "ComposeFileUnmergeable", "mounts /other")]
    [InlineData("services:\n  app:\n    environment:\n      ADDRESS: |\n        x\n", "ComposeFileUnmergeable", "a form that is not changed")]
    public void What_cannot_be_changed_without_harm_is_left_alone(string before, string errorId, string why)
    {
        var error = Assert.Throws<HsmRemoteException>(() => Apply(before));
        Assert.Equal(errorId, error.ErrorId);
        Assert.Contains(why, error.Failure, StringComparison.Ordinal);
        Assert.Contains("f ", error.Failure, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("services:\n  app:\n    user: \"1000:1000\"\n", "1000:1000")]
    [InlineData("services:\n  app:\n    user: \"${APP_UID}:${APP_GID}\"\n", "${APP_UID}:${APP_GID}")]
    [InlineData("services:\n  app:\n    image: a\n", null)]
    [InlineData("", null)]
    public void The_user_of_a_service_is_known(string text, string? user) => Assert.Equal(user, ComposeMerge.UserOf("f", text, "app"));

    static string Apply(string before) => ComposeMerge.Apply("f", before, "app", Settings, [], "/run/edge/pkcs11");

    static Dictionary<string, object> ComposeServiceWithSecret() => new(StringComparer.Ordinal) { ["secrets"] = new List<object> { ComposeService.PinSecret } };
}

namespace HsmRemote.Services.Native;

/// <summary>Who runs this, and where what is theirs is. By the user id: sudo and su leave another user's environment behind.</summary>
static class Caller
{
    internal static bool IsRoot => Accounts.geteuid() == 0;

    internal static string UserName => Accounts.FindUser(Accounts.geteuid())?.Name ?? $"{Accounts.geteuid()}";

    // macOS has other fields in its struct passwd.
    internal static string Home => OperatingSystem.IsMacOS() ? Environment.GetFolderPath(Environment.SpecialFolder.UserProfile) : Accounts.FindUser(Accounts.geteuid())?.Home ?? "/";

    /// <summary>The directory of the XDG base directory specification's XDG_RUNTIME_DIR; it may be missing.</summary>
    internal static string RuntimeDirectory
    {
        get
        {
            var user = Accounts.geteuid();
            return Environment.GetEnvironmentVariable("XDG_RUNTIME_DIR") is { Length: > 0 } directory
                && FileStatus.TryRead(directory, out var status) == 0 && status.UserId == user
                ? directory.TrimEnd('/')
                : $"/run/user/{user}";
        }
    }
}

namespace HsmRemote.Services.Native;

/// <summary>errno(3), the values that Linux has on the architectures that .NET runs on.</summary>
static class Errno
{
    internal const int EPERM = 1;
    internal const int ENOENT = 2;
    internal const int ESRCH = 3;
    internal const int EINTR = 4;
    internal const int EAGAIN = 11;
    internal const int EACCES = 13;
    internal const int ENOTDIR = 20;
    internal const int ELOOP = 40;
    internal const int EPROTOTYPE = 91;
    internal const int ECONNRESET = 104;
    internal const int ENOTCONN = 107;
    internal const int ECONNREFUSED = 111;
}

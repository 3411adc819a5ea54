/*
 * LD_PRELOAD for hsmremote: counts the calls with which it changes files below /etc, /run and /root/.config, starts programs, and talks
 * to systemd over D-Bus; at call number INTERFERE_AT it kills the process right before the call (INTERFERE=kill) or lets the
 * call fail with EIO (INTERFERE=fail). Each call is a line of the file INTERFERE_LOG. .NET finds libc's functions with dlsym,
 * libsystemd and .NET's own library through the dynamic linker, so both are taken over.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static int on, at, count, failing, log_fd = -1;
static void *(*real_dlsym)(void *, const char *);

static void find_dlsym(void)
{
    if (!real_dlsym)
        real_dlsym = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.34");
    if (!real_dlsym)
        real_dlsym = dlvsym(RTLD_NEXT, "dlsym", "GLIBC_2.2.5");
}

/* May be called before this library's own constructor, by those of others. */
static void *real(const char *name)
{
    find_dlsym();
    return real_dlsym(RTLD_NEXT, name);
}

__attribute__((constructor)) static void start(void)
{
    char program[4096] = "";
    find_dlsym();
    if (readlink("/proc/self/exe", program, sizeof program - 1) < 0 || !strstr(program, "/hsmremote") || !getenv("INTERFERE_LOG"))
        return;
    log_fd = syscall(SYS_openat, AT_FDCWD, getenv("INTERFERE_LOG"), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    at = getenv("INTERFERE_AT") ? atoi(getenv("INTERFERE_AT")) : 0;
    failing = getenv("INTERFERE") && !strcmp(getenv("INTERFERE"), "fail");
    on = log_fd >= 0;
}

static int ours(const char *path)
{
    return !strncmp(path, "/etc", 4) || !strncmp(path, "/run", 4) || !strncmp(path, "/root/.config", 13);
}

static const char *path_of(int fd, char *path, size_t size)
{
    char link[64];
    ssize_t length;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    length = readlink(link, path, size - 1);
    path[length > 0 ? length : 0] = 0;
    return path;
}

/* Whether the call is to fail. */
static int call(const char *name, const char *what, pid_t victim)
{
    char line[4096];
    int number = __atomic_add_fetch(&count, 1, __ATOMIC_SEQ_CST);
    int length = snprintf(line, sizeof line, "%d %s %.3000s\n", number, name, what);
    syscall(SYS_write, log_fd, line, length);
    if (number != at)
        return 0;
    if (failing) {
        errno = EIO;
        return 1;
    }
    kill(victim, SIGKILL);
    if (victim == getpid())
        for (;;)
            pause();
    return 0;
}

static int file_call(const char *name, int fd)
{
    char path[4096];
    return on && ours(path_of(fd, path, sizeof path)) && call(name, path, getpid());
}

static int path_call(const char *name, int directory, const char *path)
{
    char all[8192] = "";
    if (!on || !path)
        return 0;
    if (path[0] != '/' && directory >= 0) {
        path_of(directory, all, 4096);
        strcat(all, "/");
    }
    strncat(all, path, 4000);
    return ours(all) && call(name, all, getpid());
}

static int bus_call(const char *name, int fd)
{
    struct sockaddr_un address = { 0 };
    socklen_t length = sizeof address;
    return on && !getpeername(fd, (struct sockaddr *)&address, &length) && address.sun_family == AF_UNIX
        && (strstr(address.sun_path, "dbus") || strstr(address.sun_path, "/user/")) && call(name, address.sun_path, getpid());
}

#define TAKE(type, name, parameters, arguments, condition) \
    type name parameters \
    { \
        static type (*next) parameters; \
        if (!next) \
            next = real(#name); \
        return condition ? -1 : next arguments; \
    }

TAKE(ssize_t, write, (int fd, const void *data, size_t size), (fd, data, size), file_call("write", fd))
TAKE(ssize_t, pwrite, (int fd, const void *data, size_t size, off_t offset), (fd, data, size, offset), file_call("write", fd))
TAKE(ssize_t, pwrite64, (int fd, const void *data, size_t size, off64_t offset), (fd, data, size, offset), file_call("write", fd))
TAKE(int, ftruncate, (int fd, off_t size), (fd, size), file_call("ftruncate", fd))
TAKE(int, ftruncate64, (int fd, off64_t size), (fd, size), file_call("ftruncate", fd))
TAKE(int, fsync, (int fd), (fd), file_call("fsync", fd))
TAKE(int, fdatasync, (int fd), (fd), file_call("fdatasync", fd))
TAKE(int, fchmod, (int fd, mode_t mode), (fd, mode), file_call("fchmod", fd))
TAKE(int, fchown, (int fd, uid_t user, gid_t group), (fd, user, group), file_call("fchown", fd))
/* .NET locks what it reads too, which changes nothing. */
TAKE(int, flock, (int fd, int operation), (fd, operation), (operation & LOCK_EX && file_call("flock", fd)))
TAKE(int, chmod, (const char *path, mode_t mode), (path, mode), path_call("chmod", AT_FDCWD, path))
TAKE(int, rename, (const char *from, const char *to), (from, to), path_call("rename", AT_FDCWD, to))
TAKE(int, renameat, (int d, const char *from, int e, const char *to), (d, from, e, to), path_call("rename", e, to))
TAKE(int, renameat2, (int d, const char *from, int e, const char *to, unsigned flags), (d, from, e, to, flags), path_call("rename", e, to))
TAKE(int, unlink, (const char *path), (path), path_call("unlink", AT_FDCWD, path))
TAKE(int, unlinkat, (int d, const char *path, int flags), (d, path, flags), path_call("unlink", d, path))
TAKE(int, mkdir, (const char *path, mode_t mode), (path, mode), path_call("mkdir", AT_FDCWD, path))
TAKE(int, mkdirat, (int d, const char *path, mode_t mode), (d, path, mode), path_call("mkdir", d, path))
TAKE(int, rmdir, (const char *path), (path), path_call("rmdir", AT_FDCWD, path))
TAKE(int, symlink, (const char *target, const char *path), (target, path), path_call("symlink", AT_FDCWD, path))
TAKE(int, link, (const char *target, const char *path), (target, path), path_call("link", AT_FDCWD, path))
TAKE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), bus_call("sendmsg", fd))
TAKE(ssize_t, send, (int fd, const void *data, size_t size, int flags), (fd, data, size, flags), bus_call("send", fd))

#define TAKE_OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        static int (*next)(const char *, int, ...); \
        va_list list; \
        mode_t mode; \
        va_start(list, flags); \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        if (!next) \
            next = real(#name); \
        return flags & O_CREAT && path_call("open", AT_FDCWD, path) ? -1 : next(path, flags, mode); \
    }

#define TAKE_OPENAT(name) \
    int name(int directory, const char *path, int flags, ...) \
    { \
        static int (*next)(int, const char *, int, ...); \
        va_list list; \
        mode_t mode; \
        va_start(list, flags); \
        mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(list, mode_t) : 0; \
        va_end(list); \
        if (!next) \
            next = real(#name); \
        return flags & O_CREAT && path_call("open", directory, path) ? -1 : next(directory, path, flags, mode); \
    }

TAKE_OPEN(open)
TAKE_OPEN(open64)
TAKE_OPENAT(openat)
TAKE_OPENAT(openat64)

/* In the child, which goes on when its parent is killed. A shared vfork(2) memory counts on. */
int execve(const char *path, char *const arguments[], char *const environment[])
{
    static int (*next)(const char *, char *const[], char *const[]);
    if (!next)
        next = real("execve");
    if (on && call("execve", path, getppid()))
        return -1;
    return next(path, arguments, environment);
}

void *dlsym(void *handle, const char *name)
{
    static const char *const taken[] = {
        "write", "pwrite", "pwrite64", "ftruncate", "ftruncate64", "fsync", "fdatasync", "fchmod", "fchown", "flock", "chmod", "rename",
        "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat", "rmdir", "symlink", "link", "sendmsg", "send", "open",
        "open64", "openat", "openat64", "execve",
    };
    static void *self;
    void *found;
    find_dlsym();
    found = real_dlsym(handle, name);
    if (!found || !on || handle == RTLD_NEXT)
        return found;
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++)
        if (!strcmp(name, taken[i])) {
            if (!self) {
                Dl_info info;
                dladdr((void *)start, &info);
                self = dlopen(info.dli_fname, RTLD_LAZY | RTLD_NOLOAD);
            }
            return real_dlsym(self, name);
        }
    return found;
}

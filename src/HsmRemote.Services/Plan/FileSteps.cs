using System.Text;
using DiffPlex.Renderer;
using HsmRemote.Services.Native;
using static HsmRemote.Services.Native.FileCalls;

namespace HsmRemote.Services.Plan;

/// <summary>A file is created, or replaced by one with other content, mode or owner.</summary>
/// <param name="path">The file.</param>
/// <param name="before">What is there, or null.</param>
/// <param name="after">What is to be there.</param>
/// <param name="show">The text of a file with a secret, without the secret, for the difference that people see; null: there is none in it.</param>
sealed class WriteFileStep(string path, FileImage? before, FileImage after, Func<FileImage, string>? show = null)
    : PlanStep(new PlannedChange(
        before is null ? ChangeKind.CreateFile : ChangeKind.ReplaceFile,
        path,
        before is null ? $"Create the file {path}" : $"Replace the file {path}{Attributes(before, after)}",
        Diff(path, before, after, show ?? Content)))
{
    string? made;

    internal override bool IsUndoneWhenFailed => true;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        if (before is null)
        {
            // Where a link leads, a file may be made, and the link is not it.
            using var place = Place.Open(path);
            made = place.FullPath;
        }

        AtomicFile.Write(path, after);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        if (before is null)
        {
            if (made is not null && FileStatus.TryReadLink(made, out _) == 0)
                AtomicFile.Delete(made);
        }
        else if (!before.IsSame(AtomicFile.Read(path)))
            AtomicFile.Write(path, before);
        return Task.CompletedTask;
    }

    static string Attributes(FileImage before, FileImage after) =>
        (before.Mode == after.Mode ? "" : $", mode {Octal(before.Mode)} to {Octal(after.Mode)}")
        + (before.UserId == after.UserId && before.GroupId == after.GroupId
            ? "" : $", owner {before.UserId}:{before.GroupId} to {after.UserId}:{after.GroupId}");

    static string Octal(UnixFileMode mode) => Convert.ToString((int)mode, 8).PadLeft(4, '0');

    // Without the last line's end, after which the renderer would see one more, empty line.
    static string Diff(string path, FileImage? before, FileImage after, Func<FileImage, string> show) =>
        UnidiffRenderer.GenerateUnidiff(before is null ? "" : show(before).TrimEnd('\n'), show(after).TrimEnd('\n'), before is null ? "/dev/null" : path, path).TrimEnd();

    static string Content(FileImage image) => Encoding.UTF8.GetString(image.Content);
}

/// <summary>A file is removed; of a link, the link itself.</summary>
sealed class RemoveFileStep(string path) : PlanStep(new PlannedChange(ChangeKind.RemoveFile, path, $"Remove the file {path}"))
{
    FileImage? before;
    string? link;

    internal override bool IsUndoneWhenFailed => true;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        link = new FileInfo(path).LinkTarget;
        before = link is null ? AtomicFile.Read(path) : null;
        AtomicFile.Delete(path);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        if (new FileInfo(path) is { Exists: true } or { LinkTarget: not null })
            return Task.CompletedTask;
        if (link is not null)
            File.CreateSymbolicLink(path, link);
        else if (before is not null)
            AtomicFile.Write(path, before);
        return Task.CompletedTask;
    }
}

/// <summary>A directory is created, 0755 and the caller's. The one above it is there.</summary>
sealed class CreateDirectoryStep(string path)
    : PlanStep(new PlannedChange(ChangeKind.CreateDirectory, path, $"Create the directory {path}"))
{
    internal const UnixFileMode Mode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    bool isMade;

    internal override bool IsUndoneWhenFailed => true;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        Make(path, Mode, ref isMade);
        return Task.CompletedTask;
    }

    internal static void Make(string path, UnixFileMode mode, ref bool isMade)
    {
        using var place = Place.Open(path);
        Check(mkdirat(place.Directory, place.Name, (uint)mode), path);
        isMade = true;
        // The caller's umask(2) may have taken something away.
        using (var made = openat(place.Directory, place.Name, DirectoryOnly | NoFollow | CloseOnExec, 0))
        {
            Check(made.IsInvalid ? -1 : 0, path);
            Check(fchmod(made, (uint)mode), path);
        }

        place.Synchronize();
    }

    internal override Task UndoAsync()
    {
        if (isMade)
            RemoveDirectoryStep.Remove(path);
        return Task.CompletedTask;
    }
}

/// <summary>A directory is removed when nothing is left in it.</summary>
/// <param name="path">The directory.</param>
/// <param name="isRequired">Whether something left in it is a failure.</param>
sealed class RemoveDirectoryStep(string path, bool isRequired = false)
    : PlanStep(new PlannedChange(ChangeKind.RemoveDirectory, path, $"Remove the directory {path}"))
{
    UnixFileMode? mode;

    internal override bool IsUndoneWhenFailed => true;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        // systemd removes some of its own accord when the unit stops.
        if (Directory.Exists(path) && (isRequired || !Directory.EnumerateFileSystemEntries(path).Any()))
        {
            mode = File.GetUnixFileMode(path);
            Remove(path);
        }

        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        var isMade = false;
        if (mode is { } known && !Directory.Exists(path))
            CreateDirectoryStep.Make(path, known, ref isMade);
        return Task.CompletedTask;
    }

    internal static void Remove(string path)
    {
        using var place = Place.Open(path, followLast: false);
        Check(unlinkat(place.Directory, place.Name, FileCalls.RemoveDirectory), path);
        place.Synchronize();
    }
}

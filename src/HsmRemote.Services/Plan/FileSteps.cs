using System.Text;
using DiffPlex.Renderer;

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
    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        AtomicFile.Write(path, after);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        if (before is null)
            AtomicFile.Delete(path);
        else
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

/// <summary>A file is removed.</summary>
sealed class RemoveFileStep(string path) : PlanStep(new PlannedChange(ChangeKind.RemoveFile, path, $"Remove the file {path}"))
{
    FileImage? before;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        before = AtomicFile.Read(path);
        AtomicFile.Delete(path);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        if (before is not null)
            AtomicFile.Write(path, before);
        return Task.CompletedTask;
    }
}

/// <summary>A directory is created, 0755 and the caller's.</summary>
sealed class CreateDirectoryStep(string path)
    : PlanStep(new PlannedChange(ChangeKind.CreateDirectory, path, $"Create the directory {path}"))
{
    internal const UnixFileMode Mode =
        UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute
        | UnixFileMode.GroupRead | UnixFileMode.GroupExecute | UnixFileMode.OtherRead | UnixFileMode.OtherExecute;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        Directory.CreateDirectory(path, Mode);
        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        Directory.Delete(path);
        return Task.CompletedTask;
    }
}

/// <summary>A directory is removed when nothing is left in it.</summary>
sealed class RemoveDirectoryStep(string path)
    : PlanStep(new PlannedChange(ChangeKind.RemoveDirectory, path, $"Remove the directory {path}"))
{
    UnixFileMode? mode;

    internal override Task ApplyAsync(CancellationToken cancellationToken)
    {
        // systemd removes some of its own accord when the unit stops.
        if (Directory.Exists(path) && !Directory.EnumerateFileSystemEntries(path).Any())
        {
            mode = File.GetUnixFileMode(path);
            Directory.Delete(path);
        }

        return Task.CompletedTask;
    }

    internal override Task UndoAsync()
    {
        if (mode is { } known)
            Directory.CreateDirectory(path, known);
        return Task.CompletedTask;
    }
}

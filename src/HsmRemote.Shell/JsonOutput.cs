using System.Text.Encodings.Web;
using System.Text.Json;

namespace HsmRemote.Shell;

/// <summary>One JSON array on a stream, an element a line, closed whatever happens.</summary>
internal sealed class JsonOutput : IDisposable
{
    private static readonly JsonWriterOptions _options = new() { Encoder = JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    private static readonly TimeSpan _patienceAtExit = TimeSpan.FromMilliseconds(50);

    private readonly Stream _stream;
    private readonly MemoryStream _element = new();
    private readonly Utf8JsonWriter _writer;
    private readonly Lock _lock = new();
    private bool _isStarted;
    private bool _isClosed;

    public JsonOutput(Stream stream)
    {
        _stream = stream;
        _writer = new Utf8JsonWriter(_element, _options);
        // A pipeline that does not answer Ctrl-C ends the process with no way back through Dispose.
        AppDomain.CurrentDomain.ProcessExit += OnProcessExit;
    }

    public void Write(object? value)
    {
        // An element reaches the stream whole or not at all, so that the array can be closed after any error.
        _element.SetLength(0);
        _writer.Reset();
        new JsonValue(_writer).Write(value);
        _writer.Flush();
        lock (_lock)
        {
            if (_isClosed)
                return;
            _stream.Write(_isStarted ? ",\n"u8 : "[\n"u8);
            _isStarted = true;
            _element.WriteTo(_stream);
            _stream.Flush();
        }
    }

    public void Dispose()
    {
        AppDomain.CurrentDomain.ProcessExit -= OnProcessExit;
        Close();
        _writer.Dispose();
        _element.Dispose();
    }

    // The thread that is stuck may be stuck in writing, to a reader that has stopped reading; the end does not wait for it.
    private void OnProcessExit(object? sender, EventArgs e)
    {
        if (!_lock.TryEnter(_patienceAtExit))
            return;
        try
        {
            Close();
        }
        finally
        {
            _lock.Exit();
        }
    }

    private void Close()
    {
        lock (_lock)
        {
            if (_isClosed)
                return;
            _isClosed = true;
            _stream.Write(_isStarted ? "\n]\n"u8 : "[]\n"u8);
            _stream.Flush();
        }
    }
}

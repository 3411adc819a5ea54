using HsmRemote.Benchmarks;

// './build.sh Bench' runs this in tests/sandbox.sh. With 'client', 'import', 'objects' or 'uris' as its argument it needs neither that nor root;
// with 'tokens' it only lists tokens, with 'completion' it only presses TAB.
if (args is ["fill", var library, var pin, var count])
{
    SoftHsmFiller.Fill(library, pin, int.Parse(count));
    return;
}

var rounds = args is [.., "--rounds", var number] ? int.Parse(number) : 40;
var only = args is ["client" or "import" or "objects" or "socket" or "forward" or "frontier" or "task" or "tokens" or "uris" or "completion", ..] ? args[0] : null;
if (only is null or "uris")
    UriBenchmark.Run();
if (only is null or "client")
    await ClientBenchmark.RunAsync();
if (only is null or "objects")
    ObjectBenchmark.Run(args is ["objects", var times] ? int.Parse(times) : 5);
if (only is null or "import")
    ImportBenchmark.Run(rounds);
if (only is null or "tokens")
    TokenBenchmark.Run(rounds);
if (only is null or "completion")
    CompletionBenchmark.Run();
if (only is null or "task")
    TaskBenchmark.Run(rounds);
if (only is "client" or "import" or "objects" or "task" or "tokens" or "uris" or "completion")
    return;
var loop = SocketBenchmark.Prepare();
if (only is null or "socket")
    SocketBenchmark.Run(rounds, loop);
if (only is null or "forward")
    await ForwardBenchmark.RunAsync(rounds);
if (only is null or "frontier")
    FrontierBenchmark.Run(rounds, loop);

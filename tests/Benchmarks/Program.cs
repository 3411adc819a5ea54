using HsmRemote.Benchmarks;

// './build.sh Bench' runs this in tests/sandbox.sh. With 'client' as its argument it needs neither that nor root.
var rounds = args is [.., "--rounds", var number] ? int.Parse(number) : 40;
var only = args is ["client" or "socket" or "frontier", ..] ? args[0] : null;
if (only is null or "client")
    await ClientBenchmark.RunAsync();
if (only is "client")
    return;
var loop = SocketBenchmark.Prepare();
if (only is null or "socket")
    SocketBenchmark.Run(rounds, loop);
if (only is null or "frontier")
    FrontierBenchmark.Run(rounds, loop);

using HsmRemote.Benchmarks;

// './build.sh Bench' runs this in tests/sandbox.sh. With 'client' or 'uris' as its argument it needs neither that nor root.
var rounds = args is ["--rounds", var number] ? int.Parse(number) : 40;
if (args is not ["client"])
    UriBenchmark.Run();
if (args is not ["uris"])
    await ClientBenchmark.RunAsync();
if (args is not (["client"] or ["uris"]))
    SocketBenchmark.Run(rounds);

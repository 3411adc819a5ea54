using HsmRemote.Benchmarks;

// './build.sh Bench' runs this in tests/sandbox.sh. With 'client' as its argument it needs neither that nor root; with 'tokens' it only
// lists tokens.
var rounds = args is ["--rounds", var number] ? int.Parse(number) : 40;
if (args is ["tokens"])
{
    TokenBenchmark.Run(rounds);
    return;
}

await ClientBenchmark.RunAsync();
if (args is not ["client"])
{
    SocketBenchmark.Run(rounds);
    TokenBenchmark.Run(rounds);
}

using HsmRemote.Benchmarks;

// './build.sh Bench' runs this in tests/sandbox.sh. With 'client' or 'objects' as its argument it needs neither that nor root.
switch (args)
{
    case ["fill", var library, var pin, var count]:
        SoftHsmFiller.Fill(library, pin, int.Parse(count));
        return;
    case ["client"]:
        await ClientBenchmark.RunAsync();
        return;
    case ["objects", .. var rest]:
        ObjectBenchmark.Run(rest is [var times] ? int.Parse(times) : 5);
        return;
}

await ClientBenchmark.RunAsync();
ObjectBenchmark.Run(rounds: 5);
SocketBenchmark.Run(args is ["--rounds", var rounds] ? int.Parse(rounds) : 40);

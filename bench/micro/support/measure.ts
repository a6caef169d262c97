// How the micro-benchmarks measure: CPU time of this process, what its garbage collector and its compiler take included, so that
// other work on the machine matters little; in several rounds, of which the least is reported, because what disturbs only adds.
// One line of JSON for a case, which bench/comparison.ts reads: `{"name": …, "ns": …}`.

const rounds = 9;
/** For a case, all its rounds together. */
const seconds = Number(process.argv[2] ?? 0.5);

/** Reports what one call of `act` costs; where that does several operations, `each` says how many. */
export function measure(name: string, act: () => unknown, each = 1): void {
  let least = Number.POSITIVE_INFINITY;
  for (let round = 0; round < rounds; round += 1) {
    const until = process.hrtime.bigint() + BigInt(Math.round((seconds * 1e9) / rounds));
    const before = process.cpuUsage();
    let count = 0;
    do {
      for (let i = 0; i < 500; i += 1) act();
      count += 500;
    } while (process.hrtime.bigint() < until);
    const { user, system } = process.cpuUsage(before);
    least = Math.min(least, ((user + system) * 1000) / (count * each));
  }
  process.stdout.write(`${JSON.stringify({ name, ns: Math.round(least) })}\n`);
}

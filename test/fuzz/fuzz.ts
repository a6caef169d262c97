// Runs a fuzz target for some seconds when its file is the one node was started with; importing a target runs nothing.
import { fileURLToPath } from "node:url";
import { Random } from "./random.js";

export function fuzz(url: string, target: (random: Random) => void): void {
  if (process.argv[1] !== fileURLToPath(url)) return;
  const seconds = Number(process.argv[2] ?? 10);
  const first = Number(process.argv[3] ?? Date.now() % 2 ** 31);
  const until = Date.now() + seconds * 1000;
  let seed = first;
  for (; Date.now() < until; seed++) run(seed, target);
  console.log(`${seed - first} rounds, seeds ${first} to ${seed - 1}, nothing found`);
}

/** One round; the seed is named where it fails. */
export function run(seed: number, target: (random: Random) => void): void {
  try {
    target(new Random(seed));
  } catch (error) {
    throw new Error(`Seed ${seed} fails.`, { cause: error });
  }
}

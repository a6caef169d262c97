// Random histories of the service. `VIVARIUM_HISTORIES=100000` runs as many; `VIVARIUM_HISTORY=4711` that one.
import { test } from "node:test";
import { follow } from "./history.js";

const count = Number(process.env["VIVARIUM_HISTORIES"] ?? 2000);
const only = process.env["VIVARIUM_HISTORY"];
const first = only === undefined ? 1 : Number(only);

test(`${only === undefined ? count : 1} histories of 60 events: what must not be never is, what must come does`, async () => {
  for (let seed = first; seed < first + (only === undefined ? count : 1); seed += 1) await follow(seed, 60);
});

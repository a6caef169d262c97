import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { run } from "../../support/processes.js";
import { pythons, root } from "../../support/tools.js";
import { cuts, type Vector, vectors } from "./vectors.js";

function told({ name, octets, frames }: Vector): object {
  return { name, octets: octets.toString("hex"), frames, cuts: cuts(octets.length) };
}

describe("vivarium_host/wire.py reads and writes the vectors", () => {
  const requests = vectors("requests");
  const responses = vectors("responses");
  const input = JSON.stringify({ requests: requests.map(told), responses: responses.map(told) });
  for (const { version, path } of pythons()) {
    test(`on Python ${version}`, async () => {
      const script = join(root, "test/python/wire/replay.py");
      const { code, stdout, stderr } = await run(path, ["-B", script, join(root, "python")], { input });
      assert.deepEqual([code, stderr], [0, ""]);
      const names = [...requests, ...responses].map(({ name }) => name);
      const want = [...names, "times too long to be told"].map((name) => `${name}: ok`);
      assert.deepEqual(stdout.trimEnd().split("\n"), want);
    });
  }
});

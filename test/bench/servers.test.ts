import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { scaleParts } from "../../bench/scale/scale.js";
import { limitNames, scenarios } from "../../bench/scenarios.js";
import { clearPlace, configure, preparePlace, usual } from "../../bench/server.js";
import { servers } from "../../bench/servers.js";
import { root } from "../support/tools.js";

test("whoever is to be measured in a scenario or a part of scale is a server there is", () => {
  const named = [
    ...scenarios.flatMap((scenario) => scenario.servers),
    ...[...scaleParts.values()].flat(),
    ...limitNames,
  ];
  const known = servers.map(({ name }) => name);
  assert.deepEqual(
    [...new Set(named)].filter((name) => !known.includes(name)),
    [],
  );
  assert.equal(new Set(known).size, known.length);
});

test("a server's configuration says where it is, how many workers it has, and nothing of the template's own language", async () => {
  const place = await preparePlace({ ...usual, workers: 4, threads: 3 });
  try {
    const read = (template: string, values: Readonly<Record<string, string>> = {}): string =>
      readFileSync(configure(place, template, values), "utf8");
    assert.match(read("uwsgi.ini"), /^processes = 4\nthreads = 3$/m);
    assert.match(read("gunicorn.conf.py", { CLASS: "gthread", PRELOAD: "True" }), /^workers = 4\nthreads = 3$/m);
    assert.match(read("nginx.conf", { KEPT: "yes" }), /^ {4}keepalive 32;$/m);
    assert.doesNotMatch(read("nginx.conf", { KEPT: "no" }), /keepalive 32/);
    for (const template of readdirSync(join(root, "bench", "peers"))) assert.doesNotMatch(read(template), /\{\{|\}\}/);
  } finally {
    clearPlace(place);
  }
});

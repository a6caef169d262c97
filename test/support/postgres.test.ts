import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { startPostgres } from "./postgres.js";
import { alive, run } from "./processes.js";
import { postgresBin, unavailable } from "./tools.js";

test("a PostgreSQL server starts empty, answers queries, and leaves neither process nor folder", {
  skip: unavailable("postgresql"),
}, async () => {
  const postgres = await startPostgres();
  try {
    const asked = await run(join(postgresBin(), "psql"), [postgres.url, "-Atc", "select 6 * 7"]);
    assert.equal(asked.stdout.trim(), "42", asked.stderr);
  } finally {
    await postgres.stop();
  }
  assert.equal(alive(postgres.pid), false);
  assert.equal(existsSync(postgres.socketFolder), false);
});

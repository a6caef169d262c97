import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import * as v from "valibot";
import { statusSchema } from "../../src/cli/status-schema.js";
import { frontCauses, workerCauses } from "../../src/supervisor/restarts.js";
import { fieldsOf, fullStatus } from "../support/full-status.js";
import { documentedFields } from "../support/status-fields.js";
import { root } from "../support/tools.js";

test("vivarium status reads every field of a status, and loses none", () => {
  assert.deepEqual(v.parse(statusSchema, JSON.parse(JSON.stringify(fullStatus))), fullStatus);
});

describe("docs/status.md", () => {
  test("has a row for every field of the JSON, and for no other", () => {
    assert.deepEqual([...documentedFields()].sort(), [...fieldsOf(fullStatus)].sort());
  });

  test("has a row for every cause of a restart, and for no other", () => {
    const page = readFileSync(join(root, "docs/status.md"), "utf8");
    const table = page.slice(page.indexOf("## Why a worker was replaced"), page.indexOf("## The JSON"));
    const rows = table.split("\n").filter((line) => line.startsWith("| `"));
    const causes = rows.flatMap((row) =>
      [...(row.split("|")[1] ?? "").matchAll(/`(\w+)`/gu)].map(([, cause]) => cause),
    );
    assert.deepEqual(causes, [...workerCauses]);
    assert.match(
      table,
      new RegExp(
        `^Of fronts there are ${frontCauses
          .map((cause) => `\`${cause}\``)
          .join(", ")
          .replace(/, (?=[^,]*$)/u, " and ")}\\.$`,
        "mu",
      ),
    );
  });
});

// The fields that docs/status.md promises.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "./tools.js";

/** In the notation of `fieldsOf`: that an object may be null is left out. */
export function documentedFields(): readonly string[] {
  const page = readFileSync(join(root, "docs/status.md"), "utf8");
  const table = page.slice(page.indexOf("## The JSON"));
  return [...table.matchAll(/^\| `([^`]+)` \|/gmu)].map(([, field = ""]) => field.replaceAll("?", ""));
}

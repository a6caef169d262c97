// The [[limit]] tables of vivarium.toml: time limits by path. Loaded only where there are any.
import type { LimitConfig } from "./config.js";
import { placeOptions } from "./mount-options.js";
import { options } from "./options.js";
import type { ReadContext } from "./read.js";
import { readSource, refuseUnknownKeys, show, sourceIn, type Table, tableAt, wrong } from "./table.js";

/** Throws ERR_CONFIG_…. */
export function readLimits(file: Table, context: ReadContext): readonly LimitConfig[] {
  const { limit: given } = file.values;
  if (!Array.isArray(given)) throw wrong(file, `limit is a list of tables, as in [[limit]], not ${show(given)}.`);
  const seen = new Set<string>();
  return given.map((value: unknown, index) => {
    const table = tableAt(value, `${file.where}[[limit]] ${index + 1}: `, file.base);
    const limit = readLimit(table, context);
    if (seen.has(limit.path)) throw wrong(table, `there is another limit for ${limit.path || "/"}; each path has one.`);
    seen.add(limit.path);
    return limit;
  });
}

function readLimit(table: Table, context: ReadContext): LimitConfig {
  const { requestTimeout } = options;
  refuseUnknownKeys(table, [placeOptions.path.key, requestTimeout.key]);
  const path = sourceIn(table, placeOptions.path.key);
  const limit = sourceIn(table, requestTimeout.key);
  if (path === undefined || limit === undefined) {
    throw wrong(table, `path and request-timeout are needed, as in path = "/reports" and request-timeout = 300.`);
  }
  return {
    path: readSource(placeOptions.path.read, path, context),
    requestTimeout: readSource(requestTimeout.read, limit, context),
  };
}

// [upstream.NAME], or the --upstream… flags of vivarium gateway → an upstream group. Loaded only where there is one.
import type { UpstreamGroupConfig } from "./config.js";
import type { ReadContext } from "./read.js";
import { readSource, refuseUnknownKeys, sourceIn, type Table, wrong } from "./table.js";
import { type UpstreamOptionName, upstreamOptionNames, upstreamOptions } from "./upstream-options.js";

/** The flag of an option of upstream groups: `--upstream` itself names servers. */
export function upstreamFlag(name: UpstreamOptionName): string {
  return name === "servers" ? "upstream" : `upstream-${upstreamOptions[name].key}`;
}

/** Throws ERR_CONFIG_…. */
export function readUpstream(
  name: string,
  table: Table | undefined,
  flags: { readonly [Name in UpstreamOptionName]?: unknown },
  context: ReadContext,
): UpstreamGroupConfig {
  if (table !== undefined)
    refuseUnknownKeys(
      table,
      upstreamOptionNames.map((option) => upstreamOptions[option].key),
    );
  if (table !== undefined && !Object.hasOwn(table.values, "servers")) {
    throw wrong(table, 'servers is missing; it lists who answers, as in servers = ["http://10.0.0.5:8000"].');
  }
  const pick = <Name extends UpstreamOptionName>(option: Name): UpstreamGroupConfig[Name] => {
    const { key, read, initial } = upstreamOptions[option];
    const flag = flags[option];
    const source =
      flag === undefined
        ? sourceIn(table, key)
        : { value: flag, where: `--${upstreamFlag(option)}`, base: context.base };
    if (source !== undefined) return readSource(read, source, context);
    if (typeof initial === "function") return initial(context);
    return readSource(read, { value: initial, where: `the default of ${key}`, base: context.base }, context);
  };
  return {
    name,
    servers: pick("servers"),
    balance: pick("balance"),
    hashBy: pick("hashBy"),
    connectTimeout: pick("connectTimeout"),
    sendTimeout: pick("sendTimeout"),
    firstByteTimeout: pick("firstByteTimeout"),
    idleTimeout: pick("idleTimeout"),
    tunnelTimeout: pick("tunnelTimeout"),
    keepAlive: pick("keepAlive"),
    multiplex: pick("multiplex"),
    retryBudget: pick("retryBudget"),
    maxFails: pick("maxFails"),
    failTimeout: pick("failTimeout"),
    healthPath: pick("healthPath"),
    healthInterval: pick("healthInterval"),
    resolveInterval: pick("resolveInterval"),
    dnsServers: pick("dnsServers"),
    params: pick("params"),
    forwarded: pick("forwarded"),
  };
}

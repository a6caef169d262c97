// The one screen a start prints: what runs, where, and how to stop it.
import type { Config, PoolConfig } from "../config/config.js";
import { isPlain, listenerText, mountLines, upstreamLines } from "../config/describe.js";
import { version } from "../package.js";
import type { Loaded } from "../spawn/spawner.js";

/** `loaded`: of each pool, in the configuration's order. */
export function startScreen(
  config: Config,
  urls: readonly string[],
  loaded: readonly (Loaded | undefined)[],
  milliseconds: number,
): string {
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ["address", urls.map(listenerText)],
    ...(isPlain(config) ? [] : [["mounts", mountLines(config)] as const]),
    ...config.pools.flatMap((pool, index) => poolFacts(config, pool, loaded[index])),
    ...(config.fronts === 1 || config.embedded
      ? []
      : [["fronts", [plural(config.fronts, "process", "processes")]] as const]),
    ...(config.upstreams.length === 0 ? [] : [["upstreams", upstreamLines(config)] as const]),
    [
      "log",
      [
        config.accessLog === "off"
          ? "no requests"
          : `requests to ${config.accessLog === "-" ? "here" : config.accessLog}`,
      ],
    ],
  ];
  const body = lines.map(([name, values]) => `  ${name.padEnd(11)}  ${values.join(`\n${" ".repeat(15)}`)}`).join("\n");
  return `vivarium ${version} is serving after ${Math.round(milliseconds)} ms\n\n${body}\n\n  Ctrl-C stops it; so does "vivarium stop". "vivarium status" shows what it is doing.\n`;
}

/** Of the only pool three lines; of each of several one, with a second below it. */
function poolFacts(
  config: Config,
  pool: PoolConfig,
  loaded: Loaded | undefined,
): readonly (readonly [string, readonly string[]])[] {
  const application = loaded?.application ?? pool.target;
  const python = `${loaded?.python ?? ""} (${pool.python})`;
  const processes = plural(pool.workers, "process", "processes");
  const workers = config.embedded
    ? `${processes}, which serve clients and have the application inside`
    : `${processes}${atOnce(pool, loaded)}${sharing(pool, loaded)}`;
  if (config.pools.length === 1) {
    return [
      ["application", [application]],
      ["Python", [python]],
      ["workers", [workers]],
    ];
  }
  return [
    [pool === config.pools[0] ? "pools" : "", [`${pool.name}: ${application}, Python ${python}`, `  ${workers}`]],
  ];
}

/** How a worker executes requests. What each worker imports by itself may turn out to be of either kind. */
function atOnce(pool: PoolConfig, loaded: Loaded | undefined): string {
  const spoken = loaded?.interface ?? "";
  if (spoken === "") return "";
  if (spoken === "asgi") {
    const eventLoop = loaded?.eventLoop ?? "";
    const requests = `up to ${plural(pool.concurrency, "request")} at once in each`;
    return `, ASGI${eventLoop === "" ? "" : ` on ${eventLoop}`}, ${requests}`;
  }
  return pool.threads === "auto" ? ", threads as the application needs them" : `, ${plural(pool.threads, "thread")}`;
}

function sharing(pool: PoolConfig, loaded: Loaded | undefined): string {
  if (loaded?.preload === true) return "";
  return pool.preload
    ? "; each imports the application itself, because importing it starts threads"
    : "; each imports the application itself";
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

// vivarium check: everything `run` does before it serves, and nothing it does after.
import type { Command } from "commander";
import { type Config, type PoolConfig, siteUrl, threadsMost } from "../config/config.js";
import { isPlain, listenerText, mountLines, upstreamLines } from "../config/describe.js";
import { loadConfig } from "../config/load.js";
import type { ExitStatus } from "./command.js";
import { addConfigOptions, addTarget, type Flags, given } from "./config-options.js";
import { importApplication, type Loads, type Verdict } from "./import-application.js";
import { paint, print } from "./terminal.js";

const HELP = `
Takes the options of vivarium run. Each application is imported in a Python process of its own, and one of ASGI starts
there and shuts down (lifespan); then that process ends. No address is taken, so a running server is not disturbed, and no upstream
server is asked.

Exit status: 0 it would run, 1 an application does not load or start, or a certificate is no good, 2 the configuration is wrong.`;

export function define(command: Command, done: (status: ExitStatus) => void): void {
  addConfigOptions(addTarget(command))
    .description("Load the configuration and the applications, and say what would run.")
    .addHelpText("after", HELP)
    .action(async (target: string | undefined, flags: Flags) => {
      const { config, file } = await loadConfig(given(target, flags));
      if (config.tls !== undefined) {
        const { inspect } = await import("../supervisor/certificates.js");
        for (const warning of inspect(config.tls)) {
          process.stderr.write(`${paint(process.stderr, "yellow", "vivarium:")} ${warning}\n`);
        }
      }
      const verdicts = await Promise.all(config.pools.map(importApplication));
      const failed = verdicts.filter((verdict) => !verdict.ok);
      for (const { traceback, problem } of failed) {
        process.stderr.write(traceback);
        process.stderr.write(`${paint(process.stderr, "red", "vivarium:")} ${problem}\n`);
      }
      if (failed.length === 0) print(describe(config, file, verdicts.filter(loads)));
      done(failed.length === 0 ? 0 : 1);
    });
}

function loads(verdict: Verdict): verdict is Loads {
  return verdict.ok;
}

type Fact = readonly [string, readonly string[]];

/** `verdicts`: of each pool. */
function describe(config: Config, file: string | undefined, verdicts: readonly Loads[]): string {
  const [only, ...others] = config.pools;
  const single = others.length === 0;
  const addresses = config.listen.map((address) => listenerText(siteUrl(config, address, address.url)));
  const facts = config.pools.map((pool, index) => poolFacts(pool, verdicts[index]));
  const [application, ...rest] = single ? facts.flat() : [];
  const lines: readonly Fact[] = [
    ...(application === undefined ? [] : [application]),
    ["address", addresses],
    ...(config.tls === undefined ? [] : [["certificate", config.tls.certificates.map(({ cert }) => cert)] as const]),
    ...(isPlain(config) ? [] : [["mounts", mountLines(config)] as const]),
    ...rest,
    ...(single ? [] : config.pools.flatMap((pool, index) => severalFacts(pool, facts[index] ?? []))),
    ...(config.fronts === 1 ? [] : [["fronts", [String(config.fronts)]] as const]),
    ...(config.upstreams.length === 0 ? [] : [["upstreams", upstreamLines(config)] as const]),
    ...(single && only !== undefined ? [] : [["directory", [config.chdir]] as const]),
    ["settings", [file ?? "command line and defaults"]],
  ];
  const text = lines.map(([name, values]) => `${label(name)} ${values.join(`\n${" ".repeat(12)}`)}\n`).join("");
  const what = only === undefined ? "This" : `The ${single ? "application loads" : "applications load"}; this`;
  return `${text}${paint(process.stdout, "green", `${what} would run.`)}\n`;
}

function label(name: string): string {
  return paint(process.stdout, "dim", name.padEnd(11));
}

/** A heading, and the pool's facts below it. */
function severalFacts(pool: PoolConfig, facts: readonly Fact[]): readonly Fact[] {
  return [["pool", [pool.name]], ...facts.map(([name, values]): Fact => [`  ${name}`, values])];
}

function poolFacts(pool: PoolConfig, verdict: Loads | undefined): readonly Fact[] {
  if (verdict === undefined) return [];
  const preload = pool.preload && !verdict.threads_started;
  const why = preload
    ? "forked from one import of the application"
    : `each importing the application itself${pool.preload ? ", as importing it starts threads" : ""}`;
  const threads = `up to ${threadsMost(pool)} a worker${pool.threads === "auto" ? ", as measured" : ""}`;
  const asgi = verdict.interface === "asgi";
  return [
    ["application", [`${verdict.application} (${verdict.interface.toUpperCase()})`]],
    ["Python", [`${verdict.python}, ${pool.python}`]],
    ["workers", [`${pool.workers}, ${why}`]],
    ...(asgi ? ([["event loop", [`${verdict.event_loop}, in which it has started and shut down`]]] as const) : []),
    asgi ? ["requests", [`up to ${pool.concurrency} at once in each worker`]] : ["threads", [threads]],
    ["preload", [preload ? "yes" : "no"]],
    ["directory", [pool.chdir]],
  ];
}

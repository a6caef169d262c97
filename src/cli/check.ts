// vivarium check: everything `run` does before it serves, and nothing it does after.
import { spawn } from "node:child_process";
import type { Command } from "commander";
import * as v from "valibot";
import { type Config, siteUrl } from "../config/config.js";
import { loadConfig } from "../config/load.js";
import { vivariumError } from "../errors.js";
import { packageRoot } from "../package.js";
import type { ExitStatus } from "./command.js";
import { addConfigOptions, type Flags, given } from "./config-options.js";
import { paint, print } from "./terminal.js";

const HELP = `
Takes the options of vivarium run. The application is imported in a Python process of its own, which then ends; no
address is taken, so a running server is not disturbed.

Exit status: 0 it would run, 1 the application does not load, 2 the configuration is wrong.`;

/** The last line of what `python vivarium_host check` prints. */
const verdictSchema = v.variant("ok", [
  v.object({
    ok: v.literal(true),
    python: v.string(),
    application: v.string(),
    interface: v.string(),
    threads_started: v.boolean(),
  }),
  v.object({ ok: v.literal(false), problem: v.string(), traceback: v.string() }),
]);
type Verdict = v.InferOutput<typeof verdictSchema>;
type Loads = Extract<Verdict, { ok: true }>;

export function define(command: Command, done: (status: ExitStatus) => void): void {
  addConfigOptions(command)
    .description("Load the configuration and the application, and say what would run.")
    .addHelpText("after", HELP)
    .action(async (target: string | undefined, flags: Flags) => {
      const { config, file } = await loadConfig(given(target, flags));
      const verdict = await importApplication(config);
      if (verdict.ok) {
        print(describe(config, file, verdict));
        done(0);
        return;
      }
      process.stderr.write(verdict.traceback);
      process.stderr.write(`${paint(process.stderr, "red", "vivarium:")} ${verdict.problem}\n`);
      done(1);
    });
}

/** Imports the application in a Python process. Rejects with ERR_CLI_CHECK where that process gives no verdict. */
async function importApplication(config: Config): Promise<Verdict> {
  const { python, chdir, target, bootTimeout } = config;
  const host = `${packageRoot}python/vivarium_host`;
  // The verdict is in the last line of standard output; what comes before it is the application's own.
  const child = spawn(python, [host, "check", "--target", target, "--chdir", chdir], {
    stdio: ["ignore", "pipe", "inherit"],
    timeout: bootTimeout * 1000,
    killSignal: "SIGKILL",
  });
  let output = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  const ended = await new Promise<string>((done, fail) => {
    child.on("error", (cause) =>
      fail(
        vivariumError("ERR_CLI_CHECK", `The Python interpreter ${python} cannot be started: ${cause.message}.`, {
          cause,
        }),
      ),
    );
    child.on("close", (status, signal) => {
      const late = signal === "SIGKILL" && child.killed;
      done(
        late
          ? `has not loaded within ${bootTimeout} seconds (--boot-timeout)`
          : `ended Python (${signal ?? `exit status ${status}`}) while it was loaded`,
      );
    });
  });
  const lines = output.trimEnd().split("\n");
  const verdict = v.safeParse(verdictSchema, parse(lines.at(-1) ?? ""));
  const own = (verdict.success ? lines.slice(0, -1) : lines).join("\n").trimEnd();
  if (own !== "") process.stderr.write(`${own}\n`);
  if (verdict.success) return verdict.output;
  throw vivariumError("ERR_CLI_CHECK", `The application ${target} ${ended}.`);
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

function describe(config: Config, file: string | undefined, loads: Loads): string {
  const preload = config.preload && !loads.threads_started;
  const why = preload
    ? "forked from one import of the application"
    : `each importing the application itself${config.preload ? ", as importing it starts threads" : ""}`;
  const facts = [
    ["application", `${loads.application} (${loads.interface.toUpperCase()})`],
    ["address", config.listen.map((address) => siteUrl(config, address, address.url)).join("  ")],
    ["Python", `${loads.python}, ${config.python}`],
    ["workers", `${config.workers}, ${why}`],
    ["threads", config.threads === "auto" ? "up to 8 a worker, as measured" : `up to ${config.threads} a worker`],
    ["preload", preload ? "yes" : "no"],
    ["directory", config.chdir],
    ["settings", file ?? "command line and defaults"],
  ];
  const lines = facts.map(([name = "", fact = ""]) => `${paint(process.stdout, "dim", name.padEnd(11))} ${fact}\n`);
  return `${lines.join("")}${paint(process.stdout, "green", "The application loads; this would run.")}\n`;
}

// What `vivarium check` does to an application: imports it in a Python process of its own, and lets one of ASGI start and shut down there.
import { spawn } from "node:child_process";
import * as v from "valibot";
import type { PoolConfig } from "../config/config.js";
import { vivariumError } from "../errors.js";
import { packageRoot } from "../package.js";

/** The last line of what `python vivarium_host check` prints. */
const verdictSchema = v.variant("ok", [
  v.object({
    ok: v.literal(true),
    python: v.string(),
    application: v.string(),
    interface: v.string(),
    event_loop: v.string(),
    threads_started: v.boolean(),
  }),
  v.object({ ok: v.literal(false), problem: v.string(), traceback: v.string() }),
]) satisfies v.GenericSchema<unknown, Verdict>;

/** The application loads. */
export interface Loads {
  readonly ok: true;
  /** Version of the interpreter. */
  readonly python: string;
  /** `module:callable`. */
  readonly application: string;
  /** "wsgi" or "asgi". */
  readonly interface: string;
  /** Of ASGI what it was started in, "asyncio" or "uvloop 0.22.1"; else "". */
  readonly event_loop: string;
  /** Importing it starts threads, which a fork would lose. */
  readonly threads_started: boolean;
}

export type Verdict = Loads | { readonly ok: false; readonly problem: string; readonly traceback: string };

/** Rejects with ERR_CLI_CHECK where the process gives no verdict. What the application prints goes to standard error. */
export async function importApplication(pool: PoolConfig): Promise<Verdict> {
  const { python, chdir, target, bootTimeout, eventLoop } = pool;
  const named = ["--target", target, "--chdir", chdir, "--interface", pool.interface, "--event-loop", eventLoop];
  const host = `${packageRoot}python/vivarium_host`;
  // The verdict is in the last line of standard output; what comes before it is the application's own.
  const child = spawn(python, [host, "check", ...named], {
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
          ? `was not ready within ${bootTimeout} seconds (--boot-timeout)`
          : `ended Python (${signal ?? `exit status ${status}`}) before it was ready`,
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

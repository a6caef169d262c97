// vivarium stop: asks a server to stop and waits until it has gone.
import type { Command } from "commander";
import * as v from "valibot";
import { Expected, seconds } from "../config/read.js";
import { vivariumError } from "../errors.js";
import { processEnded, processIdentity } from "../net/process.js";
import type { ExitStatus } from "./command.js";
import { ask, findServer, sameDirectory } from "./control-client.js";
import { print } from "./terminal.js";

const HELP = `
Which server: the one --control names, else the one running in the current directory. One that runs elsewhere is not
stopped by mistake: name its control socket.

Exit status: 0 it has stopped, 1 no server is running or it has not stopped in time, 2 wrong usage.`;

const refusal = v.object({ error: v.string() });

export function define(command: Command, done: (status: ExitStatus) => void): void {
  command
    .description("Stop a running server: requests that run are finished, then it ends. Waits until it has gone.")
    .option("--control <PATH>", "control socket of the server (default: found by itself)")
    .option("--timeout <SECONDS>", "how long to wait for it to have gone", "60")
    .addHelpText("after", HELP)
    .action(async (flags: { readonly control?: string; readonly timeout: string }) => {
      const patience = readTimeout(flags.timeout);
      const { path, status } = await findServer({ ...flags, cwd: process.cwd(), environment: process.env });
      if (flags.control === undefined && !sameDirectory(status.chdir, process.cwd())) {
        throw vivariumError(
          "ERR_CONTROL_NONE",
          `No server is running in this directory. One of ${status.name} runs in ${status.chdir}; to stop that one: vivarium stop --control ${path}`,
        );
      }
      // Before the request: afterwards it may be gone, and its number another's.
      const identity = processIdentity(status.pid);
      const answer = v.safeParse(refusal, await ask(path, { command: "stop" }));
      if (answer.success) throw vivariumError("ERR_CONTROL_ANSWER", answer.output.error);
      if (!(await processEnded(status.pid, identity, patience))) {
        throw vivariumError(
          "ERR_CONTROL_TIMEOUT",
          `${status.name} (process ${status.pid}) still finishes requests after ${patience} seconds; wait on, or end it at once with "kill ${status.pid}".`,
        );
      }
      print(`${status.name} (process ${status.pid}) has stopped.\n`);
      done(0);
    });
}

function readTimeout(text: string): number {
  const read = seconds(0)(text, { base: "", chdir: "", target: "", environment: {} });
  if (read instanceof Expected) throw vivariumError("ERR_CLI_USAGE", `--timeout must be ${read.what}, not "${text}".`);
  return read;
}

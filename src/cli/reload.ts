// vivarium reload: newly deployed code takes over, or the old goes on serving and this says why.
import type { Command } from "commander";
import * as v from "valibot";
import { vivariumError } from "../errors.js";
import type { ExitStatus } from "./command.js";
import { ask, findServer } from "./control-client.js";
import { print } from "./terminal.js";

const HELP = `
The application is loaded anew beside the old one, which goes on serving. When the new workers are ready (and have answered
--health-path, if there is one), they take over, and the old ones finish what they have. No request is lost. If the new code
does not load, nothing changes, and this command says why. Certificates are read anew, too, as they are when their files change.

The server reads its configuration when it starts: to change that, stop and start it.

Examples:
  vivarium reload                 the server of this directory, or the only one
  kill -HUP PID                   does the same, and tells it to the log

Exit status: 0 the new code serves, 1 it does not or no server is running, 2 wrong usage.`;

const answerSchema = v.object({
  pools: v.array(v.object({ pool: v.string(), generation: v.number(), problem: v.string(), traceback: v.string() })),
  certificates: v.array(v.object({ file: v.string(), problem: v.string() })),
});

interface ReloadFlags {
  readonly control?: string;
}

export function define(command: Command, done: (status: ExitStatus) => void): void {
  command
    .description("Load the application anew, losing no request.")
    .option("--control <PATH>", "control socket of the server (default: found by itself)")
    .addHelpText("after", HELP)
    .action(async ({ control }: ReloadFlags) => {
      const { path } = await findServer({ control, cwd: process.cwd(), environment: process.env });
      const started = performance.now();
      // It takes as long as the application does to load; the server knows its limit (--boot-timeout).
      const answer = v.safeParse(answerSchema, await ask(path, { command: "reload" }, 0));
      if (!answer.success) {
        throw vivariumError("ERR_CONTROL_ANSWER", `The server at ${path} does not know how to reload.`);
      }
      const { pools, certificates } = answer.output;
      if (pools.length === 0 && certificates.length === 0) {
        throw vivariumError("ERR_CONTROL_RELOAD", "This server runs no application, so there is nothing to reload.");
      }
      const whose = (pool: string): string => (pools.length === 1 ? "" : `${pool}: `);
      const took = ((performance.now() - started) / 1000).toFixed(1);
      for (const { pool, generation, problem } of pools) {
        if (problem === "") print(`${whose(pool)}generation ${generation} serves, after ${took} s.\n`);
      }
      for (const { file, problem } of certificates) {
        if (problem === "") print(`The certificate in ${file} is in use.\n`);
      }
      const failed = pools.filter(({ problem }) => problem !== "");
      for (const { traceback } of failed) process.stderr.write(traceback);
      const problems = [
        ...failed.map(({ pool, problem }) => `${whose(pool)}${problem}`),
        ...certificates.flatMap(({ problem }) => (problem === "" ? [] : [`${problem} The one before stays in use.`])),
      ];
      if (problems.length > 0) throw vivariumError("ERR_CONTROL_RELOAD", problems.join("\n"));
      done(0);
    });
}

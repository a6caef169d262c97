// vivarium drain: an upstream server gets no more requests, so that it can be stopped; and the way back.
import type { Command } from "commander";
import * as v from "valibot";
import { Expected } from "../config/read.js";
import { upstreamServers } from "../config/upstream-url.js";
import { vivariumError } from "../errors.js";
import type { ExitStatus } from "./command.js";
import { ask, findServer } from "./control-client.js";
import { print } from "./terminal.js";

const HELP = `
SERVER is the URL by which the configuration names it, or the address that vivarium status shows: where a name stands for
several servers, the URL drains all of them, an address one. Requests it has are finished; vivarium status shows how many
those are (busy). It is drained until --undo, or until Vivarium is started anew.

Examples:
  vivarium drain uwsgi://10.0.0.5:3031
  vivarium drain uwsgi://10.0.0.5:3031 --undo

Exit status: 0 done, 1 no server is running or it has no such upstream, 2 wrong usage.`;

const answerSchema = v.union([
  v.object({ ok: v.literal(true), groups: v.array(v.string()) }),
  v.object({ error: v.string() }),
]);

interface DrainFlags {
  readonly control?: string;
  readonly undo?: boolean;
}

export function define(command: Command, done: (status: ExitStatus) => void): void {
  command
    .description("Give an upstream server no more requests, and let it finish those it has.")
    .argument("<SERVER>", "URL or address of the server")
    .option("--undo", "give it requests again")
    .option("--control <PATH>", "control socket of the Vivarium in front of it (default: found by itself)")
    .addHelpText("after", HELP)
    .action(async (text: string, { control, undo = false }: DrainFlags) => {
      const server = asConfigured(text);
      const { path } = await findServer({ control, cwd: process.cwd(), environment: process.env });
      const answer = v.safeParse(answerSchema, await ask(path, { command: "drain", server, undo }));
      if (!answer.success) {
        throw vivariumError("ERR_CONTROL_ANSWER", `The server at ${path} does not know how to drain.`);
      }
      if ("error" in answer.output) {
        throw vivariumError("ERR_CONTROL_UPSTREAM", answer.output.error);
      }
      const groups = answer.output.groups.join(", ");
      print(undo ? `${server} gets requests of ${groups} again.\n` : `${server} gets no more requests of ${groups}.\n`);
      done(0);
    });
}

/** A URL in the form it has in the status: `fcgi://` is `fastcgi://`, relative paths of sockets start here. */
function asConfigured(text: string): string {
  const servers = upstreamServers(text, { base: process.cwd(), chdir: process.cwd(), target: "", environment: {} });
  return servers instanceof Expected ? text : (servers[0]?.url ?? text);
}

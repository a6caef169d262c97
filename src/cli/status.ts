// vivarium status: what a running server is doing, for people or as JSON, once or again and again.
import { setTimeout as delay } from "node:timers/promises";
import type { Command } from "commander";
import { Expected, seconds } from "../config/read.js";
import { vivariumError } from "../errors.js";
import type { ExitStatus } from "./command.js";
import { findServer, type Server } from "./control-client.js";
import { describe } from "./status-screen.js";
import { print } from "./terminal.js";

const HELP = `
Which server: the one --control names, else the one running in the current directory, else the only one of this user.

Columns: busy is the number of requests a worker, or an upstream server, executes at this moment; CPU % is a process's time in
percent of one core, since it started; memory is its proportional share (PSS). Where there are several fronts, an upstream
server's numbers are the sums over all of them, and its state the worst that one of them sees it in.

docs/status.md explains the rest, and each field of the JSON.

Exit status: 0 a server answered, 1 none is running, 2 wrong usage.`;

/** Seconds between two looks, where none are given. */
const usualPeriod = 2;

interface StatusFlags {
  readonly control?: string;
  readonly json?: boolean;
  /** True without a value. */
  readonly watch?: string | true;
}

export function define(command: Command, done: (status: ExitStatus) => void): void {
  command
    .description("Show what a running server is doing: its workers, their requests, processor time and memory.")
    .option("--control <PATH>", "control socket of the server (default: found by itself)")
    .option("--json", "as one JSON object")
    .option("--watch [SECONDS]", `again every so many seconds (default: ${usualPeriod}), until Ctrl-C`)
    .addHelpText("after", HELP)
    .action(async ({ control, json = false, watch }: StatusFlags) => {
      const period = watch === undefined ? undefined : readPeriod(watch);
      const server = await findServer({ control, cwd: process.cwd(), environment: process.env });
      if (period !== undefined) await watched(server, json, period);
      else print(json ? `${JSON.stringify(server.raw, undefined, 2)}\n` : describe(server.status, Date.now()));
      done(0);
    });
}

function readPeriod(text: string | true): number {
  if (text === true) return usualPeriod;
  const read = seconds("above 0")(text, { base: "", chdir: "", target: "", environment: {} });
  if (read instanceof Expected) throw vivariumError("ERR_CLI_USAGE", `--watch must be ${read.what}, not "${text}".`);
  return read;
}

/** Until nobody reads any more. Rejects with ERR_CONTROL_NONE when the server has gone. */
async function watched(first: Server, json: boolean, period: number): Promise<void> {
  const { stdout } = process;
  let read = true;
  stdout.on("error", () => {
    read = false;
  });
  let server = first;
  for (let turn = 0; ; turn += 1) {
    if (json) stdout.write(`${JSON.stringify(server.raw)}\n`);
    else if (stdout.isTTY) stdout.write(redrawn(describe(server.status, Date.now()), stdout.rows, turn === 0));
    else stdout.write(`${turn === 0 ? "" : "\n"}${describe(server.status, Date.now())}`);
    await delay(period * 1000);
    if (!read) return;
    server = await findServer({ control: first.path, cwd: "/", environment: process.env });
  }
}

/** Over what was there, without a moment at which nothing is; what the terminal has no room for is left out. */
function redrawn(screen: string, rows: number, first: boolean): string {
  const lines = screen.trimEnd().split("\n");
  const room = Math.max(1, rows - 1);
  const left = lines.length - room;
  const shown = left > 0 ? [...lines.slice(0, room - 1), `… ${left + 1} more lines: make this terminal larger`] : lines;
  // ECMA-48: cursor to the first place; erase to the end of the line, of the screen.
  return `${first ? "\u001b[2J" : ""}\u001b[H${shown.map((line) => `${line}\u001b[K\n`).join("")}\u001b[J`;
}

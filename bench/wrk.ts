// One run of wrk, and what it counted.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../test/support/processes.js";
import { root, wrk } from "../test/support/tools.js";
import type { Place } from "./server.js";

export interface Load {
  readonly requests: number;
  readonly seconds: number;
  readonly requestsPerSecond: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Answers with a status of 400 and more. */
  readonly badStatus: number;
  /** Connections refused or cut, and answers that took more than 10 s. */
  readonly socketErrors: number;
}

export const connections = 32;

/** wrk's own timeout, after which it counts an error. Its default of 2 s would cut a slow peer's tail off. */
const timeout = "10s";

/** The scenario's Lua script with the reporting one before it, in the server's folder. */
export function writeScript(place: Place, script: string | undefined): string {
  const folder = join(root, "bench", "wrk");
  const parts = ["report", ...(script === undefined ? [] : [script])];
  const path = join(place.folder, "wrk.lua");
  writeFileSync(path, parts.map((part) => readFileSync(join(folder, `${part}.lua`), "utf8")).join("\n"));
  return path;
}

function isCounts(value: unknown): value is Record<string, number> {
  return typeof value === "object" && value !== null && Object.values(value).every((n) => typeof n === "number");
}

/** Puts load on a URL for so many seconds, from one thread. */
export async function load(url: string, script: string, seconds: number, over: number = connections): Promise<Load> {
  const args = ["-t1", `-c${over}`, `-d${seconds}s`, "--timeout", timeout, "-s", script, url];
  const { stdout, stderr, code } = await run(wrk(), args);
  const line = /^BENCH (\{.*\})$/m.exec(stdout)?.[1];
  if (code !== 0 || line === undefined) throw new Error(`wrk failed on ${url}:\n${stdout}${stderr}`);
  const counts: unknown = JSON.parse(line);
  if (!isCounts(counts)) throw new Error(`wrk reported ${line}`);
  const count = (name: string): number => counts[name] ?? 0;
  const measured = count("microseconds") / 1e6;
  return {
    requests: count("requests"),
    seconds: measured,
    requestsPerSecond: count("requests") / measured,
    p50: count("p50") / 1000,
    p99: count("p99") / 1000,
    badStatus: count("status"),
    socketErrors: count("connect") + count("read") + count("write") + count("timeout"),
  };
}

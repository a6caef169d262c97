// One run of h2load (nghttp2): HTTP/2 over TLS, several requests at once on each connection.
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { run } from "../test/support/processes.js";
import { program } from "../test/support/tools.js";
import type { Place } from "./server.js";
import { median, percentile } from "./statistics.js";
import type { Load } from "./wrk.js";

/** Requests at once on a connection. */
const streams = 10;

/** What h2load logs of each request: when it began, its status or -1, and microseconds. */
interface Logged {
  readonly status: number;
  readonly milliseconds: number;
}

export function readLog(text: string): readonly Logged[] {
  return text
    .split("\n")
    .filter((line) => line !== "")
    .map((line) => {
      const [, status, microseconds] = line.split("\t");
      return { status: Number(status), milliseconds: Number(microseconds) / 1000 };
    });
}

export async function http2Load(url: string, place: Place, seconds: number, connections: number): Promise<Load> {
  const log = join(place.folder, "h2load.log");
  const how = ["--clients", String(connections), "--max-concurrent-streams", String(streams), "--threads", "1"];
  const args = [...how, "--duration", String(seconds), "--log-file", log, url];
  // It appends to a log that is there, as warming up leaves one.
  rmSync(log, { force: true });
  const { stdout, stderr, code } = await run(program("h2load"), args);
  const counted = /^finished in ([\d.]+)(m?s), .*\nrequests: \d+ total, \d+ started, (\d+) done/m.exec(stdout);
  if (code !== 0 || counted === null || !/^Application protocol: h2$/m.test(stdout))
    throw new Error(`h2load failed on ${url}:\n${stdout}${stderr}`);
  const [, time, unit, done] = counted;
  const all = readLog(readFileSync(log, "latin1"));
  if (all.length !== Number(done)) throw new Error(`h2load counted ${done} requests and logged ${all.length}`);
  const answered = all.filter(({ status }) => status > 0);
  if (answered.length === 0) throw new Error(`h2load had no answer from ${url}:\n${stdout}${stderr}`);
  const measured = unit === "ms" ? Number(time) / 1000 : Number(time);
  const latencies = answered.map(({ milliseconds }) => milliseconds);
  return {
    requests: answered.length,
    seconds: measured,
    requestsPerSecond: answered.length / measured,
    p50: median(latencies),
    p99: percentile(latencies, 0.99),
    badStatus: answered.filter(({ status }) => status >= 400).length,
    socketErrors: all.length - answered.length,
  };
}

// Vivarium as it is measured directly, as a browser would ask it, in its two modes.
import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { type Finished, type RunningProcess, run, start } from "../test/support/processes.js";
import { benchPython, root } from "../test/support/tools.js";
import { applicationFolder, needs, type Place, plainEnvironment, printed, type Server } from "./server.js";

const command = join(root, "bin", "vivarium.js");

/** `vivarium COMMAND ARGS…`, in the server's folder. */
export function startCommand(place: Place, args: readonly string[]): RunningProcess {
  return start(process.execPath, [command, ...args], { cwd: place.folder, env: plainEnvironment });
}

function controlSocket(place: Place): string {
  return join(place.folder, "control.sock");
}

export function startVivarium(place: Place, listen: string, more: readonly string[] = []): RunningProcess {
  const where = ["--listen", listen, "--chdir", applicationFolder(place), "--control", controlSocket(place)];
  const python = more.includes("--python") ? [] : ["--python", benchPython()];
  const how = ["--workers", String(place.workers), "--access-log", "off", ...python];
  return startCommand(place, ["run", `${place.module}:app`, ...where, ...how, ...more]);
}

export function vivariumUnavailable(): string | undefined {
  return existsSync(join(root, "build", "src", "cli", "main.js")) ? needs(benchPython) : "it is not built";
}

export const vivariumVersion = (): Promise<string> => printed(process.execPath, [command, "--version"], /(\d[\w.-]*)/);

/** Whether there is such a command: `vivarium --help` has a line for it. */
function hasCommand(name: string): boolean {
  const { stdout } = spawnSync(process.execPath, [command, "--help"], { encoding: "utf8" });
  return new RegExp(`^ {2}${name} `, "m").test(stdout);
}

/** `vivarium reload`, to its end: with status 0 newer code serves. */
export async function reloadOrder(place: Place): Promise<Finished> {
  const args = [command, "reload", "--control", controlSocket(place)];
  return run(process.execPath, args, { cwd: place.folder, env: plainEnvironment });
}

async function reload(place: Place): Promise<void> {
  const { code, stderr } = await reloadOrder(place);
  if (code !== 0) throw new Error(`vivarium reload failed: ${stderr}`);
}

export function listenUrl({ port, tls }: Place): string {
  return `${tls ? "https" : "http"}://127.0.0.1:${port}`;
}

/** Once for all: to ask the command takes as long as it takes to start. */
const canReload = vivariumUnavailable() === undefined && hasCommand("reload");
const common = { version: vivariumVersion, ...(canReload ? { reload } : {}) };

export const vivariumServers: readonly Server[] = [
  {
    ...common,
    name: "vivarium",
    settings: "`--workers 2 --access-log off`, and `--threads N` in the scenarios with more than one thread",
    lacks: "buffers requests and responses, has limits and deadlines on",
    unavailable: vivariumUnavailable,
    start: (place) => {
      const threads = place.threads > 1 ? ["--threads", String(place.threads)] : [];
      return [startVivarium(place, listenUrl(place), threads)];
    },
  },
  {
    ...common,
    name: "vivarium-embedded",
    settings: "`--embedded --workers 2 --access-log off`; always one request at a time in a process",
    lacks: "as vivarium, and no process of its own for the application, no threads, no deadline for a single request",
    unavailable: vivariumUnavailable,
    start: (place) => [startVivarium(place, listenUrl(place), ["--embedded"])],
  },
  {
    ...common,
    name: "vivarium-auto",
    settings: "vivarium with no `--threads`: it is to find out by itself",
    lacks: "as vivarium",
    unavailable: vivariumUnavailable,
    start: (place) => [startVivarium(place, listenUrl(place))],
  },
];

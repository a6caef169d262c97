// Vivarium itself, started as a user starts it.
import { join } from "node:path";
import {
  descendants,
  type Exit,
  type Finished,
  type RunningProcess,
  run,
  type StartOptions,
  start,
  waitUntilGone,
} from "./processes.js";
import { python, removeFolder, root, temporaryFolder } from "./tools.js";

export interface VivariumOptions extends StartOptions {
  /** Further arguments of the command. --listen, --python and --control are added where they are not among them. */
  readonly args?: readonly string[];
  /** A command that ends by becoming the one that follows it (exec(3)): it sets what the server is to find. */
  readonly through?: readonly string[];
  /** What it prints when it serves; by default an address of HTTP, whose port becomes `port`. */
  readonly ready?: RegExp;
}

export interface Vivarium {
  /** `http://127.0.0.1:PORT`, without a closing slash. */
  readonly url: string;
  readonly port: number;
  /** The supervisor's. */
  readonly pid: number;
  /** Path of the control socket, for `vivarium status --control`. */
  readonly control: string;
  readonly process: RunningProcess;
  /** What it printed so far, both streams. */
  readonly output: string;
  /** Sends TERM (or another signal), waits for the end, and throws if one of its processes outlives it. */
  stop(signal?: NodeJS.Signals): Promise<Exit>;
}

const command = join(root, "bin", "vivarium.js");

/** Runs `vivarium ARGS…` to its end: for check, status, stop, and for runs that cannot start. */
export function vivarium(args: readonly string[], options: StartOptions = {}): Promise<Finished> {
  return run(process.execPath, [command, ...args], options);
}

function given(args: readonly string[], option: string): string | undefined {
  const index = args.findIndex((arg) => arg === option || arg.startsWith(`${option}=`));
  if (index < 0) return undefined;
  const arg = args[index] ?? "";
  return arg.includes("=") ? arg.slice(arg.indexOf("=") + 1) : args[index + 1];
}

/** Starts `vivarium run TARGET` on a free port and waits until it says where it listens. Without a target, as vivarium.toml says. */
export function startVivarium(target: string | undefined, options: VivariumOptions = {}): Promise<Vivarium> {
  const args = options.args ?? [];
  const interpreter = given(args, "--python") === undefined ? ["--python", python()] : [];
  const words = ["run", ...(target === undefined ? [] : [target]), ...interpreter];
  return startServer(words, options);
}

/** Starts `vivarium gateway` in the same way. */
export function startGateway(options: VivariumOptions): Promise<Vivarium> {
  return startServer(["gateway"], options);
}

const httpAddress = /https?:\/\/(?:127\.0\.0\.1|\[::1\]|localhost):(\d+)/;

async function startServer(words: readonly string[], options: VivariumOptions): Promise<Vivarium> {
  const args = options.args ?? [];
  const folder = temporaryFolder("run");
  const control = given(args, "--control") ?? join(folder, "control.sock");
  const defaults = [
    ...(given(args, "--listen") === undefined ? ["--listen", "http://127.0.0.1:0"] : []),
    ...(given(args, "--control") === undefined ? ["--control", control] : []),
  ];
  const [first = process.execPath, ...rest] = [...(options.through ?? []), process.execPath];
  const server = start(first, [...rest, command, ...words, ...defaults, ...args], options);
  const stop = async (signal: NodeJS.Signals = "SIGTERM"): Promise<Exit> => {
    const family = descendants(server.pid);
    const exit = await server.stop(signal);
    const left = await waitUntilGone(family);
    for (const pid of left) process.kill(pid, "SIGKILL");
    removeFolder(folder);
    if (left.length > 0)
      throw new Error(`processes ${left.join(", ")} outlived vivarium; it printed:\n${server.output}`);
    return exit;
  };
  try {
    const [, port = ""] = await server.line(options.ready ?? httpAddress, 60_000);
    return {
      url: `http://127.0.0.1:${port}`,
      port: Number(port),
      pid: server.pid,
      control,
      process: server,
      get output(): string {
        return server.output;
      },
      stop,
    };
  } catch (error) {
    await stop("SIGKILL");
    throw error;
  }
}

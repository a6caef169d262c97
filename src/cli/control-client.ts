// The client's side of a control socket: one line of JSON asks, one line answers. And finding the socket of the server
// that is meant, when nobody says which.
import { existsSync, lstatSync, readdirSync, realpathSync, unlinkSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join, resolve } from "node:path";
import * as v from "valibot";
import { checkRuntimeDirectory, controlSocketPid, runtimeDirectory } from "../config/control-path.js";
import { readConfigFile } from "../config/file.js";
import { CONFIG_FILE } from "../config/load.js";
import { type VivariumError, vivariumError } from "../errors.js";
import type { Status } from "../supervisor/status.js";
import { statusSchema } from "./status-schema.js";

/** A supervisor answers from memory; one that takes this long is stuck. */
const PATIENCE = 5000;
/** Far above what the largest pool fills. */
const LONGEST_ANSWER = 2 ** 24;

export interface Server {
  /** Of its control socket. */
  readonly path: string;
  readonly status: Status;
  /** The status as it came, with what a newer server tells beyond it. */
  readonly raw: unknown;
}

export interface Search {
  /** As `--control` gives it. */
  readonly control?: string | undefined;
  readonly cwd: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

/** Sends one command. Rejects with the system's error where nobody listens, ERR_CONTROL_ANSWER where none answers. */
export function ask(
  path: string,
  request: { readonly command: string; readonly [name: string]: unknown },
  /** Milliseconds within which it answers; 0: whatever it takes. */
  patience: number = PATIENCE,
): Promise<unknown> {
  return new Promise((done, fail) => {
    let text = "";
    const socket = connect(path);
    const refuse = (what: string): void => {
      socket.destroy();
      fail(vivariumError("ERR_CONTROL_ANSWER", `The server at ${path} ${what}.`));
    };
    socket.setEncoding("utf8").setTimeout(patience);
    socket.on("connect", () => socket.write(`${JSON.stringify(request)}\n`));
    socket.on("timeout", () => refuse(`does not answer within ${patience / 1000} seconds`));
    socket.on("error", fail);
    socket.on("close", () => refuse("closed the connection without an answer"));
    socket.on("data", (piece: string) => {
      text += piece;
      const end = text.indexOf("\n");
      if (end < 0) {
        if (text.length > LONGEST_ANSWER) refuse("gives an endless answer");
        return;
      }
      try {
        done(JSON.parse(text.slice(0, end)));
      } catch {
        refuse("answers something other than JSON");
      }
      socket.destroy();
    });
  });
}

/** Asks the server at `path` for its status. Undefined where nobody listens there. */
async function visit(path: string): Promise<Server | undefined> {
  try {
    const raw = await ask(path, { command: "status" });
    const read = v.safeParse(statusSchema, raw);
    if (read.success) return { path, status: read.output, raw };
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    if (code === "ECONNREFUSED" || code === "ENOENT" || code === "ENOTSOCK") return undefined;
    if (code === "EACCES") {
      throw vivariumError("ERR_CONTROL_ANSWER", `The socket ${path} belongs to another user; ask as that user.`);
    }
    throw error;
  }
  throw vivariumError(
    "ERR_CONTROL_ANSWER",
    `The server at ${path} answers something other than a status; it may be of another version of Vivarium.`,
  );
}

/** The server that is meant. Rejects with ERR_CONTROL_NONE or ERR_CONTROL_SEVERAL, saying what to do. */
export async function findServer(search: Search): Promise<Server> {
  const named = await namedSocket(search);
  if (named !== undefined) {
    const server = await visit(named);
    if (server !== undefined) return server;
    throw vivariumError("ERR_CONTROL_NONE", `No server is running: nobody answers at ${named}.`);
  }
  const { servers, silent } = await liveServers(runtimeDirectory(search.environment));
  const here = servers.filter(({ status }) => sameDirectory(status.chdir, search.cwd));
  const [meant, ...others] = here.length > 0 ? here : servers;
  if (meant !== undefined && others.length === 0) return meant;
  if (meant !== undefined) throw several(here.length > 0 ? here : servers);
  if (silent[0] !== undefined) throw silent[0];
  throw vivariumError(
    "ERR_CONTROL_NONE",
    "No server of this user is running; one started with --control is found by giving the same --control here.",
  );
}

/** The socket that --control names, or the vivarium.toml here. */
async function namedSocket({ control, cwd }: Search): Promise<string | undefined> {
  if (control !== undefined) return resolve(cwd, control);
  const file = join(cwd, CONFIG_FILE);
  if (!existsSync(file)) return undefined;
  const { control: inFile } = await readConfigFile(file);
  return typeof inFile === "string" ? resolve(dirname(file), inFile) : undefined;
}

/** All servers that answer in the runtime directory. Sockets that nobody listens on any more are removed. */
async function liveServers(
  directory: string,
): Promise<{ servers: readonly Server[]; silent: readonly VivariumError[] }> {
  if (lstatSync(directory, { throwIfNoEntry: false }) === undefined) return { servers: [], silent: [] };
  checkRuntimeDirectory(directory);
  const paths = readdirSync(directory)
    .filter((name) => controlSocketPid(name) !== undefined)
    .map((name) => join(directory, name));
  const servers: Server[] = [];
  const silent: VivariumError[] = [];
  const visits = await Promise.allSettled(paths.map(visit));
  for (const [index, result] of visits.entries()) {
    if (result.status === "rejected") silent.push(result.reason);
    else if (result.value !== undefined) servers.push(result.value);
    else removeStale(paths[index]);
  }
  return { servers: servers.sort((a, b) => a.status.pid - b.status.pid), silent };
}

function removeStale(path: string | undefined): void {
  try {
    if (path !== undefined) unlinkSync(path);
  } catch {
    // Another `vivarium status` was quicker.
  }
}

function several(servers: readonly Server[]): VivariumError {
  const lines = servers.map(({ path, status }) => `  --control ${path}   ${status.name}, ${status.listen.join(" ")}`);
  return vivariumError(
    "ERR_CONTROL_SEVERAL",
    `${servers.length} servers are running; say which by one of these:\n${lines.join("\n")}`,
  );
}

export function sameDirectory(one: string, other: string): boolean {
  try {
    return realpathSync(one) === realpathSync(other);
  } catch {
    return one === other;
  }
}

// The control socket: one JSON line asks, one JSON line answers. Whoever may open it may stop the server, so it is the
// user's alone (mode 0600).
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { prepareControlDirectory } from "../config/control-path.js";
import { vivariumError } from "../errors.js";
import { clearStaleSocket } from "../net/stale-socket.js";
import type { ReloadOutcome } from "./reloads.js";
import type { CertificateStatus, Status } from "./status.js";

export interface ControlCommands {
  status(): Promise<Status>;
  stop(): void;
  /** Loads every application anew, and reads the certificates; what came of each, when that is known. */
  reload(): Promise<{ readonly pools: readonly ReloadOutcome[]; readonly certificates: readonly CertificateStatus[] }>;
  /** Drains an upstream server, or takes that back. The names of the groups that have it, or why nothing came of it. */
  drain(server: string, undo: boolean): Promise<readonly string[] | string>;
}

/** The longest command line, octets; commands are a few words. */
const commandMost = 4096;

export class ControlSocket {
  readonly #server: Server;
  readonly #path: string;

  /** Resolves when it listens; rejects with a `VivariumError`. */
  static async open(path: string, commands: ControlCommands): Promise<ControlSocket> {
    prepareControlDirectory(path, process.env);
    if ((await clearStaleSocket(path)) !== "nothing") {
      throw vivariumError(
        "ERR_CONTROL_SOCKET",
        `The control socket ${path} cannot be made: another server or file is there. Name another with --control.`,
      );
    }
    // By umask, not chmod after the fact: there is no moment at which others could connect.
    const umask = process.umask(0o177);
    const opened = ControlSocket.#listen(path, commands);
    process.umask(umask);
    return await opened;
  }

  static #listen(path: string, commands: ControlCommands): Promise<ControlSocket> {
    return new Promise((resolve, reject) => {
      const server = createServer((socket) => serve(socket, commands));
      server.once("error", (error) => {
        const message = `The control socket ${path} cannot be made: ${error.message}. Name another with --control.`;
        reject(vivariumError("ERR_CONTROL_SOCKET", message, { cause: error }));
      });
      server.listen(path, () => resolve(new ControlSocket(server, path)));
    });
  }

  private constructor(server: Server, path: string) {
    this.#server = server;
    this.#path = path;
  }

  close(): void {
    this.#server.close();
    rmSync(this.#path, { force: true });
  }
}

function serve(socket: Socket, commands: ControlCommands): void {
  let received = "";
  socket.unref();
  socket.setEncoding("utf8");
  socket.on("error", () => {}); // whoever asked has left
  socket.on("data", (chunk: string) => {
    received += chunk;
    const end = received.indexOf("\n");
    if (end >= 0) {
      const line = received.slice(0, end);
      received = "";
      answer(line, commands).then((result) => socket.end(`${JSON.stringify(result)}\n`));
    } else if (received.length > commandMost) {
      socket.destroy();
    }
  });
}

async function answer(line: string, commands: ControlCommands): Promise<object> {
  const asked = commandOf(line);
  switch (asked?.command) {
    case "status":
      return commands.status();
    case "stop":
      commands.stop();
      return { ok: true };
    case "reload":
      return commands.reload();
    case "drain": {
      const { server } = asked;
      if (typeof server !== "string") return { error: "The command drain needs a server." };
      const groups = await commands.drain(server, asked.undo === true);
      return typeof groups === "string" ? { error: groups } : { ok: true, groups };
    }
    default:
      return { error: "This server knows the commands status, reload, stop and drain." };
  }
}

interface Asked {
  readonly command: unknown;
  readonly server: unknown;
  readonly undo: unknown;
}

function commandOf(line: string): Asked | undefined {
  try {
    const asked: unknown = JSON.parse(line);
    return typeof asked === "object" && asked !== null
      ? { command: undefined, server: undefined, undo: undefined, ...asked }
      : undefined;
  } catch {
    return undefined;
  }
}

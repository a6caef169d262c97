// The control socket: one JSON line asks, one JSON line answers. Whoever may open it may stop the server, so it is the
// user's alone (mode 0600).
import { rmSync } from "node:fs";
import { createServer, type Server, type Socket } from "node:net";
import { prepareControlDirectory } from "../config/control-path.js";
import { vivariumError } from "../errors.js";
import { clearStaleSocket } from "../net/stale-socket.js";
import type { Status } from "./status.js";

export interface ControlCommands {
  status(): Promise<Status>;
  stop(): void;
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
  switch (commandOf(line)) {
    case "status":
      return commands.status();
    case "stop":
      commands.stop();
      return { ok: true };
    default:
      return { error: "This server knows the commands status and stop." };
  }
}

function commandOf(line: string): unknown {
  try {
    const command: unknown = JSON.parse(line);
    return typeof command === "object" && command !== null && "command" in command ? command.command : undefined;
  } catch {
    return undefined;
  }
}

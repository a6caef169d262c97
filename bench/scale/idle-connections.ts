// Kept-alive connections on which one request, or one WebSocket message, was answered, and then nothing happens.
import { readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { clientFrame, handshake, serverFrame } from "../web-socket-load.js";

/** What is sent on each connection, in latin-1, and how what comes for it ends. */
export interface Exchange {
  readonly send: string | Buffer;
  readonly until: string;
}

const request: Exchange = { send: "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", until: "Hello, world!\n" };

/** A WebSocket on which a message came back. */
export const webSocket: readonly Exchange[] = [
  { send: handshake("/socket"), until: "\r\n\r\n" },
  { send: clientFrame("hello"), until: serverFrame("hello").toString("latin1") },
];

/** How many are opened at once: more than any backlog holds would only be tried again a second later. */
const atOnce = 64;

/** How many descriptors this process may have; Node raises its soft limit to the hard one, and so do those it starts. */
export function descriptorLimit(): number {
  const match = /^Max open files +\d+ +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
  return match === null ? Number.POSITIVE_INFINITY : Number(match[1]);
}

export class IdleConnections {
  readonly #port: number;
  readonly #exchanges: readonly Exchange[];
  readonly #open = new Set<Socket>();

  constructor(port: number, exchanges: readonly Exchange[] = [request]) {
    this.#port = port;
    this.#exchanges = exchanges;
  }

  /** Those that the server has not closed. */
  get open(): number {
    return this.#open.size;
  }

  /** Opens as many as are missing until there are `count`. Rejects where one is refused, or answered otherwise. */
  async growTo(count: number): Promise<void> {
    let missing = count - this.#open.size;
    const next = async (): Promise<void> => {
      while (missing > 0) {
        missing -= 1;
        await this.#add();
      }
    };
    await Promise.all(Array.from({ length: atOnce }, next));
  }

  #add(): Promise<void> {
    return new Promise((resolve, reject) => {
      const socket = createConnection({ port: this.#port, host: "127.0.0.1" });
      let received = "";
      const left = [...this.#exchanges];
      const next = (): void => {
        const [first] = left;
        if (first !== undefined) socket.write(first.send);
        else {
          this.#open.add(socket);
          resolve();
        }
      };
      socket.setEncoding("latin1");
      socket.once("connect", next);
      socket.on("data", (text: string) => {
        received += text;
        if (left[0] === undefined || !received.endsWith(left[0].until)) return;
        left.shift();
        next();
      });
      socket.once("error", reject);
      socket.once("close", () => {
        this.#open.delete(socket);
        // After it was answered this says nothing any more.
        reject(new Error(`a connection was closed after: ${received.slice(0, 200)}`));
      });
    });
  }

  /** Closes all; there are none at once. */
  close(): void {
    for (const socket of this.#open) socket.destroy();
    this.#open.clear();
  }
}

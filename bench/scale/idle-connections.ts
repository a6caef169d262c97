// Kept-alive connections on which one request was answered, and then nothing happens.
import { readFileSync } from "node:fs";
import { createConnection, type Socket } from "node:net";

const request = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n";
const page = "Hello, world!\n";

/** How many are opened at once: more than any backlog holds would only be tried again a second later. */
const atOnce = 64;

/** How many descriptors this process may have; Node raises its soft limit to the hard one, and so do those it starts. */
export function descriptorLimit(): number {
  const match = /^Max open files +\d+ +(\d+)/m.exec(readFileSync("/proc/self/limits", "latin1"));
  return match === null ? Number.POSITIVE_INFINITY : Number(match[1]);
}

export class IdleConnections {
  readonly #port: number;
  readonly #open = new Set<Socket>();

  constructor(port: number) {
    this.#port = port;
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
      socket.setEncoding("latin1");
      socket.once("connect", () => socket.write(request));
      socket.on("data", (text: string) => {
        received += text;
        if (!received.endsWith(page)) return;
        this.#open.add(socket);
        resolve();
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

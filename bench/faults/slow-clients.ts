// Clients that send or read hardly anything. Whom a server closes is replaced by the next, so that there are always as many.
import { connect, type Socket } from "node:net";

/** Milliseconds between two octets sent, and two blocks read, of one client. */
const pace = 1000;
/** All are looked at in so many groups, so that they do not come at once. */
const groups = 10;

export type Manner = "sends a head" | "sends a body" | "reads";

export class SlowClients {
  readonly #port: number;
  readonly #sockets: (Socket | undefined)[];
  readonly #manner: (client: number) => Manner;
  readonly #timer: NodeJS.Timeout;
  #group = 0;
  /** Connections that the server ended, with an answer or without. */
  ended = 0;
  readonly #answered = new Set<number>();

  constructor(port: number, clients: number, manner: (client: number) => Manner) {
    this.#port = port;
    this.#manner = manner;
    this.#sockets = Array.from({ length: clients }, (_, client) => this.#connect(client));
    this.#timer = setInterval(() => this.#turn(), pace / groups);
  }

  #connect(client: number): Socket {
    const socket = connect({ port: this.#port, host: "127.0.0.1", noDelay: true });
    const manner = this.#manner(client);
    socket.on("error", () => undefined);
    socket.on("close", () => {
      if (this.#sockets[client] !== socket) return;
      this.#sockets[client] = undefined;
      this.ended += 1;
    });
    if (manner === "reads") {
      socket.on("data", () => {
        this.#answered.add(client);
        socket.pause();
      });
    } else socket.resume();
    socket.write(beginnings[manner]);
    return socket;
  }

  /** Of those that read, how many have something of an answer. */
  get answered(): number {
    return this.#answered.size;
  }

  #turn(): void {
    this.#group = (this.#group + 1) % groups;
    for (let client = this.#group; client < this.#sockets.length; client += groups) {
      const socket = this.#sockets[client];
      if (socket === undefined) this.#sockets[client] = this.#connect(client);
      else if (this.#manner(client) === "reads") socket.resume();
      else if (socket.writable) socket.write("x");
    }
  }

  close(): void {
    clearInterval(this.#timer);
    for (const socket of this.#sockets.splice(0)) socket?.destroy();
  }
}

const beginnings: Readonly<Record<Manner, string>> = {
  "sends a head": "GET /slow HTTP/1.1\r\nHost: test\r\nX-Slow: ",
  "sends a body": "POST /slow HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\n",
  reads: "GET /slow?long=1024 HTTP/1.1\r\nHost: test\r\n\r\n",
};

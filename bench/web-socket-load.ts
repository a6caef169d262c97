// WebSocket load of our own (RFC 6455): clients that each send a message, wait until it has come back, and send the next.
import { createConnection, type Socket } from "node:net";
import { median, percentile } from "./statistics.js";
import type { Load } from "./wrk.js";

/** The handshake's request. The key is the RFC's own (§1.3): servers need not be told apart. */
export function handshake(path: string): string {
  return [
    `GET ${path} HTTP/1.1`,
    "Host: 127.0.0.1",
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    "\r\n",
  ].join("\r\n");
}

/** A text message of at most 125 octets as a client sends it: masked (§5.3), by the same key each time, so that it is made once. */
export function clientFrame(text: string): Buffer {
  const payload = Buffer.from(text, "latin1");
  const key = [0x12, 0x34, 0x56, 0x78];
  const masked = payload.map((octet, index) => octet ^ (key[index % 4] ?? 0));
  return Buffer.from([0x81, 0x80 | payload.length, ...key, ...masked]);
}

/** The same as a server sends it. */
export function serverFrame(text: string): Buffer {
  return Buffer.concat([Buffer.from([0x81, text.length]), Buffer.from(text, "latin1")]);
}

const message = "a message of thirty-two octets..";
const sent = clientFrame(message);
const echoed = serverFrame(message);

/** Milliseconds without an answer, after which a client has failed. */
const patience = 10_000;

class EchoClient {
  readonly #socket: Socket;
  readonly #latencies: number[] = [];
  #head = "";
  #received = 0;
  #since = 0;
  #open: () => void = () => {};
  #over: () => void = () => {};
  #running = false;
  /** Why it ended before its time, or "". */
  failure = "";

  constructor(port: number) {
    this.#socket = createConnection({ port, host: "127.0.0.1", noDelay: true });
    this.#socket.on("data", (octets: Buffer) => this.#receive(octets));
    this.#socket.on("error", (error) => this.#fail(error.message));
    this.#socket.on("close", () => this.#fail("the connection was closed"));
    this.#socket.setTimeout(patience, () => this.#fail("no answer"));
  }

  /** Resolves when the handshake is over, or has failed. */
  open(path: string): Promise<void> {
    this.#socket.write(handshake(path));
    return new Promise((resolve) => {
      this.#open = resolve;
    });
  }

  /** Sends and awaits messages until it is told to stop; the latencies come back, in milliseconds. */
  run(): Promise<readonly number[]> {
    return new Promise((resolve) => {
      this.#over = (): void => resolve(this.#latencies);
      if (this.failure !== "") return this.#over();
      this.#running = true;
      this.#send();
    });
  }

  /** After the message that is under way. */
  stop(): void {
    this.#running = false;
  }

  close(): void {
    this.#socket.removeAllListeners("close").destroy();
  }

  #send(): void {
    this.#since = performance.now();
    this.#socket.write(sent);
  }

  #receive(octets: Buffer): void {
    if (this.#since === 0) {
      this.#head += octets.toString("latin1");
      const [line = "", rest] = this.#head.split("\r\n", 2);
      if (rest !== undefined && !line.startsWith("HTTP/1.1 101 ")) this.#fail(`the handshake was answered ${line}`);
      else if (this.#head.endsWith("\r\n\r\n")) this.#open();
      return;
    }
    if (!octets.equals(echoed.subarray(this.#received, this.#received + octets.length))) {
      this.#fail("something else came back");
      return;
    }
    this.#received += octets.length;
    if (this.#received < echoed.length) return;
    this.#received = 0;
    this.#latencies.push(performance.now() - this.#since);
    if (this.#running) this.#send();
    else this.#over();
  }

  #fail(why: string): void {
    this.failure ||= why;
    this.#socket.destroy();
    this.#open();
    this.#over();
  }
}

/** Messages through `clients` connections for so many seconds; those that failed are `socketErrors`. */
export async function webSocketLoad(port: number, path: string, seconds: number, clients: number): Promise<Load> {
  const all = Array.from({ length: clients }, () => new EchoClient(port));
  try {
    await Promise.all(all.map((client) => client.open(path)));
    const began = performance.now();
    const timer = setTimeout(() => {
      for (const client of all) client.stop();
    }, seconds * 1000);
    const latencies = (await Promise.all(all.map((client) => client.run()))).flat();
    clearTimeout(timer);
    const measured = (performance.now() - began) / 1000;
    const failures = all.flatMap(({ failure }) => (failure === "" ? [] : [failure]));
    if (latencies.length === 0) throw new Error(`no message came back: ${failures[0] ?? "there was no time"}`);
    return {
      requests: latencies.length,
      seconds: measured,
      requestsPerSecond: latencies.length / measured,
      p50: median(latencies),
      p99: percentile(latencies, 0.99),
      badStatus: 0,
      socketErrors: failures.length,
    };
  } finally {
    for (const client of all) client.close();
  }
}

// Clients that send and take slowly, many at once, beside others that do not.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { test } from "node:test";
import { Load } from "../support/load.js";
import { promised } from "../support/promises.js";
import { python } from "../support/tools.js";
import { application, type Server, until } from "./server.js";

const mebibyte = 2 ** 20;

/** What the log says of them: the first of each minute, whichever it is. */
const expected = [
  /^info ingress: A client \(127\.0\.0\.1\) (?:sent|took) less than 500 octets a second of (?:the body of its request|the response) to \/\S+ for \d+ s \(--min-rate, --stall-timeout\): (?:it is answered 408|its connection is closed)\.$/,
];

/** Clients that send this once and then take nothing, until `read`. */
class SlowClients {
  readonly #sockets: readonly Socket[];
  readonly #received: string[];
  #ended = 0;

  constructor(port: number, count: number, octets: string) {
    this.#received = Array.from({ length: count }, () => "");
    this.#sockets = this.#received.map((_, index) => {
      const socket = connect({ port, host: "127.0.0.1" }, () => socket.write(octets));
      socket.setEncoding("latin1").on("data", (text: string) => {
        // The beginning says all there is to say.
        if ((this.#received[index] ?? "").length < 200) this.#received[index] += text;
      });
      socket
        .on("error", () => undefined)
        .on("close", () => {
          this.#ended += 1;
        });
      socket.pause();
      return socket;
    });
  }

  /** How many the server has ended; of those that do not read, nothing is known before they do. */
  get ended(): number {
    return this.#ended;
  }

  read(): void {
    for (const socket of this.#sockets) socket.resume();
  }

  /** Those whose response begins so. */
  answered(pattern: RegExp): number {
    return this.#received.filter((text) => pattern.test(text)).length;
  }

  close(): void {
    for (const socket of this.#sockets) socket.destroy();
  }
}

const head = "GET /head HTTP/1.1\r\nHost: test\r\nX-Slow: ";
const body = "POST /body HTTP/1.1\r\nHost: test\r\nContent-Length: 100000\r\n\r\nx";

function reading(path: string): string {
  return `GET ${path} HTTP/1.1\r\nHost: test\r\n\r\n`;
}

function residentOf(pid: number): number {
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1] ?? 0) * 1024;
}

async function memoryOf(server: Server): Promise<number> {
  const { fronts } = await server.status();
  return fronts.reduce((sum, { pid }) => sum + residentOf(pid), 0);
}

function usual(port: number): Load {
  return new Load({
    port,
    clients: 4,
    patience: 60_000,
    ask: (client, number) => ({ path: `/${client}.${number}`, right: `${client}.${number}` }),
  });
}

/** Lets the load go on until it has so many more answers. */
async function answersMore(load: Load, count: number): Promise<void> {
  const before = load.requests;
  await until(() => load.requests >= before + count, `${count} more requests are answered`);
}

const limits = ["--head-timeout", "3", "--stall-timeout", "3", "--keep-alive", "3"];

for (const embedded of [false, true]) {
  const many = embedded ? 200 : 500;
  const mode = embedded ? ["--embedded", "--python", python()] : [];
  test(`${many} slow senders and ${many} slow readers cost others nothing, and end as documented${embedded ? ", embedded" : ""}`, async () => {
    const args = [...mode, "--workers", "1", ...(embedded ? [] : ["--threads", "4"]), ...limits];
    await promised({ target: application, args, expected }, async (server) => {
      const { port } = server.vivarium;
      const load = usual(port);
      await answersMore(load, 100);
      const before = await memoryOf(server);
      const heads = new SlowClients(port, many / 2, head);
      const bodies = new SlowClients(port, many / 2, body);
      const readers = new SlowClients(port, many, reading("/mebibytes/4"));
      try {
        const connections = async (): Promise<number> =>
          (await server.status()).fronts.reduce((sum, front) => sum + front.connections, 0);
        await until(async () => (await connections()) >= 2 * many, "they are connected");
        await answersMore(load, 100);
        const grown = (await memoryOf(server)) - before;
        assert.ok(grown < 700 * mebibyte, `the memory grew by ${grown / mebibyte} MiB`);
        heads.read();
        bodies.read();
        await until(() => heads.ended + bodies.ended === many, "the senders are answered");
        assert.equal(heads.answered(/^HTTP\/1\.1 408 /), many / 2);
        assert.equal(bodies.answered(/^HTTP\/1\.1 408 /), many / 2);
        await until(async () => (await connections()) <= 4, "the readers are let go");
        await answersMore(load, 100);
      } finally {
        for (const slow of [heads, bodies, readers]) slow.close();
        await load.stop();
      }
      assert.deepEqual(load.wrong, {});
    });
  });
}

test("a worker does not wait for clients that take long responses slowly", async () => {
  const args = ["--workers", "1", "--threads", "1"];
  await promised({ target: application, args }, async (server) => {
    const readers = new SlowClients(server.vivarium.port, 8, reading("/mebibytes/24"));
    try {
      const done = (): number => server.record().filter((line) => line === "closed 24 with 0 left").length;
      await until(() => done() === 8, "the application has given all of them");
      assert.equal(readers.ended, 0);
      assert.equal(await server.text("/fast"), "fast");
    } finally {
      readers.close();
    }
  });
});

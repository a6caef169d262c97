// A folder to serve, and exchanges that say what became of them without a socket.
import { mkdtempSync, readdirSync, readlinkSync, rmSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { TestContext } from "node:test";
import type { Exchange, Handler, Request, ResponseHead } from "../../src/exchange.js";

/** A folder that goes with the test. */
export function temporaryFolder(context: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), "vivarium-static-"));
  context.after(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

/** Sun, 06 Nov 1994 08:49:37 GMT */
export const longAgo = 784_111_777;

/**
 * Writes a file of this modification time, seconds. In the place of another its time of change is later, as it is in life,
 * where the tick of the kernel's clock is long over (and what is younger than that is not kept in memory).
 */
export function put(path: string, content: string | Uint8Array, modified: number = longAgo): void {
  const before = statSync(path, { throwIfNoEntry: false })?.ctimeMs;
  do {
    writeFileSync(path, content);
    utimesSync(path, modified, modified);
  } while (statSync(path).ctimeMs === before);
}

/**
 * Makes it a minute later for this process, so that files just written are old enough to be kept in memory: what is tested
 * twice in a row is tested without and with.
 */
export function makeItLater(context: TestContext): void {
  const { now } = Date;
  context.mock.method(Date, "now", () => now() + 60_000);
}

/** Fields as variables: `If-None-Match` is HTTP_IF_NONE_MATCH. */
function encode(method: string, path: string, fields: Readonly<Record<string, string>>): string {
  const pairs = ["wsgi.url_scheme", "http"];
  for (const [name, value] of Object.entries(fields)) {
    pairs.push(`HTTP_${name.toUpperCase().replaceAll("-", "_")}`, value);
  }
  const [pathInfo = "", query = ""] = path.split("?");
  pairs.push("REQUEST_METHOD", method, "SCRIPT_NAME", "", "PATH_INFO", pathInfo, "QUERY_STRING", query);
  return pairs.join("\0");
}

/** What a client would see. Octets leave when the test calls `flush`, or at once. */
export class FakeExchange implements Exchange {
  readonly request: Request;
  readonly id: string = "0123456789abcdef";
  ended = false;
  readonly inputEnded = false;
  onInputEnd: (() => void) | undefined = undefined;
  onFlushed: ((octets: number) => void) | undefined = undefined;
  onGone: (() => void) | undefined = undefined;
  status = 0;
  fields: ReadonlyMap<string, string> = new Map();
  /** As written on the wire. */
  lines = "";
  readonly parts: Buffer[] = [];
  /** Octets given and not flushed. */
  waiting = 0;
  outcome: "" | "complete" | "cut" | "gone" = "";
  readonly #flushes: boolean;
  readonly #done: Promise<void>;
  #resolve: () => void = () => {};

  constructor(method: string, path: string, fields: Readonly<Record<string, string>> = {}, flushes = true) {
    const variables = encode(method, path, fields);
    this.request = { method, target: path, variables, shared: 0, body: { kind: "empty" } };
    this.#flushes = flushes;
    this.#done = new Promise((resolve) => {
      this.#resolve = resolve;
    });
  }

  get body(): string {
    return Buffer.concat(this.parts).toString("latin1");
  }
  get octets(): number {
    return this.parts.reduce((sum, part) => sum + part.length, 0);
  }
  /** Resolves when it has ended in one way or another. */
  get done(): Promise<void> {
    return this.#done;
  }

  readonly takesHints = false;
  readonly takesTrailers = false;
  inform(): void {}
  end(): void {
    this.write(new Uint8Array(0), true);
  }

  respond(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (this.ended || this.status !== 0) return;
    this.status = head.status;
    this.lines = Buffer.from(head.fields).toString("latin1");
    const pairs = this.lines.split("\r\n").filter((line) => line !== "");
    this.fields = new Map(
      pairs.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 2)]),
    );
    this.write(body ?? new Uint8Array(0), last);
  }

  write(octets: Uint8Array, last: boolean): void {
    if (this.ended) return;
    // A copy, as the kernel has one: the buffer may be used again once it was flushed.
    this.parts.push(Buffer.from(octets));
    this.waiting += octets.length;
    if (last) this.#end("complete");
    else if (this.#flushes && octets.length > 0) setImmediate(() => this.flush());
  }

  /** Everything that waits leaves. */
  flush(): void {
    const octets = this.waiting;
    this.waiting = 0;
    if (!this.ended && octets > 0) this.onFlushed?.(octets);
  }

  cut(): void {
    this.#end("cut");
  }

  refuse(status: number, sentence: string, fields = ""): void {
    this.respond(
      { status, reason: "", fields: Buffer.from(fields, "latin1"), contentLength: -1, hasDate: false },
      Buffer.from(sentence),
      true,
    );
  }

  leave(): void {
    const { onGone } = this;
    this.#end("gone");
    onGone?.();
  }

  #end(outcome: "complete" | "cut" | "gone"): void {
    if (this.ended) return;
    this.ended = true;
    this.outcome = outcome;
    this.#resolve();
  }
}

/** Asks a handler and waits for the end of its answer. */
export async function ask(
  handler: Handler,
  path: string,
  fields: Readonly<Record<string, string>> = {},
  method = "GET",
): Promise<FakeExchange> {
  const exchange = new FakeExchange(method, path, fields);
  handler(exchange);
  await exchange.done;
  return exchange;
}

/** Descriptors of this process that are open below `folder`. */
export function openBelowFolder(folder: string): string[] {
  const targets: string[] = [];
  for (const fd of readdirSync("/proc/self/fd")) {
    try {
      targets.push(readlinkSync(`/proc/self/fd/${fd}`));
    } catch {
      // The descriptor that read the directory itself is closed by now.
    }
  }
  return targets.filter((target) => target.startsWith(folder));
}

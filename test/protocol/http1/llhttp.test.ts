// The request decoder against Node's llhttp, on requests left to (seeded) chance. Where they differ, ours must be the
// stricter: it accepted no request that llhttp did not. Every other difference needs its reason in `declared` below.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, METHODS, type Server } from "node:http";
import { Duplex } from "node:stream";
import { after, before, describe, test } from "node:test";
import { VivariumError } from "../../../src/errors.js";
import { RequestDecoder } from "../../../src/protocol/http1/request-decoder.js";
import { connection, request } from "../../fuzz/http1-generate.js";
import { Random } from "../../fuzz/random.js";
import { defaultLimits, escaped } from "./vectors.js";

const connections = 6000;

interface Verdict {
  /** Requests whose body was whole. */
  readonly requests: readonly string[];
  /** "waiting": the octets ended in mid-request. */
  readonly end: "clean" | "waiting" | "refused";
  /** Why it was refused. */
  readonly reason: string;
  /** Whether a head was given whose body was not whole; told of ours only. */
  readonly inBody: boolean;
}

/** One line that tells what was read of a request. */
function line(method: string, target: string, fields: readonly string[], body: string): string {
  return JSON.stringify([method, target, fields, body]);
}

function read(request: string): { readonly method: string; readonly fields: readonly string[] } {
  const [method, , fields] = JSON.parse(request) as [string, string, readonly string[], string];
  return { method, fields };
}

function ours(octets: Buffer): Verdict {
  const decoder = new RequestDecoder(defaultLimits);
  const requests: string[] = [];
  let head = { method: "", target: "", fields: [] as readonly string[] };
  let body = "";
  let inBody = false;
  try {
    decoder.receive(octets);
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      inBody = event.type !== "end";
      if (event.type === "head") [head, body] = [event.head, ""];
      else if (event.type === "body") body += Buffer.from(event.octets).toString("latin1");
      else requests.push(line(head.method, head.target, head.fields, body));
    }
    return { requests, end: decoder.idle ? "clean" : "waiting", reason: "", inBody };
  } catch (error) {
    if (!(error instanceof VivariumError)) throw error;
    return { requests, end: "refused", reason: error.message, inBody };
  }
}

/** A connection without a socket: what is pushed is received, what is written is dropped. */
class Pipe extends Duplex {
  override _read(): void {}
  override _write(_chunk: Buffer, _encoding: string, done: () => void): void {
    done();
  }
}

/** Lets everything that is due happen. */
async function settle(): Promise<void> {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
}

async function llhttp(server: Server, octets: Buffer): Promise<Verdict> {
  const pipe = new Pipe();
  const requests: string[] = [];
  const verdict = { end: "clean" as Verdict["end"], reason: "" };
  const onRequest = (message: IncomingMessage, response: { end(): void }) => {
    let body = "";
    message.on("data", (chunk: Buffer) => {
      body += chunk.toString("latin1");
    });
    message.on("end", () => {
      requests.push(line(message.method ?? "", message.url ?? "", message.rawHeaders, body));
      response.end();
    });
  };
  const onTunnel = (message: IncomingMessage) =>
    refuse(`${message.method} is not served by node:http without a listener`);
  const refuse = (reason: string) => {
    // the connection goes on to its end: what was whole before is still to be told
    if (verdict.end === "clean") [verdict.end, verdict.reason] = ["refused", reason];
  };
  const onError = (error: Error & { code?: string }) => {
    if (verdict.end === "clean" && error.code === "HPE_INVALID_EOF_STATE") verdict.end = "waiting";
    else refuse(`${error.code} ${error.message}`);
  };
  server.on("request", onRequest);
  server.on("checkContinue", onRequest);
  server.on("checkExpectation", () => refuse("Expect"));
  server.on("connect", onTunnel);
  server.on("clientError", onError);
  pipe.on("error", () => {});
  server.emit("connection", pipe);
  pipe.push(octets);
  await settle();
  pipe.push(null);
  await settle();
  pipe.destroy();
  await settle();
  server.removeAllListeners("request");
  for (const event of ["checkContinue", "checkExpectation", "connect", "clientError"]) server.removeAllListeners(event);
  return { requests, ...verdict, inBody: false };
}

interface Difference {
  readonly own: Verdict;
  readonly theirs: Verdict;
  /** The first request that ours accepted and llhttp did not: its method and fields. */
  readonly next: { readonly method: string; readonly fields: readonly string[] } | undefined;
  readonly octets: string;
}

/** Where ours is not the stricter, and why it is right. */
const declared: readonly { readonly reason: string; applies(difference: Difference): boolean }[] = [
  {
    reason:
      "RFC 9110 §9.1: a method is any token; llhttp has a list of them. The application answers the ones it does not know.",
    applies: ({ theirs, next }) =>
      theirs.reason.startsWith("HPE_INVALID_METHOD") && next !== undefined && !METHODS.includes(next.method),
  },
  {
    reason:
      "RFC 9110 §2.5: a later minor version is processed as the highest one known; llhttp has a list of versions.",
    applies: ({ theirs, next, octets }) =>
      theirs.reason.startsWith("HPE_INVALID_VERSION") && next !== undefined && /HTTP\/1\.[2-9]\r\n/.test(octets),
  },
  {
    reason:
      "RFC 9110 §5.6.3: a tab is white space around a value as a space is; llhttp refuses it behind Content-Length.",
    applies: ({ theirs, next, octets }) =>
      theirs.reason.startsWith("HPE_INVALID_CONTENT_LENGTH") &&
      (next?.fields ?? []).some(
        (name, index, fields) => /^content-length$/i.test(name) && /^[0-9]+$/.test(fields[index + 1] ?? ""),
      ) &&
      /content-length:[ \t]*[0-9]+ *\t/i.test(octets),
  },
  {
    reason:
      "RFC 9112 §9.6: what follows a request that closes its connection is not processed. llhttp refuses it, ours drops it.",
    applies: ({ own, theirs, next }) =>
      theirs.reason.startsWith("HPE_CLOSED_CONNECTION") && next === undefined && own.end === "clean",
  },
  {
    reason:
      "RFC 9110 §7.8: Upgrade may be ignored. node:http without a listener for it answers, and reads nothing more.",
    applies: ({ theirs }) => theirs.end === "clean" && /"upgrade","/i.test(theirs.requests.at(-1) ?? ""),
  },
  {
    reason:
      "The octets end in a head. Ours judges methods, targets, versions and fields that frame when they are whole.",
    applies: ({ own, theirs, next }) =>
      own.end === "waiting" && !own.inBody && theirs.end === "refused" && next === undefined,
  },
];

describe("request decoder and llhttp", () => {
  let server: Server;
  before(() => {
    server = createServer({ maxHeaderSize: 65536, keepAliveTimeout: 0, requireHostHeader: true });
    server.maxHeadersCount = 0;
  });
  after(() => server.close());

  test(`${connections} connections left to chance: ours is never the more lenient`, async () => {
    let alike = 0;
    let bodies = 0;
    const undeclared: string[] = [];
    const seen = new Set<number>();
    for (let seed = 1; seed <= connections; seed++) {
      const octets = connection(new Random(seed), request);
      const own = ours(octets);
      const theirs = await llhttp(server, octets);
      const prefix = own.requests.every((request, index) => request === theirs.requests[index]);
      const same = prefix && own.requests.length === theirs.requests.length && own.end === theirs.end;
      const stricter = prefix && own.end === "refused";
      if (same) alike++;
      if (same && own.requests.length > 0) bodies++;
      if (same || stricter) continue;
      const text = octets.toString("latin1");
      const next = own.requests[theirs.requests.length];
      const difference = { own, theirs, next: next === undefined ? undefined : read(next), octets: text };
      const index = declared.findIndex(({ applies }) => applies(difference));
      if (index !== -1) {
        seen.add(index);
        continue;
      }
      undeclared.push(`${seed}: ${escaped(text)}\n  ours   ${JSON.stringify(own)}\n  theirs ${JSON.stringify(theirs)}`);
    }
    assert.deepEqual(undeclared.slice(0, 20), []);
    assert.deepEqual([...seen].sort(), [...declared.keys()], "each declared difference was seen");
    assert.ok(alike > connections / 3 && bodies > connections / 10, `${alike} alike, ${bodies} of them with requests`);
  });
});

// Reads the wire vectors of test/vectors/fastcgi (their notation is in the README there), and replays octets through the
// decoders into the event log the vectors are written in.
import { readdirSync, readFileSync } from "node:fs";
import { VivariumError } from "../../../src/errors.js";
import { decodePairs } from "../../../src/protocol/fastcgi/params.js";
import {
  RequestDecoder,
  type RequestEvent,
  type RequestLimits,
} from "../../../src/protocol/fastcgi/request-decoder.js";
import { ResponseDecoder, type ResponseEvent } from "../../../src/protocol/fastcgi/response-decoder.js";
import { escaped, unescaped } from "../http1/vectors.js";

const folder = new URL("../../../../test/vectors/fastcgi/", import.meta.url);

export const defaultLimits: RequestLimits = { maxParams: 65536, maxRequests: 100 };

export interface Vector {
  readonly name: string;
  /** Fenced blocks by their label, as written. */
  readonly blocks: ReadonlyMap<string, string>;
  readonly settings: ReadonlyMap<string, string>;
}

/** The vectors of all files whose name begins with `prefix`. */
export function vectors(prefix: string): readonly Vector[] {
  const files = readdirSync(folder).filter((file) => file.startsWith(prefix) && file.endsWith(".md"));
  return files.sort().flatMap((file) =>
    readFileSync(new URL(file, folder), "utf8")
      .split(/^## /m)
      .slice(1)
      .map((section) => ({
        name: section.split("\n")[0] ?? "",
        blocks: new Map(
          Array.from(section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm), ([, name = "", text = ""]) => [name, text]),
        ),
        settings: new Map(
          Array.from(section.matchAll(/(\w+)=(\S+)(?=.* -->$)/gm), ([, name = "", value = ""]) => [name, value]),
        ),
      })),
  );
}

export function block(vector: Vector, name: string): string {
  const text = vector.blocks.get(name);
  if (text === undefined) throw new Error(`The vector "${vector.name}" has no ${name}.`);
  return text;
}

export function limitsOf(vector: Vector): RequestLimits {
  const limit = (name: keyof RequestLimits) => Number(vector.settings.get(name) ?? defaultLimits[name]);
  return { maxParams: limit("maxParams"), maxRequests: limit("maxRequests") };
}

// ---- octets

/** FastCGI 1.0 §8. */
const types: readonly string[] = [
  "BEGIN_REQUEST",
  "ABORT_REQUEST",
  "END_REQUEST",
  "PARAMS",
  "STDIN",
  "STDOUT",
  "STDERR",
  "DATA",
  "GET_VALUES",
  "GET_VALUES_RESULT",
  "UNKNOWN_TYPE",
];

const typeOf = (name: string) => types.indexOf(name) + 1 || Number(name);

/** A word of a line: bare, or in quotes with its escapes undone. */
export interface Word {
  readonly text: string;
  readonly quoted: boolean;
}

export function wordsOf(line: string): readonly Word[] {
  return Array.from(line.matchAll(/"([^"]*)"|([\w-]+=)"([^"]*)"|(\S+)/g), ([, quoted, name, value, bare]) => {
    if (quoted !== undefined) return { text: unescaped(quoted), quoted: true };
    return { text: unescaped(name === undefined ? (bare ?? "") : name + value), quoted: false };
  });
}

/** The octets that a `records` block stands for. */
export function octetsOf(records: string): Buffer {
  return Buffer.concat(
    records
      .split("\n")
      .filter((line) => line !== "")
      .map(recordOf),
  );
}

function recordOf(line: string): Buffer {
  const [type, ...words] = wordsOf(line);
  if (type?.text === "octets") return Buffer.from(words[0]?.text ?? "", "latin1");
  const [id, ...rest] = words;
  const content: Buffer[] = [];
  const header = new Map([["version", 1]]);
  for (const { text, quoted } of rest) {
    const [name = "", value] = text.split(/=(.*)/s);
    if (/^(version|length|padding)$/.test(name) && !quoted) header.set(name, Number(value));
    else if (name === "role" && !quoted)
      content.push(
        beginBody(
          Number(value),
          rest.some((word) => word.text === "keep"),
        ),
      );
    else if (text === "keep") continue;
    else if (value !== undefined && (!quoted || /^[A-Z]+=/.test(text))) content.push(pair(name, value));
    else content.push(Buffer.from(text, "latin1"));
  }
  const octets = Buffer.concat(content);
  const number = typeOf(type?.text ?? "");
  return record(number, Number(id?.text), octets, header);
}

export function record(type: number, id: number, content: Buffer, header: ReadonlyMap<string, number>): Buffer {
  const octets = Buffer.alloc(8, 0);
  octets[0] = header.get("version") ?? 1;
  octets[1] = type;
  octets.writeUInt16BE(id, 2);
  octets.writeUInt16BE(header.get("length") ?? content.length, 4);
  octets[6] = header.get("padding") ?? 0;
  return Buffer.concat([octets, content, Buffer.alloc(octets[6] ?? 0, 0xff)]);
}

function beginBody(role: number, keep: boolean): Buffer {
  return Buffer.from([role >> 8, role & 255, keep ? 1 : 0, 0, 0, 0, 0, 0]);
}

function pair(name: string, value: string): Buffer {
  return Buffer.concat([length(name), length(value), Buffer.from(name + value, "latin1")]);
}

function length(text: string): Buffer {
  if (text.length < 128) return Buffer.from([text.length]);
  const four = Buffer.alloc(4);
  four.writeUInt32BE(2 ** 31 + text.length);
  return four;
}

// ---- logs

/** Collects a log; octets of one stream that come one after another are one line. */
class Log {
  readonly lines: string[] = [];
  #stream = "";
  #octets = "";

  add(...lines: readonly string[]): void {
    if (this.#stream !== "") this.lines.push(`${this.#stream} "${escaped(this.#octets)}"`);
    this.#stream = "";
    this.lines.push(...lines);
  }

  octets(stream: string, octets: Uint8Array): void {
    if (stream !== this.#stream) {
      this.add();
      this.#stream = stream;
      this.#octets = "";
    }
    this.#octets += Buffer.from(octets).toString("latin1");
  }

  failure(error: unknown): void {
    if (!(error instanceof VivariumError)) throw error;
    this.add(`error ${error.status} ${error.code}`);
  }
}

function pairsOf(pairs: readonly string[]): readonly string[] {
  return pairs.flatMap((name, at) => (at % 2 === 0 ? [escaped(`${name}=${pairs[at + 1]}`)] : []));
}

const kept = (keepConnection: boolean) => (keepConnection ? "keep" : "close");

function logRequest(log: Log, event: RequestEvent): void {
  switch (event.type) {
    case "body":
      log.octets(`body ${event.id}`, event.octets);
      break;
    case "request":
      log.add(`request ${event.id} ${kept(event.keepConnection)}`, ...pairsOf(event.params).map((line) => `  ${line}`));
      break;
    case "too-large":
      log.add(`too-large ${event.id} ${event.error.status} ${event.error.code} ${kept(event.keepConnection)}`);
      break;
    case "refused":
      log.add(`refused ${event.id} ${event.protocolStatus} ${kept(event.keepConnection)}`);
      break;
    case "values":
      log.add(["values", ...event.names].join(" "));
      break;
    case "unknown-type":
      log.add(`unknown-type ${event.recordType}`);
      break;
    default:
      log.add(`${event.type} ${event.id}`);
  }
}

/**
 * The log of a connection's requests. With `answers` each is answered at once where it is whole, aborted or too large. What a chunk is as
 * a whole is asked before it is received, as on a connection.
 */
export function decodeRequests(
  chunks: readonly Uint8Array[],
  limits: RequestLimits,
  answers: boolean,
): readonly string[] {
  const decoder = new RequestDecoder(limits, decodePairs);
  const log = new Log();
  try {
    for (const chunk of chunks) {
      // Memory that is larger, and not kept.
      const memory = Buffer.concat([chunk, Buffer.from([1, 5])]);
      const whole = decoder.whole(memory, chunk.length);
      memory.fill(0xff);
      if (whole !== undefined) {
        logRequest(log, whole);
        logRequest(log, { type: "end", id: whole.id });
        if (answers) decoder.release(whole.id);
        continue;
      }
      decoder.receive(new Uint8Array(chunk));
      for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
        logRequest(log, event);
        if (answers && (event.type === "end" || event.type === "abort" || event.type === "too-large")) {
          decoder.release(event.id);
        }
      }
    }
    log.add(...(decoder.idle ? [] : ["waiting"]));
  } catch (error) {
    log.failure(error);
  }
  return log.lines;
}

function logResponse(log: Log, event: ResponseEvent): void {
  switch (event.type) {
    case "end":
      log.add(`end ${event.id} application=${event.applicationStatus} protocol=${event.protocolStatus}`);
      break;
    case "values":
      log.add(["values", ...pairsOf(event.pairs)].join(" "));
      break;
    case "unknown-type":
      log.add(`unknown-type ${event.recordType}`);
      break;
    default:
      log.octets(`${event.type} ${event.id}`, event.octets);
  }
}

/** The log of the responses to requests with these ids. */
export function decodeResponses(chunks: readonly Uint8Array[], begun: readonly number[]): readonly string[] {
  const decoder = new ResponseDecoder();
  const log = new Log();
  try {
    for (const id of begun) decoder.begin(id);
    for (const chunk of chunks) {
      decoder.receive(new Uint8Array(chunk));
      for (let event = decoder.next(); event !== undefined; event = decoder.next()) logResponse(log, event);
    }
    log.add(...(decoder.idle ? [] : ["waiting"]));
  } catch (error) {
    log.failure(error);
  }
  return log.lines;
}

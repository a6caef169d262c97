// Reads the wire vectors of test/vectors (the notation is in the README of http1), and replays octets through HTTP's
// decoders into the event log the vectors are written in.
import { readdirSync, readFileSync } from "node:fs";
import { VivariumError } from "../../../src/errors.js";
import { RequestDecoder, type RequestHead, type RequestLimits } from "../../../src/protocol/http1/request-decoder.js";
import { ResponseDecoder, type ResponseHead } from "../../../src/protocol/http1/response-decoder.js";

const root = new URL("../../../../test/vectors/", import.meta.url);

export const defaultLimits: RequestLimits = { maxTarget: 8192, maxHead: 65536, maxFields: 128, maxBody: 2 ** 30 };

export interface Vector {
  readonly name: string;
  /** Fenced blocks by their label, as written. */
  readonly blocks: ReadonlyMap<string, string>;
  /** Limits and other settings of the case: `<!-- maxHead=64 -->`. */
  readonly settings: ReadonlyMap<string, string>;
}

/** The vectors of all files of a protocol's folder whose name begins with `prefix`. */
export function vectors(prefix: string, protocol = "http1"): readonly (Vector & { readonly file: string })[] {
  const folder = new URL(`${protocol}/`, root);
  const files = readdirSync(folder).filter((file) => file.startsWith(prefix) && file.endsWith(".md"));
  return files.sort().flatMap((file) => {
    const sections = readFileSync(new URL(file, folder), "utf8").split(/^## /m).slice(1);
    return sections.map((section) => ({ file, ...readVector(section) }));
  });
}

function readVector(section: string): Vector {
  const blocks = new Map<string, string>();
  for (const match of section.matchAll(/^```(\w+)\n([\s\S]*?)^```$/gm)) blocks.set(match[1] ?? "", match[2] ?? "");
  const settings = new Map<string, string>();
  for (const match of section.matchAll(/^<!-- (.*) -->$/gm)) {
    for (const pair of (match[1] ?? "").split(" ")) settings.set(pair.split("=")[0] ?? "", pair.split("=")[1] ?? "");
  }
  return { name: section.split("\n")[0] ?? "", blocks, settings };
}

export function limitsOf(vector: Vector): RequestLimits {
  const limit = (name: keyof RequestLimits) => Number(vector.settings.get(name) ?? defaultLimits[name]);
  return {
    maxTarget: limit("maxTarget"),
    maxHead: limit("maxHead"),
    maxFields: limit("maxFields"),
    maxBody: limit("maxBody"),
  };
}

/** The octets a block of lines stands for. */
export function octetsOf(block: string): Buffer {
  const lines = block.split("\n").slice(0, -1);
  const text = lines.map((line) =>
    line.endsWith("\\") && !line.endsWith("\\\\") ? line.slice(0, -1) : `${line}\\r\\n`,
  );
  return Buffer.from(unescaped(text.join("")), "latin1");
}

export function unescaped(text: string): string {
  return text.replace(/\\(x[0-9a-f]{2}|\{(\d+)\}|.)/g, (_, name: string, count: string | undefined) => {
    if (count !== undefined) return "a".repeat(Number(count));
    if (name.startsWith("x")) return String.fromCharCode(Number.parseInt(name.slice(1), 16));
    const plain = new Map([
      ["r", "\r"],
      ["n", "\n"],
      ["t", "\t"],
      ["0", "\0"],
      ["s", " "],
      ["\\", "\\"],
    ]).get(name);
    if (plain === undefined) throw new Error(`The escape \\${name} does not exist.`);
    return plain;
  });
}

export function escaped(text: string): string {
  return text
    .replace(/\\/g, "\\\\")
    .replace(/\r/g, "\\r")
    .replace(/\n/g, "\\n")
    .replace(/\t/g, "\\t")
    .replace(/[\0-\x1f\x7f-\xff]/g, (octet) => `\\x${octet.charCodeAt(0).toString(16).padStart(2, "0")}`)
    .replace(/a{40,}/g, (run) => `\\{${run.length}}`);
}

/** Where `octets` are cut: whole, in two at every place, and one by one. */
export function* splits(octets: Buffer): Generator<readonly Buffer[]> {
  yield [octets];
  for (let at = 1; at < octets.length; at++) yield [octets.subarray(0, at), octets.subarray(at)];
  yield Array.from(octets, (_, at) => octets.subarray(at, at + 1));
}

/** Collects a decoder's log; octets of a body that come one after another are one line. */
export class Log {
  readonly lines: string[] = [];
  #body: string | undefined;

  add(...lines: readonly string[]): void {
    if (this.#body !== undefined) this.lines.push(`body "${escaped(this.#body)}"`);
    this.#body = undefined;
    this.lines.push(...lines);
  }

  body(octets: Uint8Array): void {
    this.#body = (this.#body ?? "") + Buffer.from(octets).toString("latin1");
  }

  failure(error: unknown): void {
    if (!(error instanceof VivariumError)) throw error;
    this.add(`error ${error.status} ${error.code}`);
  }
}

function fieldLines(fields: readonly string[]): readonly string[] {
  const lines: string[] = [];
  for (let i = 0; i < fields.length; i += 2) lines.push(`  ${fields[i]}: ${escaped(fields[i + 1] ?? "")}`.trimEnd());
  return lines;
}

function requestHead(head: RequestHead): readonly string[] {
  const parts = [`head ${head.method} ${head.target} HTTP/1.${head.minor}`, `${head.form}-form`];
  if (head.scheme !== "") parts.push(`scheme=${head.scheme}`);
  parts.push(`path=${head.path}`, `query=${head.query}`, `host=${head.host}`);
  if (head.framing !== "none") parts.push(head.framing === "length" ? `length=${head.contentLength}` : "chunked");
  if (!head.keepAlive) parts.push("close");
  if (head.expectContinue) parts.push("expects-continue");
  return [parts.join(" "), ...fieldLines(head.fields)];
}

/** The log of a connection's requests. */
/** With a `memory` all chunks are received there, one over the other. */
export function decodeRequests(
  chunks: readonly Uint8Array[],
  limits: RequestLimits,
  memory?: Buffer,
): readonly string[] {
  const decoder = new RequestDecoder(limits);
  const log = new Log();
  try {
    for (const chunk of chunks) {
      memory?.fill("?").set(chunk);
      // a reader may reuse nothing of what it gave, but its octets may lie anywhere in a larger buffer
      if (memory === undefined) decoder.receive(new Uint8Array(chunk));
      else decoder.receive(memory, chunk.length);
      for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
        if (event.type === "head") log.add(...requestHead(event.head));
        else if (event.type === "body") log.body(event.octets);
        else log.add("end");
      }
      if (memory !== undefined) decoder.keep();
    }
    log.add(...(decoder.idle ? [] : ["waiting"]));
  } catch (error) {
    log.failure(error);
  }
  return log.lines;
}

function responseHead(type: string, head: ResponseHead): readonly string[] {
  const parts = [`${type} HTTP/1.${head.minor} ${head.status} "${escaped(head.reason)}"`];
  if (head.framing !== "none") parts.push(head.framing === "length" ? `length=${head.contentLength}` : head.framing);
  if (!head.keepAlive) parts.push("not-reusable");
  return [parts.join(" "), ...fieldLines(head.fields)];
}

/** The log of the responses to requests with these methods; with `closed` the connection ends after the octets. */
export function decodeResponses(
  chunks: readonly Uint8Array[],
  methods: readonly string[],
  closed: boolean,
  limits: RequestLimits,
  decoder: ResponseDecoder = new ResponseDecoder(limits),
): readonly string[] {
  const log = new Log();
  const awaited = [...methods];
  const pull = () => {
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      if (event.type === "body") log.body(event.octets);
      else if (event.type === "end") {
        log.add("end");
        const method = awaited.shift();
        if (method !== undefined) decoder.begin(method);
      } else log.add(...responseHead(event.type, event.head));
    }
  };
  try {
    decoder.begin(awaited.shift() ?? "GET");
    for (const chunk of chunks) {
      decoder.receive(new Uint8Array(chunk));
      pull();
    }
    if (closed) {
      decoder.receiveEnd();
      pull();
    } else if (!decoder.idle) log.add("waiting");
  } catch (error) {
    log.failure(error);
  }
  return log.lines;
}

// A handler that serves a folder. The way of a request: its path → a file (locate) → a coding the client accepts → the file
// open and proven to be below the root (open) → conditions and ranges (answer) → octets. Small files take a shorter way from
// memory.
import { closeSync } from "node:fs";
import { log } from "../channels.js";
import type { Exchange, Handler } from "../exchange.js";
import { answerFile } from "./answer.js";
import { type CacheControl, cacheControl } from "./cache-control.js";
import type { FilesConfig } from "./config.js";
import { contentType, contentTypesLoaded, loadContentTypes } from "./content-type.js";
import { acceptedCodings, type Coding, codings, firstOf } from "./encodings.js";
import { type Located, locate, rootOctets } from "./locate.js";
import { Memory } from "./memory.js";
import { type OpenFile, openBelow, type Problem } from "./open.js";
import { encodePath, encodeQuery } from "./path.js";
import { readWhole, wholeMost } from "./read-whole.js";
import { refuseUnread, whenTypesLoaded } from "./refuse.js";
import { makeHead, type Representation, represent } from "./representation.js";
import { type FileRequest, fileRequest } from "./request.js";

const allow = "Allow: GET, HEAD, OPTIONS\r\n";

/**
 * A handler that answers with the files of a folder. What it does not find goes to `next`, or is answered 404 where there is
 * none. Throws ERR_CONFIG_VALUE for a Cache-Control that no field can hold.
 */
export function filesHandler(config: FilesConfig, next?: Handler): Handler {
  const files = new Files(config, next);
  return (exchange) => files.handle(exchange);
}

class Files {
  readonly #config: FilesConfig;
  readonly #root: string;
  readonly #next: Handler | undefined;
  readonly #cacheControl: CacheControl;
  readonly #memory: Memory;

  constructor(config: FilesConfig, next: Handler | undefined) {
    this.#config = config;
    this.#root = rootOctets(config.root);
    this.#next = next;
    this.#cacheControl = cacheControl(config.cacheControl);
    this.#memory = new Memory(config.memory);
    // So that it is done by the time of the first request.
    loadContentTypes().catch(() => {});
  }

  handle(exchange: Exchange): void {
    if (contentTypesLoaded()) this.#handle(exchange);
    else whenTypesLoaded(exchange, () => this.#handle(exchange));
  }

  #handle(exchange: Exchange): void {
    const request = fileRequest(exchange.request);
    const accepted = this.#config.precompressed ? acceptedCodings(request.acceptEncoding) : [];
    const kept = this.#memory.find(request.pathInfo, accepted);
    if (kept !== undefined) {
      if (reads(request)) answerFile(exchange, request, kept.representation, kept.octets);
      else answerMethod(exchange);
      return;
    }
    const located = locate(this.#root, request.pathInfo, this.#config);
    if (located === "folder") this.#redirect(exchange, request);
    else if (typeof located === "string") this.#answerProblem(exchange, located);
    else this.#answerFile(exchange, request, located, accepted);
  }

  #answerFile(exchange: Exchange, request: FileRequest, located: Located, accepted: readonly Coding[]): void {
    const { coding, file } = this.#open(located, accepted);
    if (typeof file === "string") {
      this.#answerProblem(exchange, file);
      return;
    }
    if (!reads(request)) {
      closeSync(file.fd);
      answerMethod(exchange);
      return;
    }
    const path = located.path + suffixOf(coding);
    if (file.stats.size > wholeMost) {
      answerFile(exchange, request, this.#represent(located, coding, file), file);
      return;
    }
    const whole = readWhole(file);
    if (typeof whole === "string") {
      this.#answerProblem(exchange, whole);
      return;
    }
    const { stats, octets } = whole;
    const representation = this.#represent(located, coding, whole);
    this.#memory.keep(request.pathInfo, located, coding, { path, stats, representation, octets });
    answerFile(exchange, request, representation, octets);
  }

  /** Opens a sibling, or else the file itself: one that cannot be had is no reason to answer without any. */
  #open(located: Located, accepted: readonly Coding[]): { coding: Coding | ""; file: OpenFile | Problem } {
    let there = located.codings;
    for (;;) {
      const coding = firstOf(accepted, there);
      const file = openBelow(located.path + suffixOf(coding), [this.#root === "" ? "/" : this.#root]);
      if (coding === "" || typeof file !== "string") return { coding, file };
      there = there.filter((other) => other !== coding);
    }
  }

  #represent(located: Located, coding: Coding | "", { stats }: Pick<OpenFile, "stats">): Representation {
    const { types, charset } = this.#config;
    const cache = this.#cacheControl(located.path.slice(this.#root.length + 1));
    const vary = located.codings.length > 0 ? "Vary: Accept-Encoding\r\n" : "";
    return represent(stats, {
      contentType: contentType(located.path, types, charset),
      coding,
      fields: cache === "" ? vary : `Cache-Control: ${cache}\r\n${vary}`,
      status: 200,
      reason: "OK",
    });
  }

  /** A folder's files are addressed from within it, which takes a slash at its end. Only where there is an index to be had. */
  #redirect(exchange: Exchange, request: FileRequest): void {
    const index = locate(this.#root, `${request.pathInfo}/`, this.#config);
    const file = typeof index === "string" ? index : this.#open(index, []).file;
    if (typeof file === "string") {
      this.#answerProblem(exchange, file);
      return;
    }
    closeSync(file.fd);
    if (!reads(request)) {
      answerMethod(exchange);
      return;
    }
    const query = request.query === "" ? "" : `?${encodeQuery(request.query)}`;
    // Two slashes at the beginning would name another host (RFC 3986 §4.2).
    const path = (request.scriptName + request.pathInfo).replace(/^\/+/, "/");
    const location = `${encodePath(path)}/${query}`;
    const lines = `Location: ${location}\r\nContent-Length: 0\r\n`;
    exchange.respond(makeHead(301, "Moved Permanently", lines, 0), undefined, true);
  }

  #answerProblem(exchange: Exchange, problem: Problem): void {
    if (problem === "outside") {
      const { method, target } = exchange.request;
      log("warning", "static", `${method} ${target} leads out of ${this.#config.root} by a symbolic link: not found.`);
    }
    if (problem === "forbidden" || problem === "exhausted" || problem === "failed") refuseUnread(exchange, problem);
    else if (this.#next !== undefined) this.#next(exchange);
    else exchange.refuse(404, "There is no such file.");
  }
}

function reads({ method }: FileRequest): boolean {
  return method === "GET" || method === "HEAD";
}

function suffixOf(coding: Coding | ""): string {
  return codings.find((known) => known.coding === coding)?.suffix ?? "";
}

/** The answer about a file that there is to any method but GET and HEAD. */
function answerMethod(exchange: Exchange): void {
  if (exchange.request.method === "OPTIONS") exchange.respond(makeHead(204, "No Content", allow, -1), undefined, true);
  else exchange.refuse(405, "This is a file; it can only be read.", allow);
}

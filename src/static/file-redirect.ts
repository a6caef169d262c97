// An application that may decide who gets a file, and need not send it: it answers with X-Accel-Redirect (as for nginx) or
// X-Sendfile (as for Apache and lighttpd), and the file goes out in place of the body. Only from roots named in the
// configuration, for whoever can make an application send a field (a header injection, an upstream one does not own) could
// read any file otherwise.
import { log } from "../channels.js";
import type { Exchange, Handler, Request, ResponseHead } from "../exchange.js";
import { decodePath } from "../protocol/cgi/request-variables.js";
import { answerFile, answerWhole } from "./answer.js";
import type { FileRedirectRoots } from "./config.js";
import { contentType, contentTypesLoaded, loadContentTypes } from "./content-type.js";
import { rootOctets } from "./locate.js";
import { type OpenFile, openBelow } from "./open.js";
import { pathOctets } from "./path.js";
import { refuseUnread, whenTypesLoaded } from "./refuse.js";
import { represent } from "./representation.js";
import { fileRequest } from "./request.js";

/** Octets of a body in place of which a file is sent, beyond which the application is told that nobody reads it. */
const droppedMost = 64 * 1024;

/**
 * The handler, with responses that name a file answered by it. The fields that name it never reach the client; the file is
 * below one of the roots, or the answer is 502. What else the application's head says stays, but for what is about the
 * body it gave: its length, validators and ranges.
 */
export function withFileRedirects(handler: Handler, roots: FileRedirectRoots): Handler {
  const places: Places = {
    accel: roots.accel
      .map(({ prefix, root }) => ({ prefix: `${pathOctets(prefix).replace(/\/+$/, "")}/`, root: rootOctets(root) }))
      .sort((a, b) => b.prefix.length - a.prefix.length),
    sendfile: roots.sendfile.map(rootOctets),
  };
  loadContentTypes().catch(() => {});
  return (exchange) => handler(new RedirectableExchange(exchange, places));
}

interface Places {
  /** The longest prefix first. */
  readonly accel: readonly { readonly prefix: string; readonly root: string }[];
  readonly sendfile: readonly string[];
}

/** A head taken apart: what names a file, and the rest. */
interface Redirect {
  /** The field's name, for messages. */
  readonly field: string;
  readonly value: string;
  readonly contentType: string;
  /** The lines that stay, without Content-Type. */
  readonly fields: string;
}

const asksForFile = /^x-(?:accel-redirect|sendfile):/im;
const line = /^([^:\r\n]+):[\t ]*([^\r\n]*?)[\t ]*\r\n/gm;

/**
 * What is not passed on as it is: what is about the body that is not sent, and what tells nginx how to send it. Date is made
 * anew on the way out.
 */
const withheld: ReadonlySet<string> = new Set([
  "date",
  "content-length",
  "content-range",
  "accept-ranges",
  "etag",
  "last-modified",
  "content-type",
  "x-accel-redirect",
  "x-sendfile",
  "x-accel-buffering",
  "x-accel-charset",
  "x-accel-expires",
  "x-accel-limit-rate",
]);

/** Undefined where the head names no file. */
function redirectOf(head: ResponseHead): Redirect | undefined {
  const { buffer, byteOffset, byteLength } = head.fields;
  const text = Buffer.from(buffer, byteOffset, byteLength).toString("latin1");
  if (!asksForFile.test(text)) return undefined;
  const values = new Map<string, string>();
  let fields = "";
  for (const [whole, name = "", value = ""] of text.matchAll(line)) {
    const lower = name.toLowerCase();
    if (withheld.has(lower)) values.set(lower, value);
    else fields += whole;
  }
  const accel = values.get("x-accel-redirect");
  return {
    field: accel === undefined ? "X-Sendfile" : "X-Accel-Redirect",
    value: accel ?? values.get("x-sendfile") ?? "",
    contentType: values.get("content-type") ?? "",
    fields,
  };
}

/** Which file a redirect means, absolute, and below which roots it must be; undefined for one that is allowed nowhere. */
function fileOf({ field, value }: Redirect, places: Places): { path: string; roots: readonly string[] } | undefined {
  if (field === "X-Sendfile") {
    return value.startsWith("/") && !climbs(value) ? { path: value, roots: places.sendfile } : undefined;
  }
  const path = pathOf(value);
  if (path === undefined || climbs(path)) return undefined;
  const place = places.accel.find(({ prefix }) => path.startsWith(prefix));
  if (place === undefined) return undefined;
  return { path: `${place.root}/${path.slice(place.prefix.length)}`, roots: [place.root] };
}

/** The path of an internal URI, decoded as nginx does; undefined where it is none. A query is of no use to a file. */
function pathOf(uri: string): string | undefined {
  try {
    return decodePath(uri.replace(/\?.*$/, ""));
  } catch {
    return undefined;
  }
}

/** Answers that have no octets, the application's own to a condition for example (RFC 9110 §6.4.1). */
function hasNoContent(status: number): boolean {
  return status === 204 || status === 205 || status === 304;
}

function climbs(path: string): boolean {
  return path.includes("\0") || path.split("/").some((part) => part === ".." || part === ".");
}

/** What the handler sees of an exchange. Once a file is sent in its place, what the handler still says is dropped. */
class RedirectableExchange implements Exchange {
  readonly #inner: Exchange;
  readonly #places: Places;
  /** A file answers; the handler has not ended its own response. */
  #redirected = false;
  /** The handler ended its response, in place of which a file is sent. */
  #over = false;
  /** Octets of that. */
  #dropped = 0;
  /** The handler's, from when a file is sent: until then the inner exchange has them. */
  #onFlushed: ((octets: number) => void) | undefined;
  #onGone: (() => void) | undefined;

  constructor(inner: Exchange, places: Places) {
    this.#inner = inner;
    this.#places = places;
  }

  get request(): Request {
    return this.#inner.request;
  }
  get id(): string {
    return this.#inner.id;
  }
  get ended(): boolean {
    return this.#redirected ? this.#over : this.#inner.ended;
  }
  get inputEnded(): boolean {
    return this.#inner.inputEnded;
  }
  get onInputEnd(): (() => void) | undefined {
    return this.#inner.onInputEnd;
  }
  set onInputEnd(action: (() => void) | undefined) {
    this.#inner.onInputEnd = action;
  }
  get onFlushed(): ((octets: number) => void) | undefined {
    return this.#redirected ? this.#onFlushed : this.#inner.onFlushed;
  }
  set onFlushed(action: ((octets: number) => void) | undefined) {
    if (this.#redirected) this.#onFlushed = action;
    else this.#inner.onFlushed = action;
  }
  get onGone(): (() => void) | undefined {
    return this.#redirected ? this.#onGone : this.#inner.onGone;
  }
  set onGone(action: (() => void) | undefined) {
    if (this.#redirected) this.#onGone = action;
    else this.#inner.onGone = action;
  }

  respond(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (this.#redirected) return;
    const redirect = this.#inner.ended ? undefined : redirectOf(head);
    if (redirect === undefined) {
      this.#inner.respond(head, body, last);
      return;
    }
    if (hasNoContent(head.status)) {
      const fields = Buffer.from(redirect.fields, "latin1");
      this.#inner.respond({ ...head, fields, contentLength: -1 }, undefined, true);
      return;
    }
    this.#redirected = true;
    this.#onFlushed = this.#inner.onFlushed;
    this.#onGone = this.#inner.onGone;
    this.#inner.onFlushed = undefined;
    this.#inner.onGone = undefined;
    this.#over = last;
    const inner = this.#inner;
    if (contentTypesLoaded()) this.#send(redirect, head);
    else whenTypesLoaded(inner, () => this.#send(redirect, head));
    if (!last && body !== undefined) this.#drop(body.length);
  }

  write(octets: Uint8Array, last: boolean): void {
    if (!this.#redirected) {
      this.#inner.write(octets, last);
    } else if (!this.#over) {
      this.#over = last;
      if (!last) this.#drop(octets.length);
    }
  }

  get takesHints(): boolean {
    return this.#inner.takesHints;
  }
  get takesTrailers(): boolean {
    return this.#inner.takesTrailers;
  }

  inform(status: number, fields: Uint8Array): void {
    this.#inner.inform(status, fields);
  }

  end(trailers: Uint8Array): void {
    if (this.#redirected) this.#over = true;
    else this.#inner.end(trailers);
  }

  cut(left?: boolean): void {
    if (this.#redirected) this.#over = true;
    else this.#inner.cut(left);
  }

  refuse(status: number, sentence: string, fields?: string): void {
    if (!this.#redirected) this.#inner.refuse(status, sentence, fields);
  }

  /** Body octets of the handler that nobody gets: the next may come, up to a bound. */
  #drop(octets: number): void {
    this.#dropped += octets;
    if (this.#dropped <= droppedMost) {
      this.#onFlushed?.(octets);
    } else {
      this.#over = true;
      this.#onGone?.();
    }
  }

  #send(redirect: Redirect, head: ResponseHead): void {
    const exchange = this.#inner;
    const place = fileOf(redirect, this.#places);
    const file = place === undefined ? "outside" : openBelow(place.path, place.roots);
    if (place !== undefined && typeof file !== "string") this.#sendFile(redirect, head, place.path, file);
    else if (file === "forbidden" || file === "exhausted" || file === "failed") refuseUnread(exchange, file);
    else {
      const outside = file === "outside";
      const { method, target } = exchange.request;
      const what = outside ? "which is below none of the roots configured for it" : "which is no file";
      log(
        "warning",
        "static",
        `${redirect.field} in the answer to ${method} ${target} names ${redirect.value}, ${what}.`,
      );
      if (outside) exchange.refuse(502, "The application named a file that may not be sent.");
      else exchange.refuse(404, "There is no such file.");
    }
  }

  #sendFile(redirect: Redirect, head: ResponseHead, path: string, file: OpenFile): void {
    const exchange = this.#inner;
    const request = fileRequest(exchange.request);
    // A part is made here, of the whole.
    const ordinary = head.status === 200 || head.status === 206;
    const representation = represent(file.stats, {
      contentType: redirect.contentType === "" ? contentType(path, {}, "utf-8") : redirect.contentType,
      coding: "",
      fields: redirect.fields,
      status: ordinary ? 200 : head.status,
      reason: ordinary ? "OK" : head.reason,
    });
    const reads = request.method === "GET" || request.method === "HEAD";
    if (ordinary && reads) answerFile(exchange, request, representation, file);
    // Conditions and ranges are about a successful answer to reading (RFC 9110 §13.2.1, §14.2), not the page of an error,
    // nor what the application has done already.
    else answerWhole(exchange, request, representation, file);
  }
}

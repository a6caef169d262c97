// A request's CGI meta-variables (RFC 3875 §4.1) as PEP 3333 wants them, for every protocol that does not bring them
// itself. This is on the way of every request, so what cannot change within a connection is made once per connection,
// and what follows from the header fields is made again only when the fields changed: a decoder that finds the same
// field lines as last time gives the same array.
//
// Encoded as `Request.variables` (exchange.ts) says: NAME NUL VALUE NUL …, one character per octet.
import { vivariumError } from "../../errors.js";

/** What the variables need of a request's head; http1's RequestHead is one. */
export interface VariablesRequest {
  readonly method: string;
  readonly target: string;
  readonly form: "origin" | "absolute" | "asterisk";
  /** Raw path, still percent-encoded. */
  readonly path: string;
  readonly query: string;
  /** The authority that applies (RFC 9112 §3.2.2), "" where there is none. */
  readonly host: string;
  /** name, value, name, value … */
  readonly fields: readonly string[];
}

/** Where a request comes from and was sent to, as far as it is believed. */
export interface Origin {
  /** "" for a client on a unix socket. */
  readonly remoteAddress: string;
  /** -1 where it is not known. */
  readonly remotePort: number;
  readonly scheme: "http" | "https";
  /** The host the client asked for, where it is known better than from the request itself, else "". */
  readonly host: string;
  /** The port the client asked for, where it is known better than from the host, else -1. */
  readonly port: number;
}

/** What is known of a connection. */
export interface ConnectionFacts extends Origin {
  /** For SERVER_SOFTWARE: "vivarium/1.2.3". */
  readonly software: string;
  /** The socket's own address, which names the server where the request does not; "" on a unix socket. */
  readonly localAddress: string;
  readonly localPort: number;
  /** Further variables of every request, encoded as those are; "" for none. */
  readonly variables?: string;
}

/** The two parts of a decoded path: what led to the application, and what is left for it. */
export interface Place {
  readonly scriptName: string;
  readonly pathInfo: string;
}

/**
 * Undoes percent-encoding once, each octet one character (PEP 3333, "Unicode Issues"). Throws ERR_HTTP_BAD_REQUEST for
 * a `%` without two hexadecimal digits, which is no URI at all (RFC 3986 §2.1: guessing would make two servers in a row
 * see two paths), and for `%00`: NUL separates variables here, ends strings in every C library below the application,
 * and no honest client sends it.
 */
export function decodePath(path: string): string {
  let at = path.indexOf("%");
  if (at < 0) return path;
  let decoded = "";
  let from = 0;
  while (at >= 0) {
    const octet = 16 * hexDigit(path.charCodeAt(at + 1)) + hexDigit(path.charCodeAt(at + 2));
    // NaN where the path ends early or a digit is none.
    if (!(octet > 0)) {
      throw vivariumError("ERR_HTTP_BAD_REQUEST", "The request target has a malformed percent-encoding.", {
        status: 400,
      });
    }
    decoded += path.slice(from, at) + String.fromCharCode(octet);
    from = at + 3;
    at = path.indexOf("%", from);
  }
  return decoded + path.slice(from);
}

function hexDigit(code: number): number {
  if (code >= 0x30 && code <= 0x39) return code - 0x30;
  const lower = code | 0x20;
  return lower >= 0x61 && lower <= 0x66 ? lower - 0x57 : Number.NaN;
}

/** A field name seen before. One per CGI name, however the field's name was spelt. */
interface KnownField {
  /** The variable's name; "" for a field that never reaches the application. */
  readonly variable: string;
  /** What stands between the values of a repeated field. */
  readonly separator: string;
  /** The pass that met this field last, to notice repetition without a set per request. */
  pass: number;
}

/** Names are remembered up to this many; clients choose them, so it must be bounded. */
const namesMost = 1024;
const byName = new Map<string, KnownField>();
const byVariable = new Map<string, KnownField>();
let pass = 0;

/**
 * Fields that do not become HTTP_*:
 * - Content-Length and Transfer-Encoding describe the framing, which is undone; the length comes from the body itself.
 * - Proxy would become HTTP_PROXY, which HTTP libraries take for their own configuration (CVE-2016-5385, "httpoxy").
 * - Expect has been met by the server (RFC 9110 §10.1.1); an application that passed it on would wait for a 100.
 * - Host is made from the authority that applies, which is not the field's with an absolute-form target.
 */
const withheld: ReadonlySet<string> = new Set(["CONTENT_LENGTH", "TRANSFER_ENCODING", "PROXY", "EXPECT", "HOST"]);

function know(name: string): KnownField {
  const upper = name.toUpperCase().replaceAll("-", "_");
  // "X_Forwarded_For" and "X-Forwarded-For" would be one variable: a client could say what a proxy is trusted to say.
  const shown = !name.includes("_") && !withheld.has(upper);
  const variable = shown ? (upper === "CONTENT_TYPE" ? upper : `HTTP_${upper}`) : "";
  let known = byVariable.get(variable);
  if (known === undefined) {
    // RFC 9110 §5.3; Cookie is the exception (RFC 6265 §5.4: "; ").
    known = { variable, separator: upper === "COOKIE" ? "; " : ", ", pass: 0 };
    byVariable.set(variable, known);
  }
  byName.set(name, known);
  return known;
}

/** The variables that header fields make, each with a NUL before its name. */
function encodeFields(fields: readonly string[]): string {
  // Never in mid-pass: repetition is noticed by the identity of what is remembered.
  if (byName.size > namesMost) {
    byName.clear();
    byVariable.clear();
  }
  pass = (pass + 1) | 0;
  let encoded = "";
  let repeated = false;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const known = byName.get(name) ?? know(name);
    if (known.variable === "") continue;
    if (known.pass === pass) {
      repeated = true;
      break;
    }
    known.pass = pass;
    encoded += `\0${known.variable}\0${fields[at + 1]}`;
  }
  return repeated ? encodeRepeatedFields(fields) : encoded;
}

function encodeRepeatedFields(fields: readonly string[]): string {
  const values = new Map<KnownField, string>();
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = fields[at] ?? "";
    const known = byName.get(name) ?? know(name);
    if (known.variable === "") continue;
    const before = values.get(known);
    const value = fields[at + 1] ?? "";
    values.set(known, before === undefined ? value : before + known.separator + value);
  }
  let encoded = "";
  for (const [known, value] of values) encoded += `\0${known.variable}\0${value}`;
  return encoded;
}

/** `[::1]` for `::1`: in SERVER_NAME an IPv6 address stands in brackets (RFC 3875 §4.1.14). */
function bracketed(address: string): string {
  return address.includes(":") ? `[${address}]` : address;
}

/** Makes the variables of one connection's requests. */
export class RequestVariables {
  readonly #facts: ConnectionFacts;
  readonly #believe: ((fields: readonly string[]) => Origin) | undefined;
  /** SERVER_SOFTWARE and GATEWAY_INTERFACE: the same for every request. */
  readonly #constant: string;

  // What the last request's fields made, and which they were.
  #fields: readonly string[] | undefined;
  #host = "";
  #origin: Origin;
  /** The fields that `origin` follows from. */
  #originFields: readonly string[] | undefined;
  #shared = 0;

  // The last request whole: a client that asks again gets the same string.
  #request: VariablesRequest | undefined;
  #place: Place | undefined;
  #protocol = "";
  #contentLength = -1;
  #variables = "";
  #again = false;

  /** `believe` says where a request comes from by its fields; only for a peer that is trusted to write them. */
  constructor(facts: ConnectionFacts, believe?: (fields: readonly string[]) => Origin) {
    this.#facts = facts;
    this.#origin = facts;
    this.#believe = believe;
    const { software, variables = "" } = facts;
    this.#constant = `SERVER_SOFTWARE\0${software}\0GATEWAY_INTERFACE\0CGI/1.1${variables === "" ? "" : `\0${variables}`}`;
  }

  /** Of the last variables, the octets that come again while the connection's fields do not change. */
  get shared(): number {
    return this.#shared;
  }

  /** Whether the last variables are the string that was given before. */
  get again(): boolean {
    return this.#again;
  }

  /** The host a request asks for, as far as it is known: routing goes by the one that the application will see. */
  hostOf(request: VariablesRequest): string {
    const { host } = this.#originOf(request.fields);
    return host === "" ? request.host : host;
  }

  #originOf(fields: readonly string[]): Origin {
    if (this.#believe !== undefined && fields !== this.#originFields) {
      this.#origin = this.#believe(fields);
      this.#originFields = fields;
    }
    return this.#origin;
  }

  /** REMOTE_ADDR of the last request encoded. */
  get remoteAddress(): string {
    return this.#origin.remoteAddress;
  }

  /**
   * The variables of a request. `protocol` is SERVER_PROTOCOL; `contentLength` the length of its body, known once it is
   * whole, or -1 for a request without one.
   */
  encode(request: VariablesRequest, protocol: string, place: Place, contentLength: number): string {
    const last = this.#request;
    if (
      last !== undefined &&
      (request === last ||
        (request.fields === this.#fields &&
          request.target === last.target &&
          request.method === last.method &&
          request.host === last.host)) &&
      protocol === this.#protocol &&
      contentLength === this.#contentLength &&
      place.scriptName === this.#place?.scriptName
    ) {
      this.#again = true;
      return this.#variables;
    }
    this.#again = false;
    // V8 keeps a concatenation as a tree, and makes one string of it when it is cut. What is cut off refers to that one: neither
    // the tree nor a copy is kept.
    const again = request.fields === this.#fields && request.host === this.#host;
    const shared = again ? this.#variables.slice(0, this.#shared) : this.#encodeShared(request);
    let variables = `${shared}\0REQUEST_METHOD\0${request.method}\0SCRIPT_NAME\0${place.scriptName}\0PATH_INFO\0${
      place.pathInfo
    }\0QUERY_STRING\0${request.query}\0REQUEST_URI\0${requestUri(request)}\0SERVER_PROTOCOL\0${protocol}`;
    if (contentLength >= 0) variables += `\0CONTENT_LENGTH\0${contentLength}`;
    this.#shared = shared.length;
    this.#fields = request.fields;
    this.#host = request.host;
    this.#request = request;
    this.#place = place;
    this.#protocol = protocol;
    this.#contentLength = contentLength;
    this.#variables = variables;
    return variables;
  }

  #encodeShared(request: VariablesRequest): string {
    const origin = this.#originOf(request.fields);
    const host = this.hostOf(request);
    let shared = `${this.#constant}\0wsgi.url_scheme\0${origin.scheme}\0REMOTE_ADDR\0${origin.remoteAddress}`;
    if (origin.remotePort >= 0) shared += `\0REMOTE_PORT\0${origin.remotePort}`;
    if (origin.scheme === "https") shared += "\0HTTPS\0on";
    shared += this.#server(host, origin);
    if (host !== "") shared += `\0HTTP_HOST\0${host}`;
    return shared + encodeFields(request.fields);
  }

  /** SERVER_NAME: of the host that applies; the socket's own where there is none (HTTP/1.0). */
  #server(host: string, origin: Origin): string {
    const colon = host.endsWith("]") ? -1 : host.lastIndexOf(":");
    const name = colon < 0 ? host : host.slice(0, colon);
    const port = this.#port(name, colon < 0 ? "" : host.slice(colon + 1), origin);
    return `\0SERVER_NAME\0${name === "" ? this.#ownName() : name}\0SERVER_PORT\0${port}`;
  }

  #ownName(): string {
    const address = this.#facts.localAddress;
    return address === "" ? "localhost" : bracketed(address);
  }

  /**
   * SERVER_PORT is the port that the request came to (RFC 3875 §4.1.15, "MUST"), whatever Host says. Where a trusted
   * proxy or a unix socket stands between, that is the one the client asked for.
   */
  #port(name: string, ofHost: string, origin: Origin): number | string {
    const { localPort } = this.#facts;
    if (localPort >= 0 && this.#believe === undefined) return localPort;
    if (ofHost !== "") return ofHost;
    if (origin.port >= 0) return origin.port;
    if (localPort >= 0 && name === "") return localPort;
    return origin.scheme === "https" ? 443 : 80;
  }
}

/**
 * The target as sent, except that an absolute-form one (RFC 9112 §3.2.2) is reduced to its path and query, as Apache and
 * nginx do: applications rebuild addresses by putting REQUEST_URI behind scheme and host.
 */
function requestUri(request: VariablesRequest): string {
  if (request.form !== "absolute") return request.target;
  return request.query === "" ? request.path : `${request.path}?${request.query}`;
}

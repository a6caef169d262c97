// What a server behind this one is told about the client. Over HTTP: X-Forwarded-For, -Proto, -Host, -Port, and Forwarded
// (RFC 7239). FastCGI, SCGI and uwsgi have variables for all of it (REMOTE_ADDR, REQUEST_SCHEME, HTTP_HOST), which are of the
// client as far as it is believed. In either, what a client that is no trusted proxy wrote in such fields is taken out: an
// application that reads them believes whoever sends the request to it, and that is this server.
import { isIPv6 } from "node:net";
import type { Request } from "../exchange.js";
import { Known, Memo } from "../memo.js";

/** The variables to send, in two parts, each as `Request.variables` and perhaps empty. */
export interface Forwarded {
  /** Those that other requests are likely to have too. It is the same string then, so that what was made of it can be found by it. */
  readonly common: string;
  /** Those that come behind. */
  readonly own: string;
  /** Where these very variables are likely to be sent once more: the same object then. */
  readonly encoded?: Encoded;
}

/** Variables that are sent again and again, as the octets of a protocol. */
export class Encoded {
  #encode: unknown;
  #octets: Uint8Array | undefined;

  /** What `encode` makes of the two parts; called once, unless servers of one group speak several protocols. */
  by(encode: (common: string, own: string) => Uint8Array, common: string, own: string): Uint8Array {
    if (this.#octets === undefined || this.#encode !== encode) {
      this.#octets = encode(common, own);
      this.#encode = encode;
    }
    return this.#octets;
  }
}

export interface ForwardedOptions {
  readonly http: boolean;
  /** HTTP: send Forwarded where the request had none. */
  readonly forwarded: boolean;
  /** Further variables; they take the place of the request's of the same name. */
  readonly params: Readonly<Record<string, string>>;
}

/** The variables of a request as a server is to see them. */
export type Forwarder = (request: Pick<Request, "variables" | "shared" | "again" | "trustedPeer">) => Forwarded;

export function forwarder(options: ForwardedOptions): Forwarder {
  const params = new Map(Object.entries(options.params).map(([name, value]) => [name, octetsOf(value)]));
  const rewrite = (variables: string, peer: string | undefined): string =>
    options.http ? overHttp(variables, peer, options.forwarded) : overCgi(variables, peer, params);
  const concerned = mayConcern([...wanted, ...params.keys()]);
  const untrusted = new Memo((variables) => rewrite(variables, undefined));
  const trusted = new Memo((text) => {
    const at = text.indexOf("\0");
    return rewrite(text.slice(at + 1), text.slice(0, at));
  });
  const divide = ({ variables, shared, trustedPeer }: Parameters<Forwarder>[0]): Forwarded => {
    const own = variables.slice(shared + 1);
    // What is said of the client must be seen as a whole.
    if (shared === 0 || concerned.test(own)) return { common: "", own: rewrite(variables, trustedPeer) };
    const common = variables.slice(0, shared);
    if (trustedPeer === undefined) return { common: untrusted.of(common), own };
    return { common: trusted.of(`${trustedPeer}\0${common}`), own };
  };
  const repeated = new Known<Forwarded>();
  return (request) => {
    if (request.again !== true || request.trustedPeer !== undefined) return divide(request);
    const { variables } = request;
    return repeated.get(variables) ?? repeated.keep(variables, { ...divide(request), encoded: new Encoded() });
  };
}

/** Finds variables that have one of these names, or are header fields; may find a value that looks like a name. */
function mayConcern(names: readonly string[]): RegExp {
  const escaped = names.map((name) => name.replace(/[^A-Za-z0-9_]/g, "\\$&"));
  return new RegExp(`(?:^|\0)(?:HTTP_|(?:${escaped.join("|")})\0)`);
}

/** Variables hold octets, one to a character. */
export function octetsOf(value: string): string {
  return Buffer.from(value, "utf8").toString("latin1");
}

/** Whether it tells of the client what only a proxy may tell. */
function isForwarding(name: string): boolean {
  return name.startsWith("HTTP_X_FORWARDED_") || name === "HTTP_FORWARDED" || name === "HTTP_X_REAL_IP";
}

/** Calls `take` with each variable, and where it begins. */
function walk(variables: string, take: (name: string, valueAt: number, end: number, at: number) => void): void {
  const { length } = variables;
  for (let at = 0; at < length; ) {
    const nameEnd = variables.indexOf("\0", at);
    if (nameEnd < 0) return;
    const next = variables.indexOf("\0", nameEnd + 1);
    const end = next < 0 ? length : next;
    take(variables.slice(at, nameEnd), nameEnd + 1, end, at);
    at = end + 1;
  }
}

const schemeName = "wsgi.url_scheme";

function overCgi(variables: string, trustedPeer: string | undefined, params: ReadonlyMap<string, string>): string {
  let result = "";
  /** What was not copied to `result` yet begins here. */
  let from = 0;
  walk(variables, (name, valueAt, end, at) => {
    if (name === schemeName) {
      result += `${variables.slice(from, at)}REQUEST_SCHEME`;
      from = valueAt - 1;
    } else if (params.has(name) || (trustedPeer === undefined && isForwarding(name))) {
      result += variables.slice(from, at);
      from = end + 1;
    }
  });
  result += variables.slice(from);
  // the last one, left out, leaves the NUL in front of it
  if (result.endsWith("\0") && from > variables.length) result = result.slice(0, -1);
  for (const [name, value] of params) result += `${result === "" ? "" : "\0"}${name}\0${value}`;
  return result;
}

/** The fields that this server writes itself. */
class Hop {
  remoteAddress = "";
  scheme = "http";
  host = "";
  port = "";
  forwardedFor = "";
  forwardedProto = "";
  forwardedHost = "";
  forwardedPort = "";
  forwarded = "";

  take(name: string, value: string): void {
    switch (name) {
      case "REMOTE_ADDR":
        this.remoteAddress = value;
        break;
      case schemeName:
        this.scheme = value;
        break;
      case "HTTP_HOST":
        this.host = value;
        break;
      case "SERVER_PORT":
        this.port = value;
        break;
      case "HTTP_X_FORWARDED_FOR":
        this.forwardedFor = value;
        break;
      case "HTTP_X_FORWARDED_PROTO":
        this.forwardedProto = value;
        break;
      case "HTTP_X_FORWARDED_HOST":
        this.forwardedHost = value;
        break;
      case "HTTP_X_FORWARDED_PORT":
        this.forwardedPort = value;
        break;
      case "HTTP_FORWARDED":
        this.forwarded = value;
        break;
      default:
    }
  }
}

function overHttp(variables: string, trustedPeer: string | undefined, always: boolean): string {
  const trusted = trustedPeer !== undefined;
  const hop = new Hop();
  let result = "";
  let from = 0;
  walk(variables, (name, valueAt, end, at) => {
    const forwarding = isForwarding(name);
    if (forwarding || wanted.has(name)) hop.take(name, variables.slice(valueAt, end));
    if (!forwarding || (trusted && !written.has(name))) return;
    result += variables.slice(from, at);
    from = end + 1;
  });
  result += from === 0 ? variables : variables.slice(from);
  if (result.endsWith("\0") && from > variables.length) result = result.slice(0, -1);
  const peer = trusted ? trustedPeer : hop.remoteAddress;
  const forwardedFor = trusted ? listed(hop.forwardedFor, peer) : peer;
  if (forwardedFor !== "") result += `\0HTTP_X_FORWARDED_FOR\0${forwardedFor}`;
  result += `\0HTTP_X_FORWARDED_PROTO\0${(trusted && hop.forwardedProto) || hop.scheme}`;
  const host = (trusted && hop.forwardedHost) || hop.host;
  if (host !== "") result += `\0HTTP_X_FORWARDED_HOST\0${host}`;
  const port = (trusted && hop.forwardedPort) || hop.port;
  if (port !== "") result += `\0HTTP_X_FORWARDED_PORT\0${port}`;
  if (always || hop.forwarded !== "") {
    result += `\0HTTP_FORWARDED\0${listed(trusted ? hop.forwarded : "", element(peer, hop))}`;
  }
  return result;
}

const wanted: ReadonlySet<string> = new Set(["REMOTE_ADDR", schemeName, "HTTP_HOST", "SERVER_PORT"]);
const written: ReadonlySet<string> = new Set([
  "HTTP_X_FORWARDED_FOR",
  "HTTP_X_FORWARDED_PROTO",
  "HTTP_X_FORWARDED_HOST",
  "HTTP_X_FORWARDED_PORT",
  "HTTP_FORWARDED",
]);

/** A list with one more member; a peer on a unix socket has no address to add. */
function listed(list: string, member: string): string {
  if (member === "") return list;
  return list === "" ? member : `${list}, ${member}`;
}

/** This hop as RFC 7239 §4 writes it. */
function element(peer: string, hop: Hop): string {
  const node = peer === "" ? "unknown" : isIPv6(peer) ? `"[${peer}]"` : peer;
  const host = hop.host === "" ? "" : `;host=${token.test(hop.host) ? hop.host : quoted(hop.host)}`;
  return `for=${node}${host};proto=${hop.scheme}`;
}

const token = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;

function quoted(text: string): string {
  return `"${text.replace(/["\\]/g, "\\$&")}"`;
}

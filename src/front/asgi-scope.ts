// What a request is to an ASGI application: what a REQUEST frame carries in place of CGI variables (python/wire/README.md). The connection's
// requests share most of it, and a client that asks again for the same shares all of it: both are made once.
import type { Exchange, LocalEnd, Request } from "../exchange.js";
import { Known } from "../memo.js";
import { pickVariables } from "../protocol/cgi/variables.js";
import { requestFlag } from "../python/wire/frames.js";
import { tlsExtension } from "./asgi-tls.js";

export interface EncodedScope {
  readonly text: string;
  /** `Request.shared` for `text`. */
  readonly shared: number;
  /** requestFlag.takesHints and takesTrailers. */
  readonly flags: number;
}

interface OfFields {
  readonly shared: string;
  readonly flags: number;
  /** What was made last, and of which variables. */
  variables: string;
  encoded: EncodedScope | undefined;
}

const known = new WeakMap<readonly string[], OfFields>();

export function encodeScope(exchange: Exchange): EncodedScope {
  const { request } = exchange;
  const { fields, variables } = request;
  if (fields === undefined) return encodeReceived(exchange, request.again === true);
  let entry = known.get(fields);
  // With an absolute target the authority is not the field's, and may be another each time (RFC 9112 §3.2.2).
  if (entry === undefined || !request.target.startsWith("/")) {
    const shared = sharedOfFields(request, fields);
    entry = { shared, flags: flagsOf(exchange), variables: "", encoded: undefined };
    known.set(fields, entry);
  }
  if (entry.encoded !== undefined && entry.variables === variables) return entry.encoded;
  entry.variables = variables;
  entry.encoded = joined(entry.shared, ownPart(request), entry.flags);
  return entry.encoded;
}

const received = new Known<EncodedScope>();

/** Of a request that a web server in front described. */
function encodeReceived(exchange: Exchange, again: boolean): EncodedScope {
  const { variables } = exchange.request;
  const before = again ? received.get(variables) : undefined;
  const flags = flagsOf(exchange);
  if (before?.flags === flags) return before;
  const encoded = joined(sharedOfVariables(variables), receivedPart(variables), flags);
  return again ? received.keep(variables, encoded) : encoded;
}

function joined(shared: string, own: string, flags: number): EncodedScope {
  return { text: `${shared}\0${own}`, shared: shared.length, flags };
}

function flagsOf({ takesHints, takesTrailers }: Exchange): number {
  return (takesHints ? requestFlag.takesHints : 0) | (takesTrailers ? requestFlag.takesTrailers : 0);
}

const steadyNames: ReadonlyMap<string, number> = new Map([
  ["wsgi.url_scheme", 0],
  ["REMOTE_ADDR", 1],
  ["REMOTE_PORT", 2],
  ["SERVER_NAME", 3],
  ["SERVER_PORT", 4],
  ["HTTP_HOST", 5],
]);

const ownNames: ReadonlyMap<string, number> = new Map([
  ["REQUEST_METHOD", 0],
  ["SCRIPT_NAME", 1],
  ["PATH_INFO", 2],
  ["QUERY_STRING", 3],
  ["REQUEST_URI", 4],
  ["SERVER_PROTOCOL", 5],
]);

function sharedOfFields({ variables, shared, local }: Request, fields: readonly string[]): string {
  const connection = shared > 0 ? variables.slice(0, shared) : variables;
  const steady = pickVariables(connection, steadyNames);
  const [scheme = "http", address = "", port = "", , , host] = steady;
  let text = `${scheme}\0${address}\0${port}\0${ownEnd(local)}${tlsField(connection, scheme)}`;
  for (let at = 0; at + 1 < fields.length; at += 2) {
    const name = (fields[at] ?? "").toLowerCase();
    text += `\0${name}\0${name === "host" && host !== undefined ? host : fields[at + 1]}`;
  }
  return text;
}

/** A field by a name that none can have. */
function tlsField(variables: string, scheme: string): string {
  const told = scheme === "https" ? tlsExtension(variables) : "";
  return told === "" ? "" : `\0:tls\0${told}`;
}

/** Address and port, or a unix socket's path, each character an octet. */
function ownEnd({ localAddress, localPort, localPath = "" }: LocalEnd = { localAddress: "", localPort: -1 }): string {
  if (localPort >= 0) return `${localAddress}\0${localPort}`;
  return `${Buffer.from(localPath).toString("latin1")}\0`;
}

/** Where a web server in front described the request, its fields are the HTTP_* of the variables (RFC 3875 §4.1.18). */
function sharedOfVariables(variables: string): string {
  const steady = pickVariables(variables, steadyNames);
  const [scheme = "http", address = "", port = "", serverName = "", serverPort = ""] = steady;
  let text = `${scheme}\0${address}\0${port}\0${serverName}\0${serverPort}`;
  const parts = variables.split("\0");
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const name = fieldName(parts[at] ?? "");
    if (name !== "") text += `\0${name}\0${parts[at + 1]}`;
  }
  return text;
}

function fieldName(variable: string): string {
  if (variable === "CONTENT_TYPE" || variable === "CONTENT_LENGTH") return variable.toLowerCase().replace("_", "-");
  return variable.startsWith("HTTP_") ? variable.slice(5).toLowerCase().replaceAll("_", "-") : "";
}

function ownPart({ method, pathRaw, target, variables, shared }: Request): string {
  const own = pickVariables(shared > 0 ? variables.slice(shared + 1) : variables, ownNames);
  const [, root = "", , query = "", , protocol = ""] = own;
  // "" is the server as a whole: `OPTIONS *`.
  return `${method}\0${root}\0${pathRaw === "" ? target : pathRaw}\0${query}\0${version(protocol)}`;
}

/** As `ownPart`, of variables alone. */
function receivedPart(variables: string): string {
  const own = pickVariables(variables, ownNames);
  const [method = "", root = "", pathInfo = "", query = "", uri = "", protocol = ""] = own;
  const path = root + pathInfo;
  const [sent = ""] = uri.split("?", 1);
  // A server in front may have rewritten the path: then nobody sent it.
  const raw = decoded(sent) === path ? sent : encoded(path);
  return `${method}\0${root}\0${raw}\0${query}\0${version(protocol)}`;
}

function decoded(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

/** What may not stand in a path (RFC 3986 §3.3), and "%" itself. */
function encoded(path: string): string {
  return path.replace(
    /[^A-Za-z0-9/._~!$&'()*+,;=:@-]/g,
    (octet) => `%${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

/** "1.1" of HTTP/1.1, "2" of HTTP/2.0. */
function version(protocol: string): string {
  return protocol.slice(5).replace(/^([23])\.0$/, "$1");
}

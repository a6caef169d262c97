// A request as a web server in front describes it over FastCGI, SCGI or uwsgi: variables in the manner of CGI, and no two
// servers send the same. What the application sees is what it would see over HTTP (request-variables.ts), and beside it
// what the administrator of the front added.
//
// The front is believed about its client: whoever can connect to such a listener can say anything. What the *client* said
// (HTTP_*) is worth no more than over HTTP: forwarding fields count only where the address that the front names is a
// trusted proxy's.
//
// Steady variables come first and are told apart (`shared`): on the connections that a front keeps, requests resemble each
// other, and the worker keeps what it made of that part.
import { type VivariumError, vivariumError } from "../../errors.js";
import { type Gathered, gather, understood } from "./received-names.js";
import { originForm, receivedPath } from "./received-path.js";
import type { Origin, Place } from "./request-variables.js";

/** What does not depend on the request. */
export interface ReceivedFacts {
  /** SERVER_SOFTWARE: "vivarium/1.2.3". */
  readonly software: string;
  /**
   * Where a request comes from by its forwarding fields (name in lower case, value, …) when the peer, which is the front's
   * client, is trusted to write them; else undefined.
   */
  believe(fields: readonly string[], peer: Origin): Origin | undefined;
}

export interface ReceivedRequest {
  readonly method: string;
  /** REQUEST_URI without scheme and authority; made from path and query where the front sends none. */
  readonly target: string;
  /** SERVER_PROTOCOL, "HTTP/1.1" where there is none. */
  readonly protocol: string;
  /** What routing looks at: decoded, one character per octet, "" for the server as a whole. */
  readonly path: string;
  /** The authority asked for, "" where there is none. */
  readonly host: string;
  /** The length of the body as announced, octets, or -1. */
  readonly contentLength: number;
  /** The body is in chunks (RFC 9112 §7.1), and no length announced. */
  readonly chunked: boolean;
  /** The client's address; "" for one on a unix socket. */
  readonly remoteAddress: string;
  /** The address that the front names, where it is a trusted proxy's and its forwarding fields were believed; else undefined. */
  readonly trustedPeer: string | undefined;
  readonly referer: string;
  readonly userAgent: string;
  /** `Request.shared` for what `encode` gives. */
  readonly shared: number;
  /** `Request.again` for what `encode` gave last. */
  readonly again: boolean;
  /**
   * `Request.variables` for the application mounted at `place`. Where that is the root, the front's own mount point is its
   * SCRIPT_NAME. `bodyLength` is that of the body as received, octets, or -1 for a request without one.
   */
  encode(place: Place, bodyLength: number): string;
}

/**
 * `pairs` are name, value, name, value …, latin-1, as received (see `gather` for names that come twice). Throws a
 * VivariumError with status 400 where they are no request.
 */
export function receivedRequest(pairs: readonly string[], facts: ReceivedFacts): ReceivedRequest {
  const gathered = gather(pairs);
  if (gathered === undefined) throw badRequest("A variable of the request has a NUL in its value.");
  return new Received(gathered, facts);
}

function badRequest(sentence: string): VivariumError {
  return vivariumError("ERR_CGI_BAD_REQUEST", sentence, { status: 400 });
}

class Received implements ReceivedRequest {
  readonly method: string;
  readonly target: string;
  readonly protocol: string;
  readonly path: string;
  readonly host: string;
  readonly contentLength: number;
  readonly chunked: boolean;
  readonly remoteAddress: string;
  readonly trustedPeer: string | undefined;
  readonly referer: string;
  readonly userAgent: string;
  readonly shared: number;
  again = false;
  /** The front's own mount point, a prefix of `path`. */
  readonly #scriptName: string;
  readonly #variables: string;
  /** What was encoded last, and for what: who comes again asks for the same (ingress/recurring-requests.ts). */
  #encoded = "";
  #encodedMount = "";
  #encodedLength = Number.NaN;

  constructor(gathered: Gathered, facts: ReceivedFacts) {
    const { values, forwarded } = gathered;
    this.method = methodOf(values);
    this.contentLength = lengthOf(values);
    this.chunked = this.contentLength < 0 && isChunked(said(values, "HTTP_TRANSFER_ENCODING"));
    this.protocol = protocolOf(said(values, "SERVER_PROTOCOL"));
    this.referer = said(values, "HTTP_REFERER");
    this.userAgent = said(values, "HTTP_USER_AGENT");
    const { path, scriptName, query, target } = resource(values);
    this.path = path;
    this.target = target;
    this.#scriptName = scriptName;

    const client = clientOf(values);
    // Whoever sends no REMOTE_ADDR at all has not said that its client is on a unix socket.
    const believed = forwarded && said(values, "REMOTE_ADDR") !== "" ? facts.believe(forwarded, client) : undefined;
    const { remoteAddress, remotePort, scheme } = believed ?? client;
    this.remoteAddress = remoteAddress;
    this.trustedPeer = believed === undefined ? undefined : client.remoteAddress;
    this.host = believed === undefined || believed.host === "" ? hostOf(values) : believed.host;
    const steady = `SERVER_SOFTWARE\0${facts.software}\0GATEWAY_INTERFACE\0CGI/1.1\0wsgi.url_scheme\0${scheme}${
      scheme === "https" ? "\0HTTPS\0on" : ""
    }${server(values, scheme, this.host, believed)}\0SERVER_PROTOCOL\0${this.protocol}${
      this.host === "" ? "" : `\0HTTP_HOST\0${this.host}`
    }${gathered.steady}`;
    this.shared = gathered.ordered ? steady.length : 0;
    const type = said(values, "CONTENT_TYPE") || said(values, "HTTP_CONTENT_TYPE");
    this.#variables = `${steady}\0REMOTE_ADDR\0${remoteAddress}${remotePort < 0 ? "" : `\0REMOTE_PORT\0${remotePort}`}${
      gathered.passing
    }${type === "" ? "" : `\0CONTENT_TYPE\0${type}`}\0REQUEST_METHOD\0${this.method}\0QUERY_STRING\0${query}\0REQUEST_URI\0${target}`;
  }

  encode(place: Place, bodyLength: number): string {
    if (this.#encodedLength === bodyLength && this.#encodedMount === place.scriptName) {
      // V8 keeps a concatenation as a tree, and copies it leaf by leaf each time; asked for a character, it makes one string.
      this.#encoded.charCodeAt(0);
      this.again = true;
      return this.#encoded;
    }
    this.again = false;
    const own = this.#scriptName;
    // Both are prefixes of the path. An explicit mount says more than the front's split.
    const { scriptName, pathInfo } =
      place.scriptName === "" ? { scriptName: own, pathInfo: this.path.slice(own.length) } : place;
    this.#encodedMount = place.scriptName;
    this.#encodedLength = bodyLength;
    this.#encoded = `${this.#variables}\0SCRIPT_NAME\0${scriptName}\0PATH_INFO\0${pathInfo}${
      bodyLength < 0 ? "" : `\0CONTENT_LENGTH\0${bodyLength}`
    }`;
    return this.#encoded;
  }
}

type Values = readonly string[];

function said(values: Values, name: keyof typeof understood): string {
  return values[understood[name]] ?? "";
}

/** RFC 9110 §5.6.2 */
const token = /^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/;

function methodOf(values: Values): string {
  const method = said(values, "REQUEST_METHOD");
  if (method === "GET" || method === "POST") return method;
  if (method === "") {
    throw badRequest(
      "The request has no REQUEST_METHOD: the web server in front does not send its standard parameters.",
    );
  }
  if (!token.test(method)) throw badRequest("The request's method is malformed.");
  return method;
}

/**
 * nginx has what it read of a chunked body in CONTENT_LENGTH, and the client's field, if any, in HTTP_CONTENT_LENGTH.
 * Caddy says -1 of a body that it passes on while it comes, in chunks: its length is not known.
 */
function lengthOf(values: Values): number {
  const text = said(values, "CONTENT_LENGTH") || said(values, "HTTP_CONTENT_LENGTH");
  if (text === "" || text === "-1") return -1;
  if (!/^\d{1,15}$/.test(text)) throw badRequest("The request's CONTENT_LENGTH is no number.");
  return Number(text);
}

function isChunked(coding: string): boolean {
  return coding !== "" && /(?:^|,)[ \t]*chunked[ \t]*$/i.test(coding);
}

/** A front that speaks HTTP/2 with its client says so. */
function protocolOf(text: string): string {
  return text === "HTTP/1.1" || /^HTTP\/\d(?:\.\d)?$/.test(text) ? text : "HTTP/1.1";
}

interface Resource {
  readonly path: string;
  readonly scriptName: string;
  readonly query: string;
  readonly target: string;
}

function resource(values: Values): Resource {
  const uri = said(values, "REQUEST_URI");
  const { path, scriptName } = receivedPath({
    uri,
    scriptName: said(values, "SCRIPT_NAME"),
    pathInfo: said(values, "PATH_INFO"),
    documentUri: said(values, "DOCUMENT_URI"),
  });
  // A query that the front rewrote is the one that holds; one that it does not send is REQUEST_URI's.
  const at = uri.indexOf("?");
  const query = said(values, "QUERY_STRING") || (at < 0 ? "" : uri.slice(at + 1));
  const target = uri === "" ? `${encodePath(path)}${query === "" ? "" : `?${query}`}` : originForm(uri);
  return { path, scriptName, query, target };
}

/** Percent-encodes what may not stand in a path (RFC 3986 §3.3), and "%" itself. */
function encodePath(path: string): string {
  return path.replace(
    /[^A-Za-z0-9/._~!$&'()*+,;=:@-]/g,
    (octet) => `%${octet.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`,
  );
}

const on: ReadonlySet<string> = new Set(["on", "1", "true", "yes"]);
const off: ReadonlySet<string> = new Set(["off", "0", "false", "no"]);

/**
 * HTTPS, and with uWSGI UWSGI_SCHEME, is what administrators set where something else ends TLS before the front: they go
 * before REQUEST_SCHEME.
 */
function schemeOf(values: Values): "http" | "https" {
  const https = said(values, "HTTPS");
  if (https !== "") {
    const word = https.toLowerCase();
    if (on.has(word)) return "https";
    if (off.has(word)) return "http";
  }
  return (said(values, "UWSGI_SCHEME") || said(values, "REQUEST_SCHEME")).toLowerCase() === "https" ? "https" : "http";
}

/** Whom the front names as its client. */
function clientOf(values: Values): Origin {
  const address = said(values, "REMOTE_ADDR");
  const port = said(values, "REMOTE_PORT");
  return {
    // nginx says "unix:" of a client on a unix socket.
    remoteAddress: address.startsWith("unix:") ? "" : plain(address),
    remotePort: isPort(port) ? Number(port) : -1,
    scheme: schemeOf(values),
    host: "",
    port: -1,
  };
}

/** `::ffff:192.0.2.1`, as a socket that listens on both families says it, is the IPv4 address. */
function plain(address: string): string {
  return address.startsWith("::ffff:") && address.includes(".") ? address.slice(7) : address;
}

function isPort(text: string): boolean {
  return text !== "" && text.length <= 5 && /^\d+$/.test(text) && Number(text) > 0 && Number(text) < 65536;
}

/** Joined from several, or with what stands in no authority (RFC 3986 §3.2), it would route a request who knows where. */
function hostOf(values: Values): string {
  const host = said(values, "HTTP_HOST");
  if (/[^!$&'()*+;=A-Za-z0-9._~%:[\]-]/.test(host)) throw badRequest("The request's HTTP_HOST is malformed.");
  return host;
}

/**
 * SERVER_NAME and SERVER_PORT, which PEP 3333 wants never empty: the front's, unless a trusted proxy before it knows what the
 * client asked for. nginx's `server_name` is often no name ("_", "*.example.org", "~^www\d").
 */
function server(values: Values, scheme: string, host: string, believed: Origin | undefined): string {
  const colon = host.endsWith("]") ? -1 : host.lastIndexOf(":");
  const hostName = colon < 0 ? host : host.slice(0, colon);
  const hostPort = colon < 0 ? "" : host.slice(colon + 1);
  const standard = scheme === "https" ? "443" : "80";
  const saidName = said(values, "SERVER_NAME");
  const saidPort = said(values, "SERVER_PORT");
  // HAProxy has Host's port in it.
  const ownName = /^(?!_$)[A-Za-z0-9._-]+(?=(?::\d*)?$)|^\[?[0-9A-Fa-f:.]+\]?$/.exec(saidName)?.[0] ?? "";
  const ownPort = isPort(saidPort) ? saidPort : "";
  const name =
    (believed === undefined ? ownName : "") || hostName || ownName || said(values, "SERVER_ADDR") || "localhost";
  const port =
    believed === undefined
      ? ownPort || hostPort
      : hostPort || (believed.port >= 0 ? String(believed.port) : hostName === "" ? ownPort : standard);
  return `\0SERVER_NAME\0${bracketed(name)}\0SERVER_PORT\0${port || standard}`;
}

/** In SERVER_NAME an IPv6 address stands in brackets (RFC 3875 §4.1.14). */
function bracketed(name: string): string {
  return name.includes(":") && !name.startsWith("[") ? `[${name}]` : name;
}

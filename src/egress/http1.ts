// HTTP/1.1 to an upstream: the request is rebuilt from its CGI variables, which is what every door makes of one. Fields about
// the client's connection are not passed on (RFC 9110 §7.6.1); the forwarding fields are the group's affair (forwarded.ts).
import { type VivariumError, vivariumError } from "../errors.js";
import { Memo } from "../memo.js";
import { isFieldValue, isTarget, isToken, listElements } from "../protocol/http1/grammar.js";
import { RequestEncoder } from "../protocol/http1/request-encoder.js";
import type { DriverOptions, UpstreamDriver, UpstreamRequest } from "./driver.js";
import { Http1Response } from "./http1-response.js";
import { SerialDriver } from "./serial.js";
import type { SerialCodec, SerialEvent } from "./serial-codec.js";

export function http1Driver(options: DriverOptions): UpstreamDriver {
  return new SerialDriver(options, (limits) => new Http1Codec(limits));
}

class Http1Codec implements SerialCodec {
  readonly #encoder = new RequestEncoder();
  readonly #response: Http1Response;
  #keep = false;

  constructor(limits: { readonly maxHead: number; readonly maxFields: number }) {
    this.#response = new Http1Response(limits);
  }

  get reusable(): boolean {
    return this.#keep && this.#response.keepAlive;
  }

  get clean(): boolean {
    return this.#response.clean;
  }

  begin(request: UpstreamRequest, keep: boolean): Uint8Array {
    const octets = encodeHead(this.#encoder, request, keep);
    this.#response.begin(request.method, request.upgrade);
    this.#keep = keep;
    return octets;
  }

  receive(chunk: Uint8Array): void {
    this.#response.receive(chunk);
  }
  receiveEnd(): void {
    this.#response.receiveEnd();
  }
  next(): SerialEvent | undefined {
    return this.#response.next();
  }
}

/**
 * Variables that never become fields: about the client's connection, or met already (Expect), or said elsewhere (Host,
 * the body's length, a WebSocket's key, and CONTENT_TYPE, which is its own variable).
 */
const withheld: ReadonlySet<string> = new Set([
  "HTTP_CONNECTION",
  "HTTP_KEEP_ALIVE",
  "HTTP_PROXY_CONNECTION",
  "HTTP_TE",
  "HTTP_TRAILER",
  "HTTP_TRANSFER_ENCODING",
  "HTTP_UPGRADE",
  "HTTP_HTTP2_SETTINGS",
  "HTTP_EXPECT",
  "HTTP_HOST",
  "HTTP_PROXY",
  "HTTP_CONTENT_LENGTH",
  "HTTP_CONTENT_TYPE",
  "HTTP_SEC_WEBSOCKET_KEY",
]);

/** `User-Agent: ` by HTTP_USER_AGENT, "" for one that is withheld. Clients choose names, so their number is bounded. */
const fieldNames = new Map<string, string>();
const namesMost = 1024;

function fieldName(variable: string): string {
  const known = fieldNames.get(variable);
  if (known !== undefined) return known;
  let name = "";
  if (variable === "CONTENT_TYPE") name = "Content-Type: ";
  else if (variable.startsWith("HTTP_") && !withheld.has(variable)) {
    const token = variable
      .slice(5)
      .split("_")
      .map((word) => word.charAt(0) + word.slice(1).toLowerCase())
      .join("-");
    // from a door that is not HTTP, a name can be anything
    if (isToken(token)) name = `${token}: `;
  }
  if (fieldNames.size >= namesMost) fieldNames.clear();
  fieldNames.set(variable, name);
  return name;
}

/** What a request's variables say of its head. */
class Head {
  #fields = "";
  #target = "";
  #host = "";
  #connection = "";
  #scriptName = "";
  #pathInfo = "";
  #query = "";
  #serverName = "";
  #serverPort = "";

  /** Of `variables` alone, or behind what was read before. */
  constructor(variables: string, before?: Head) {
    if (before !== undefined) this.#copy(before);
    const { length } = variables;
    // A value from a door that is not HTTP can have anything but NUL. PATH_INFO can have it from any.
    const suspect = control.test(variables);
    for (let at = 0; at < length; ) {
      const nameEnd = variables.indexOf("\0", at);
      if (nameEnd < 0) break;
      const next = variables.indexOf("\0", nameEnd + 1);
      const end = next < 0 ? length : next;
      const name = variables.slice(at, nameEnd);
      const field = fieldName(name);
      if (field === "") this.#take(name, variables, nameEnd + 1, end);
      else {
        const value = variables.slice(nameEnd + 1, end);
        if (suspect && !isFieldValue(value)) throw unsendable();
        this.#fields += `${field}${value}\r\n`;
      }
      at = end + 1;
    }
  }

  #copy(before: Head): void {
    this.#fields = before.#fields;
    this.#target = before.#target;
    this.#host = before.#host;
    this.#connection = before.#connection;
    this.#scriptName = before.#scriptName;
    this.#pathInfo = before.#pathInfo;
    this.#query = before.#query;
    this.#serverName = before.#serverName;
    this.#serverPort = before.#serverPort;
  }

  /** Field lines, without Host and Content-Length. */
  get fields(): string {
    const connection = this.#connection.toLowerCase();
    if (connection === "" || connection === "keep-alive" || connection === "close") return this.#fields;
    return withoutNominated(this.#fields, connection);
  }

  #take(name: string, variables: string, from: number, to: number): void {
    switch (name) {
      case "HTTP_HOST":
        this.#host = variables.slice(from, to);
        break;
      case "HTTP_CONNECTION":
        this.#connection = variables.slice(from, to);
        break;
      case "REQUEST_URI":
        this.#target = variables.slice(from, to);
        break;
      case "SCRIPT_NAME":
        this.#scriptName = variables.slice(from, to);
        break;
      case "PATH_INFO":
        this.#pathInfo = variables.slice(from, to);
        break;
      case "QUERY_STRING":
        this.#query = variables.slice(from, to);
        break;
      case "SERVER_NAME":
        this.#serverName = variables.slice(from, to);
        break;
      case "SERVER_PORT":
        this.#serverPort = variables.slice(from, to);
        break;
      default:
    }
  }

  get target(): string {
    const query = this.#query === "" ? "" : `?${this.#query}`;
    const target = this.#target === "" ? encodePath(this.#scriptName + this.#pathInfo) + query : this.#target;
    // a front-end web server passes on what it was sent, even where no request line could carry it
    return isTarget(target) ? target : target.replace(/[^!"$-~]/g, percentEncoded);
  }

  get host(): string {
    const port = this.#serverPort === "" || this.#serverPort === "80" ? "" : `:${this.#serverPort}`;
    const host = this.#host === "" ? this.#serverName + port : this.#host;
    if (!isFieldValue(host)) throw unsendable();
    return host;
  }
}

const commonHeads = new Memo((variables) => new Head(variables));

const control = /[\x01-\x08\x0a-\x1f\x7f]/;

function unsendable(): VivariumError {
  return vivariumError("ERR_HTTP_UNSENDABLE", "The request has a field that cannot be sent in HTTP/1.1.", {
    status: 400,
  });
}

function encodeHead(encoder: RequestEncoder, request: UpstreamRequest, keep: boolean): Uint8Array {
  const { method, common, own, body, upgrade } = request;
  if (method === "CONNECT" || !isToken(method)) {
    throw vivariumError("ERR_HTTP_UNSENDABLE", "The request's method cannot be sent in HTTP/1.1.", { status: 501 });
  }
  const head = new Head(own, commonHeads.of(common));
  const contentLength = body.kind === "memory" ? body.bytes.length : body.kind === "file" ? body.size : -1;
  let fields = `Host: ${head.host}\r\n${head.fields}`;
  if (contentLength >= 0) fields += `Content-Length: ${contentLength}\r\n`;
  if (upgrade !== undefined) fields += `Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: ${upgrade}\r\n`;
  const facts = { method, target: head.target, fields: Buffer.from(fields, "latin1"), contentLength };
  // A connection that becomes a WebSocket is not used again, but nor is it to close behind the response.
  encoder.begin(keep || upgrade !== undefined);
  // without a body the encoder adds the length that some methods want
  const octets = encoder.head(facts, undefined, body.kind === "empty");
  return octets instanceof Uint8Array ? octets : Buffer.concat(octets);
}

/** `fields` without those that Connection names; the forwarding ones are this server's own by now. */
function withoutNominated(fields: string, connection: string): string {
  const names = new Set(listElements(connection).filter((name) => !/^(?:x-)?forwarded/.test(name)));
  return fields
    .split("\r\n")
    .filter((line) => line !== "" && !names.has(line.slice(0, line.indexOf(":")).toLowerCase()))
    .map((line) => `${line}\r\n`)
    .join("");
}

/** A path percent-encoded: what RFC 3986 §3.3 lets stand in a path stays. */
function encodePath(path: string): string {
  const encoded = path.replace(/[^A-Za-z0-9\-._~!$&'()*+,;=:@/]/g, percentEncoded);
  return encoded === "" ? "/" : encoded;
}

function percentEncoded(character: string): string {
  return `%${character.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0")}`;
}

// Addresses as people write them on the command line → ListenAddress.
import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import type { ListenAddress, ListenProtocol } from "./config.js";
import { Expected, type ReadContext } from "./read.js";

const PROTOCOLS: Readonly<Record<string, ListenProtocol>> = {
  http: "http",
  fastcgi: "fastcgi",
  fcgi: "fastcgi",
  scgi: "scgi",
  uwsgi: "uwsgi",
};
const EXAMPLES = "such as http://127.0.0.1:8000, fastcgi://unix:/run/site.sock or http://fd:3";

/**
 * `http://HOST:PORT`, `http://unix:PATH`, `http://fd:N`, and the same with `fastcgi` (or `fcgi`), `scgi` and `uwsgi`;
 * `http://` may be left out. `PORT` alone is this machine's loopback, `:PORT` and `*:PORT` are every address. Without a
 * port an http URL means 80, as everywhere.
 */
export function listenUrl(value: unknown, context: ReadContext): ListenAddress | Expected {
  if (typeof value === "number") return listenUrl(String(value), context);
  if (typeof value !== "string") return new Expected(`an address ${EXAMPLES}`);
  const [, scheme, rest = ""] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/su.exec(value.trim()) ?? [];
  const name = scheme?.toLowerCase() ?? "http";
  const protocol = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
  // Said so, rather than called a mistake.
  if (name === "https") return new Expected("an http:// address (this version does not speak https)");
  if (protocol === undefined) return new Expected(`an address ${EXAMPLES}`);
  const place = rest.replace(/^(?!unix:)(.*)\/$/su, "$1");
  return (
    unix(protocol, place, context) ??
    inherited(protocol, place) ??
    tcp(protocol, place, scheme !== undefined && protocol === "http") ??
    new Expected(`an address ${EXAMPLES}`)
  );
}

function unix(protocol: ListenProtocol, place: string, context: ReadContext): ListenAddress | undefined {
  if (!place.startsWith("unix:") || place.length === 5 || place.includes("\0")) return undefined;
  const path = resolve(context.base, place.slice(5));
  return address(protocol, `unix:${path}`, { kind: "unix", path });
}

function inherited(protocol: ListenProtocol, place: string): ListenAddress | undefined {
  const [, digits] = /^fd:(\d{1,6})$/u.exec(place) ?? [];
  return digits === undefined ? undefined : address(protocol, `fd:${digits}`, { kind: "fd", fd: Number(digits) });
}

/** `portless`: the port may be left out. */
function tcp(protocol: ListenProtocol, place: string, portless: boolean): ListenAddress | undefined {
  const [, text = "", digits] = /^(\d{1,5})$/u.test(place)
    ? ["", "127.0.0.1", place]
    : (/^(\[[^\]]+\]|[^:[\]/?#@\s]*)(?::(\d{1,5}))?$/u.exec(place) ?? ["", "?"]);
  if (digits === undefined && (!portless || text === "")) return undefined;
  const port = digits === undefined ? 80 : Number(digits);
  const host = text === "*" ? "" : text.replace(/^\[(.*)\]$/u, "$1");
  // Only what stands in brackets is asked about: Node's isIPv6 compiles its expression first, for milliseconds.
  const literal = text.startsWith("[");
  if (port > 65_535 || (literal && !isIPv6(host)) || !/^[\w.:%-]*$/u.test(host)) return undefined;
  return address(protocol, `${text}:${port}`, { kind: "tcp", host, port });
}

function address(protocol: ListenProtocol, place: string, endpoint: ListenAddress["endpoint"]): ListenAddress {
  return Object.freeze({ url: `${protocol}://${place}`, protocol, endpoint: Object.freeze(endpoint) });
}

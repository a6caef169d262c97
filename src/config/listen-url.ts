// Addresses as people write them on the command line → ListenAddress.
import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import type { ListenAddress } from "./config.js";
import { Expected, type ReadContext } from "./read.js";

/** Protocols of later versions: said so, rather than called a mistake. */
const LATER = ["https", "fastcgi", "fcgi", "scgi", "uwsgi"];
const EXAMPLES = "such as http://127.0.0.1:8000, http://unix:/run/site.sock or http://fd:3";

/**
 * `http://HOST:PORT`, `http://unix:PATH`, `http://fd:N`; the scheme may be left out. `PORT` alone is this machine's
 * loopback, `:PORT` and `*:PORT` are every address. Without a port a URL means 80, as everywhere.
 */
export function listenUrl(value: unknown, context: ReadContext): ListenAddress | Expected {
  if (typeof value === "number") return listenUrl(String(value), context);
  if (typeof value !== "string") return new Expected(`an address ${EXAMPLES}`);
  const [, scheme, rest = ""] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/su.exec(value.trim()) ?? [];
  const protocol = scheme?.toLowerCase();
  if (protocol !== undefined && LATER.includes(protocol)) {
    return new Expected(`an http:// address (this version speaks HTTP only)`);
  }
  if (protocol !== undefined && protocol !== "http") return new Expected(`an address ${EXAMPLES}`);
  const place = rest.replace(/^(?!unix:)(.*)\/$/su, "$1");
  return (
    unix(place, context) ??
    inherited(place) ??
    tcp(place, protocol !== undefined) ??
    new Expected(`an address ${EXAMPLES}`)
  );
}

function unix(place: string, context: ReadContext): ListenAddress | undefined {
  if (!place.startsWith("unix:") || place.length === 5 || place.includes("\0")) return undefined;
  const path = resolve(context.base, place.slice(5));
  return address(`http://unix:${path}`, { kind: "unix", path });
}

function inherited(place: string): ListenAddress | undefined {
  const [, digits] = /^fd:(\d{1,6})$/u.exec(place) ?? [];
  return digits === undefined ? undefined : address(`http://fd:${digits}`, { kind: "fd", fd: Number(digits) });
}

function tcp(place: string, isUrl: boolean): ListenAddress | undefined {
  const [, text = "", digits] = /^(\d{1,5})$/u.test(place)
    ? ["", "127.0.0.1", place]
    : (/^(\[[^\]]+\]|[^:[\]/?#@\s]*)(?::(\d{1,5}))?$/u.exec(place) ?? ["", "?"]);
  if (digits === undefined && (!isUrl || text === "")) return undefined;
  const port = digits === undefined ? 80 : Number(digits);
  const host = text === "*" ? "" : text.replace(/^\[(.*)\]$/u, "$1");
  // Only what stands in brackets is asked about: Node's isIPv6 compiles its expression first, for milliseconds.
  const literal = text.startsWith("[");
  if (port > 65_535 || (literal && !isIPv6(host)) || !/^[\w.:%-]*$/u.test(host)) return undefined;
  return address(`http://${text}:${port}`, { kind: "tcp", host, port });
}

function address(url: string, endpoint: ListenAddress["endpoint"]): ListenAddress {
  return Object.freeze({ url, protocol: "http", endpoint: Object.freeze(endpoint) });
}

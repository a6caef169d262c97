// Addresses as people write them on the command line → ListenAddress.
import { isIP, isIPv6 } from "node:net";
import { resolve } from "node:path";
import type { ListenAddress, ListenProtocol } from "./config.js";
import { Expected, list, peer, type ReadContext } from "./read.js";

const PROTOCOLS: Readonly<Record<string, ListenProtocol>> = {
  http: "http",
  https: "https",
  fastcgi: "fastcgi",
  fcgi: "fastcgi",
  scgi: "scgi",
  uwsgi: "uwsgi",
};
const EXAMPLES = "such as http://127.0.0.1:8000, https://:443, fastcgi://unix:/run/site.sock or http://fd:3";

/**
 * `http://HOST:PORT`, `http://unix:PATH`, `http://fd:N`, and the same with `https`, `fastcgi` (or `fcgi`), `scgi` and `uwsgi`;
 * `http://` may be left out. `PORT` alone is this machine's loopback, `:PORT` and `*:PORT` are every address. Without a
 * port an http URL means 80 and an https URL 443, as everywhere. Behind it may stand
 * `?proxy-protocol=ADDRESSES` and, for http, `?redirect=https:PORT`, or both with "&" between them.
 */
export function listenUrl(value: unknown, context: ReadContext): ListenAddress | Expected {
  if (typeof value === "number") return listenUrl(String(value), context);
  if (typeof value !== "string") return new Expected(`an address ${EXAMPLES}`);
  const [, text = "", query] = /^(.*?)(?:\?([\w-]+=.*))?$/su.exec(value.trim()) ?? [];
  const [, scheme, rest = ""] = /^(?:([A-Za-z][A-Za-z0-9+.-]*):\/\/)?(.*)$/su.exec(text) ?? [];
  const name = scheme?.toLowerCase() ?? "http";
  const protocol = Object.hasOwn(PROTOCOLS, name) ? PROTOCOLS[name] : undefined;
  if (protocol === undefined) return new Expected(`an address ${EXAMPLES}`);
  const place = rest.replace(/^(?!unix:)(.*)\/$/su, "$1");
  const found =
    unix(protocol, place, context) ??
    inherited(protocol, place) ??
    tcp(protocol, place, scheme === undefined ? undefined : standardPorts[protocol]);
  if (found === undefined) return new Expected(`an address ${EXAMPLES}`);
  const peers = protocol === "fastcgi" ? webServers(context) : undefined;
  if (peers instanceof Expected) return peers;
  const parameters = query === undefined ? {} : readParameters(query, protocol, context);
  if (parameters instanceof Expected) return parameters;
  return Object.freeze({ ...found, ...parameters, ...(peers && { peers }) });
}

const proxies = list(peer, /\s*,\s*/u);

/** What stands behind the "?". */
function readParameters(
  query: string,
  protocol: ListenProtocol,
  context: ReadContext,
): Pick<ListenAddress, "proxies" | "redirect"> | Expected {
  let found: Pick<ListenAddress, "proxies" | "redirect"> = {};
  for (const parameter of query.split("&")) {
    const [, name = "", value = ""] = /^([\w-]+)=(.+)$/u.exec(parameter) ?? [];
    const named = name === "proxy-protocol" ? proxies(value, context) : undefined;
    const [, port = "443"] = /^https(?::(\d{1,5}))?$/u.exec(value) ?? [];
    const redirects = name === "redirect" && protocol === "http" && value.startsWith("https");
    if (named !== undefined && !(named instanceof Expected)) found = { ...found, proxies: named };
    else if (redirects && /^https(?::\d+)?$/u.test(value) && Number(port) > 0 && Number(port) < 65_536)
      found = { ...found, redirect: Number(port) };
    else {
      return new Expected(
        "an address with proxy-protocol=ADDRESSES, or for http redirect=https or redirect=https:PORT, behind it, such as http://:80?redirect=https",
      );
    }
  }
  return found;
}

/** What FCGI_WEB_SERVER_ADDRS says (FastCGI 1.0 §3.2): addresses with commas between them. */
function webServers({ environment }: ReadContext): readonly string[] | undefined | Expected {
  const text = environment["FCGI_WEB_SERVER_ADDRS"]?.trim() ?? "";
  if (text === "") return undefined;
  const addresses = text.split(/\s*,\s*/u);
  return addresses.every((address) => isIP(address) > 0)
    ? Object.freeze(addresses)
    : new Expected("used with IP addresses, with commas between them, in FCGI_WEB_SERVER_ADDRS", [text]);
}

/** SD_LISTEN_FDS_START (sd_listen_fds(3)). */
const firstActivated = 3;

/**
 * The sockets that systemd opened for this process (sd_listen_fds(3)), in its order; undefined where there are none. What is
 * spoken on each is its name (`FileDescriptorName=fastcgi`), else HTTP.
 */
export function activatedListeners(context: ReadContext, pid: number): readonly ListenAddress[] | Expected | undefined {
  const { LISTEN_PID, LISTEN_FDS, LISTEN_FDNAMES } = context.environment;
  // Of another process the variables may be inherited; its descriptors are not.
  if (LISTEN_PID !== String(pid)) return undefined;
  const names = LISTEN_FDNAMES?.split(":") ?? [];
  const found: ListenAddress[] = [];
  for (let at = 0; at < Number(LISTEN_FDS ?? 0); at += 1) {
    const name = names[at]?.toLowerCase() ?? "";
    const protocol = Object.hasOwn(PROTOCOLS, name) ? name : "http";
    const address = listenUrl(`${protocol}://fd:${firstActivated + at}`, context);
    if (address instanceof Expected) return address;
    found.push(address);
  }
  return found.length === 0 ? undefined : Object.freeze(found);
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

const standardPorts: { readonly [Protocol in ListenProtocol]?: number } = { http: 80, https: 443 };

/** `standard`: the port where none is said; undefined where it has to be. */
function tcp(protocol: ListenProtocol, place: string, standard: number | undefined): ListenAddress | undefined {
  const [, text = "", digits] = /^(\d{1,5})$/u.test(place)
    ? ["", "127.0.0.1", place]
    : (/^(\[[^\]]+\]|[^:[\]/?#@\s]*)(?::(\d{1,5}))?$/u.exec(place) ?? ["", "?"]);
  const port = digits === undefined ? standard : Number(digits);
  if (port === undefined || (digits === undefined && text === "")) return undefined;
  const host = text === "*" ? "" : text.replace(/^\[(.*)\]$/u, "$1");
  // Only what stands in brackets is asked about: Node's isIPv6 compiles its expression first, for milliseconds.
  const literal = text.startsWith("[");
  if (port > 65_535 || (literal && !isIPv6(host)) || !/^[\w.:%-]*$/u.test(host)) return undefined;
  return address(protocol, `${text}:${port}`, { kind: "tcp", host, port });
}

function address(protocol: ListenProtocol, place: string, endpoint: ListenAddress["endpoint"]): ListenAddress {
  return { url: `${protocol}://${place}`, protocol, endpoint: Object.freeze(endpoint) };
}

// The servers of an upstream group as people write them → UpstreamServer.
import { isIPv6 } from "node:net";
import { resolve } from "node:path";
import type { UpstreamServer } from "./config.js";
import { count, Expected, list, type ReadContext } from "./read.js";

const protocols: Readonly<Record<string, UpstreamServer["protocol"]>> = {
  http: "http",
  fastcgi: "fastcgi",
  fcgi: "fastcgi",
  scgi: "scgi",
  uwsgi: "uwsgi",
};

const SERVER =
  'a server such as "http://10.0.0.5:8000", "uwsgi://unix:/run/site.sock" or { url = "fastcgi://10.0.0.5:9000", weight = 2, backup = true }';

/** At least one; no two the same. */
export function upstreamServers(value: unknown, context: ReadContext): readonly UpstreamServer[] | Expected {
  const found = list(upstreamServer)(value, context);
  if (found instanceof Expected) return found;
  if (found.length === 0) return new Expected("at least one server");
  return new Set(found.map(({ url }) => url)).size < found.length
    ? new Expected("servers that differ from each other")
    : found;
}

/** A URL, alone, followed by words as in "URL weight=2 backup", or in a table with `weight` and `backup`. */
function upstreamServer(value: unknown, context: ReadContext): UpstreamServer | Expected {
  const expected = new Expected(SERVER);
  if (typeof value === "string") {
    const [url, ...words] = value.trim().split(/\s+/u);
    const given: Record<string, unknown> = { url };
    for (const word of words) {
      const [name = "", number] = word.split("=");
      if (Object.hasOwn(given, name) || (name === "backup" && number !== undefined)) return expected;
      given[name] = name === "backup" ? true : number;
    }
    return serverOf(given, context) ?? expected;
  }
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (serverOf({ ...value }, context) ?? expected)
    : expected;
}

function serverOf(given: Readonly<Record<string, unknown>>, context: ReadContext): UpstreamServer | undefined {
  const { url, weight: share = 1, backup = false, ...rest } = given;
  const weight = count(1, 1000)(share, context);
  if (typeof url !== "string" || weight instanceof Expected || typeof backup !== "boolean") return undefined;
  if (Object.keys(rest).length > 0) return undefined;
  const [, scheme = "", place = ""] = /^([A-Za-z]+):\/\/(.*)$/su.exec(url) ?? [];
  const protocol = protocols[scheme.toLowerCase()];
  const rooted = place.replace(/^(?!unix:)(.*)\/$/su, "$1");
  const found = unix(rooted, context) ?? srv(rooted) ?? tcp(rooted, protocol === "http" ? "80" : undefined);
  if (protocol === undefined || found === undefined) return undefined;
  const { text, endpoint } = found;
  return Object.freeze({ url: `${protocol}://${text}`, protocol, endpoint: Object.freeze(endpoint), weight, backup });
}

interface Place {
  /** As behind `://`, whole. */
  readonly text: string;
  readonly endpoint: UpstreamServer["endpoint"];
}

function unix(place: string, context: ReadContext): Place | undefined {
  if (!place.startsWith("unix:") || place.length === 5 || place.includes("\0")) return undefined;
  const path = resolve(context.base, place.slice(5));
  return { text: `unix:${path}`, endpoint: { kind: "unix", path } };
}

/** A name with SRV records, as `_uwsgi._tcp.example.com` (RFC 2782). A port is a number, and such a name is none. */
function srv(place: string): Place | undefined {
  const [, name] = /^srv:((?!\d+$)[\w.-]+)$/u.exec(place) ?? [];
  return name === undefined ? undefined : { text: `srv:${name}`, endpoint: { kind: "srv", name } };
}

function tcp(place: string, standard: string | undefined): Place | undefined {
  const [, text = "", digits = standard] = /^(\[[^\]]+\]|[\w.-]+)(?::(\d{1,5}))?$/u.exec(place) ?? [];
  const host = text.replace(/^\[(.*)\]$/u, "$1");
  const port = Number(digits);
  if (text === "" || digits === undefined || port < 1 || port > 65_535) return undefined;
  if (text.startsWith("[") && !isIPv6(host)) return undefined;
  return { text: `${text}:${port}`, endpoint: { kind: "tcp", host, port } };
}

// Which handler a request goes to: by the host it asks for, then by its path. Decided once per request, when its head is
// whole, so that a request for nobody need not send its body.
import { type VivariumError, vivariumError } from "../errors.js";
import type { Handler } from "../exchange.js";
import type { Place } from "../protocol/cgi/request-variables.js";
import { mountOctets, placeUnder } from "./mount.js";

export interface Mount {
  /** "" for every host, "*.example.com" for every one below example.com, else a host's name without a port. Any case. */
  readonly host: string;
  /** "" or "/prefix", as text (UTF-8 on the wire). */
  readonly path: string;
  readonly handler: Handler;
  /** Whether the handler takes requests whose body has not arrived yet (`Request.stream`); asked for each that has one. Default: no. */
  readonly streams?: (() => boolean) | undefined;
  /** Whether it takes requests for a WebSocket (`Exchange.upgrade`). Default: no. */
  readonly upgrades?: (() => boolean) | undefined;
}

export interface Route {
  readonly handler: Handler;
  readonly streams: (() => boolean) | undefined;
  readonly upgrades: (() => boolean) | undefined;
  /** SCRIPT_NAME and PATH_INFO under the route's prefix. */
  readonly place: Place;
}

/** A mount as requests are compared with it. */
interface Prefix extends Omit<Route, "place"> {
  readonly path: string;
}

/**
 * The mounts of a server. The most specific one takes a request: its host itself before a wildcard (the longer one first)
 * before every host, and among those of one host the longest path prefix. Where the mounts of a host do not have the path, the
 * less specific ones are asked.
 */
export class Router {
  readonly #exact = new Map<string, Prefix[]>();
  /** By ".example.com", the longest first. */
  readonly #wildcards: (readonly [string, Prefix[]])[];
  readonly #everywhere: Prefix[] = [];
  /** No mount has a host, so that nobody need look at a request's. */
  readonly #hostless: boolean;
  /** The only mount, where there is one, and it is for every host. */
  readonly #only: Prefix | undefined;

  constructor(mounts: readonly Mount[]) {
    const wildcards = new Map<string, Prefix[]>();
    for (const { host, path, handler, streams, upgrades } of mounts) {
      const name = hostName(host);
      const prefixes =
        name === ""
          ? this.#everywhere
          : name.startsWith("*.")
            ? entry(wildcards, name.slice(1))
            : entry(this.#exact, name);
      prefixes.push({ path: mountOctets(path), handler, streams, upgrades });
      prefixes.sort((one, other) => other.path.length - one.path.length);
    }
    this.#wildcards = [...wildcards].sort(([one], [other]) => other.length - one.length);
    this.#hostless = this.#exact.size === 0 && wildcards.size === 0;
    this.#only = this.#hostless && this.#everywhere.length === 1 ? this.#everywhere[0] : undefined;
  }

  /**
   * `host` is the request's authority, perhaps with a port, or ""; `path` is decoded, one character per octet. Undefined
   * where no mount has it. The server as a whole (`*`, an empty path) is the affair of the mount nearest to the root.
   */
  find(host: string, path: string): Route | undefined {
    const only = this.#only;
    if (only !== undefined) {
      const place = placeUnder(only.path, path);
      return place && routeTo(only, place);
    }
    if (this.#hostless) return among(this.#everywhere, path);
    const name = hostName(host);
    const exact = this.#exact.get(name);
    const found = exact && among(exact, path);
    if (found !== undefined) return found;
    for (const [suffix, prefixes] of this.#wildcards) {
      const route = name.endsWith(suffix) && name.length > suffix.length ? among(prefixes, path) : undefined;
      if (route !== undefined) return route;
    }
    return among(this.#everywhere, path);
  }
}

/** What is answered where no mount has the path. */
export function notMounted(): VivariumError {
  return vivariumError("ERR_ROUTING_NOT_MOUNTED", "There is no application at this address.", { status: 404 });
}

function routeTo({ handler, streams, upgrades }: Prefix, place: Place): Route {
  return { handler, streams, upgrades, place };
}

function among(prefixes: readonly Prefix[], path: string): Route | undefined {
  if (path === "") {
    const root = prefixes.at(-1);
    return root && routeTo(root, { scriptName: root.path, pathInfo: "" });
  }
  for (const prefix of prefixes) {
    const place = placeUnder(prefix.path, path);
    if (place !== undefined) return routeTo(prefix, place);
  }
  return undefined;
}

function entry(map: Map<string, Prefix[]>, key: string): Prefix[] {
  let prefixes = map.get(key);
  if (prefixes === undefined) {
    prefixes = [];
    map.set(key, prefixes);
  }
  return prefixes;
}

/** Without its port and the closing dot of a name that is whole (RFC 3986 §3.2.2), in lower case. */
function hostName(host: string): string {
  const colon = host.endsWith("]") ? -1 : host.lastIndexOf(":");
  const name = colon < 0 ? host : host.slice(0, colon);
  return (name.endsWith(".") ? name.slice(0, -1) : name).toLowerCase();
}

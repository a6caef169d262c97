// Who a request is from when proxies stand between: RFC 7239 `Forwarded`, and the older X-Forwarded-For, -Proto, -Host
// and -Port. All of them are text that any client can write, so they are read only when the peer's address is one the
// administrator named, and from the right: each proxy appends what it saw, so an entry is believable when the hop that
// appended it is trusted, and the first address from the right that is not itself trusted is the client's.
import { BlockList, isIP, isIPv4, isIPv6 } from "node:net";
import { vivariumError } from "../errors.js";
import type { Origin } from "../protocol/cgi/request-variables.js";

/** `::ffff:192.0.2.1`, as a socket that listens on both families says it, is the IPv4 address. */
export function plainAddress(address: string): string {
  if (!address.startsWith("::ffff:")) return address;
  const embedded = address.slice(7);
  return isIPv4(embedded) ? embedded : address;
}

/** The peers whose forwarding fields are believed. */
export class TrustedProxies {
  readonly #addresses = new BlockList();
  readonly #unix: boolean;
  readonly #none: boolean;

  /** Each entry an address, a network (`10.0.0.0/8`), or `unix` for clients of unix sockets. */
  constructor(entries: readonly string[]) {
    this.#unix = entries.includes("unix");
    this.#none = entries.length === 0;
    for (const entry of entries) {
      if (entry !== "unix") this.#add(entry);
    }
  }

  #add(entry: string): void {
    const [network = "", bits, ...rest] = entry.split("/");
    const family = isIP(network);
    const most = family === 4 ? 32 : 128;
    const prefix = bits === undefined ? most : /^\d{1,3}$/.test(bits) ? Number(bits) : -1;
    if (family === 0 || rest.length > 0 || prefix < 0 || prefix > most) {
      throw vivariumError(
        "ERR_ROUTING_TRUSTED_PROXY",
        `"${entry}" is no trusted proxy: an address, a network such as 10.0.0.0/8, or "unix" was expected.`,
      );
    }
    this.#addresses.addSubnet(network, prefix, family === 4 ? "ipv4" : "ipv6");
  }

  /** Whether this address may say where a request comes from; "" is a client on a unix socket. */
  trusts(address: string): boolean {
    if (this.#none) return false;
    if (address === "") return this.#unix;
    const family = isIP(address);
    return family !== 0 && this.#addresses.check(address, family === 4 ? "ipv4" : "ipv6");
  }
}

/** One proxy's word about the hop before it. "" where it says nothing, or nothing that can be understood. */
interface Hop {
  readonly address: string;
  readonly port: number;
  readonly scheme: string;
  readonly host: string;
}

/** Where a request comes from by its fields, sent by a trusted peer. What is malformed is as if it were not there. */
export function claimedOrigin(fields: readonly string[], peer: Origin, trusted: TrustedProxies): Origin {
  const forwardedFor = list(fields, "x-forwarded-for").map(parseNode);
  const forwarded = parseForwarded(list(fields, "forwarded", true));
  // A proxy that knows one of the two passes on what a client wrote in the other. Where both are there they must agree
  // about the hop that came to our peer; where they do not, X-Forwarded-For is the one that proxies in use append to.
  const useForwarded =
    forwarded !== undefined &&
    (forwardedFor.length === 0 || forwarded.at(-1)?.address === forwardedFor.at(-1)?.address);
  return useForwarded ? fromForwarded(forwarded, peer, trusted) : fromXForwarded(fields, forwardedFor, peer, trusted);
}

/** How many entries from the right the client's address is: the right-most that is not itself trusted. */
function clientDepth(addresses: readonly string[], trusted: TrustedProxies): number {
  let depth = 0;
  while (depth + 1 < addresses.length) {
    const address = addresses.at(-1 - depth) ?? "";
    // An unknown or obfuscated hop ends the walk: nobody vouches for what stands left of it.
    if (address === "" || !trusted.trusts(address)) break;
    depth += 1;
  }
  return depth;
}

/** The address at `depth`; where that hop is unknown, the last one that is known. */
function addressAt(
  nodes: readonly { readonly address: string; readonly port: number }[],
  depth: number,
  peer: Origin,
): { address: string; port: number } {
  for (let at = depth; at >= 0; at -= 1) {
    const node = nodes.at(-1 - at);
    if (node !== undefined && node.address !== "") return node;
  }
  return { address: peer.remoteAddress, port: peer.remotePort };
}

function fromForwarded(hops: readonly Hop[], peer: Origin, trusted: TrustedProxies): Origin {
  const depth = clientDepth(
    hops.map((hop) => hop.address),
    trusted,
  );
  const client = addressAt(hops, depth, peer);
  // What the client asked for is known best by the proxy it came to; the ones nearer to us fill what that one left out.
  const believed = hops.slice(hops.length - 1 - depth);
  return {
    remoteAddress: client.address,
    remotePort: client.port,
    scheme: scheme(believed.find((hop) => hop.scheme !== "")?.scheme) ?? peer.scheme,
    host: believed.find((hop) => hop.host !== "")?.host ?? "",
    port: -1,
  };
}

function fromXForwarded(
  fields: readonly string[],
  nodes: readonly Node[],
  peer: Origin,
  trusted: TrustedProxies,
): Origin {
  const depth = clientDepth(
    nodes.map((node) => node.address),
    trusted,
  );
  const client = addressAt(nodes, depth, peer);
  // Some proxies append to these too, others replace them: never further left than the client's own entry.
  const beside = (name: string): string => {
    const values = list(fields, name);
    return values.at(-1 - Math.min(depth, values.length - 1)) ?? "";
  };
  const host = beside("x-forwarded-host");
  const port = beside("x-forwarded-port");
  return {
    remoteAddress: client.address,
    remotePort: client.port,
    scheme: scheme(beside("x-forwarded-proto").toLowerCase()) ?? peer.scheme,
    host: isHost(host) ? host : "",
    port: /^\d{1,5}$/.test(port) && Number(port) > 0 && Number(port) < 65536 ? Number(port) : -1,
  };
}

function scheme(value: string | undefined): "http" | "https" | undefined {
  return value === "http" || value === "https" ? value : undefined;
}

/** RFC 9110 §7.2: a name, an IPv4 address or an IPv6 one in brackets, and perhaps a port. */
function isHost(value: string): boolean {
  if (value.startsWith("[")) {
    const end = value.indexOf("]");
    return isIPv6(value.slice(1, end)) && /^(:\d{0,5})?$/.test(value.slice(end + 1));
  }
  return /^[A-Za-z0-9._~%!$&'()*+;=-]+(:\d{0,5})?$/.test(value);
}

/** No chain of proxies writes more; bounds the work on a field that tries to be hard to take apart. */
const longestList = 2048;

/** The members of a list field in all its lines (RFC 9110 §5.6.1), commas within quotes apart when `quoted`. */
function list(fields: readonly string[], name: string, quoted = false): string[] {
  const members: string[] = [];
  for (let at = 0; at + 1 < fields.length; at += 2) {
    if (fields[at]?.toLowerCase() !== name) continue;
    const value = fields[at + 1] ?? "";
    if (value.length > longestList) continue;
    const parts = quoted ? (value.match(/(?:"(?:[^"\\]|\\.)*"|[^,])+/g) ?? []) : value.split(",");
    for (const part of parts) {
      const member = part.trim();
      if (member !== "") members.push(member);
    }
  }
  return members;
}

interface Node {
  readonly address: string;
  readonly port: number;
}

const unknownNode: Node = { address: "", port: -1 };

/** RFC 7239 §6: an address and perhaps a port. `unknown`, obfuscated names ("_x") and anything else are not known. */
function parseNode(text: string): Node {
  if (isIP(text) !== 0) return { address: plainAddress(text), port: -1 };
  const parts = /^(?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+))(?::(\d{1,5}|_[A-Za-z0-9._-]+))?$/.exec(text);
  const address = parts?.[1] ?? parts?.[2] ?? "";
  if (isIP(address) === 0) return unknownNode;
  const port = Number(parts?.[3] ?? "");
  return { address: plainAddress(address), port: port > 0 && port < 65536 ? port : -1 };
}

const pair = /^\s*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:"((?:[^"\\]|\\.)*)"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))\s*$/;

/** Forwarded elements (RFC 7239 §4), left to right; undefined where there are none or one is malformed. */
function parseForwarded(elements: readonly string[]): Hop[] | undefined {
  const hops: Hop[] = [];
  for (const element of elements) {
    const values = new Map<string, string>();
    for (const text of element.match(/(?:"(?:[^"\\]|\\.)*"|[^;])+/g) ?? []) {
      const parts = pair.exec(text);
      const name = parts?.[1]?.toLowerCase();
      // Each parameter at most once (§4).
      if (name === undefined || values.has(name)) return undefined;
      values.set(name, parts?.[2]?.replace(/\\(.)/g, "$1") ?? parts?.[3] ?? "");
    }
    const host = values.get("host") ?? "";
    hops.push({
      ...parseNode(values.get("for") ?? ""),
      scheme: scheme(values.get("proto")?.toLowerCase()) ?? "",
      host: isHost(host) ? host : "",
    });
  }
  return hops.length > 0 ? hops : undefined;
}

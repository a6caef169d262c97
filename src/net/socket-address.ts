// Addresses as system calls have them (ip(7), ipv6(7), unix(7)), and as people read them. The family is in the machine's order,
// which is little-endian on all that koffi is built for.
import { networkInterfaces } from "node:os";
import type { ListenAddress } from "../config/config.js";
import { AF_INET, AF_INET6, AF_UNIX, type Libc } from "./libc.js";

/** `host` is an address; `port` 0 asks for one. */
export function sockaddrV4(calls: Pick<Libc, "inetPton">, host: string, port: number): Buffer {
  const octets = Buffer.alloc(16);
  octets.writeUInt16LE(AF_INET, 0);
  octets.writeUInt16BE(port, 2);
  calls.inetPton(AF_INET, host)?.copy(octets, 4);
  return octets;
}

/** The same; with a zone, as in `fe80::1%eth0`. */
export function sockaddrV6(calls: Pick<Libc, "inetPton">, host: string, port: number): Buffer {
  const [text = host, zone] = host.split("%", 2);
  const octets = Buffer.alloc(28);
  octets.writeUInt16LE(AF_INET6, 0);
  octets.writeUInt16BE(port, 2);
  calls.inetPton(AF_INET6, text)?.copy(octets, 8);
  if (zone !== undefined) octets.writeUInt32LE(scopeOf(zone), 24);
  return octets;
}

/** The interface's number: a link-local address means nothing without (RFC 4007 §11). 0 where there is none such. */
function scopeOf(zone: string): number {
  const numbers = (networkInterfaces()[zone] ?? []).map((entry) => (entry.family === "IPv6" ? entry.scopeid : 0));
  return numbers.find((number) => number > 0) ?? (/^\d+$/u.test(zone) ? Number(zone) : 0);
}

/** `path` has at most 107 octets. */
export function sockaddrUnix(path: string): Buffer {
  const octets = Buffer.alloc(2 + Buffer.byteLength(path) + 1);
  octets.writeUInt16LE(AF_UNIX, 0);
  octets.write(path, 2);
  return octets;
}

/** Where a listener made here listens: `http://127.0.0.1:43125`. */
export function tcpUrl(address: ListenAddress, port: number): string {
  const host = address.endpoint.kind === "tcp" ? address.endpoint.host : "";
  // Every address has no name of its own; what a person types on this machine is localhost's.
  return `${address.protocol}://${host === "" ? "0.0.0.0" : host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** Whether a socket's address is one that other machines can reach: any but the loopback's, and none of a unix socket. */
export function isExposed(name: Buffer): boolean {
  const family = name.readUInt16LE(0);
  if (family === AF_INET) return name[4] !== 127;
  if (family !== AF_INET6) return false;
  const octets = name.subarray(8, 24);
  const mapped = octets.subarray(0, 12).equals(Buffer.from("00000000000000000000ffff", "hex"));
  return mapped ? octets[12] !== 127 : !octets.equals(Buffer.from(`${"00".repeat(15)}01`, "hex"));
}

/** Where an inherited listener listens, by what the system calls it. */
export function inheritedUrl(address: ListenAddress, name: Buffer): string {
  const family = name.readUInt16LE(0);
  if (family === AF_INET) return `${address.protocol}://${name.subarray(4, 8).join(".")}:${name.readUInt16BE(2)}`;
  if (family === AF_INET6) {
    const groups = Array.from({ length: 8 }, (_, index) => name.readUInt16BE(8 + 2 * index).toString(16));
    return `${address.protocol}://${new URL(`http://[${groups.join(":")}]`).hostname}:${name.readUInt16BE(2)}`;
  }
  const path = name.subarray(2).toString("utf8").replace(/\0.*$/su, "");
  return path === "" ? address.url : `${address.protocol}://unix:${path}`;
}

// What a proxy that passes on octets says of its client, in front of them: the PROXY protocol, version 1 (a line of text) and
// version 2 (binary), of HAProxy's doc/proxy-protocol.txt. Sections cited are its.
import { vivariumError } from "../../errors.js";
import { formatV4, formatV6, parseV4, parseV6 } from "./address.js";
import { crc32c } from "./crc32c.js";

/** One end of the proxy's connection: "" and -1 on a unix socket. */
export interface ProxiedEnd {
  readonly address: string;
  readonly port: number;
}

export interface ProxyHeader {
  /** Octets it has. */
  readonly length: number;
  /**
   * The proxy's client and where that connected to. Undefined where the proxy speaks for itself (LOCAL), or does not know
   * (UNKNOWN, UNSPEC): then the connection's own ends hold.
   */
  readonly ends: { readonly remote: ProxiedEnd; readonly local: ProxiedEnd } | undefined;
  /** The client came to the proxy over TLS (§2.2.6). */
  readonly secure: boolean;
}

/** §2.2: no protocol that clients speak begins so. */
const signature: Buffer = Buffer.from("\r\n\r\n\0\r\nQUIT\n", "latin1");
const prefix: Buffer = Buffer.from("PROXY ", "latin1");
/** §2.1: "\r\n" included. */
const lineMost = 107;

/**
 * The header at the beginning of `octets`, undefined while it is not whole. Throws ERR_PROXY_HEADER where there is none, or a
 * malformed one.
 */
export function decodeProxyHeader(octets: Buffer): ProxyHeader | undefined {
  if (begins(octets, signature)) return octets.length < 16 ? undefined : decodeBinary(octets);
  if (begins(octets, prefix)) return decodeLine(octets);
  throw malformed("it does not begin with one");
}

/** As far as it goes. */
function begins(octets: Buffer, with_: Buffer): boolean {
  const length = Math.min(octets.length, with_.length);
  return octets.compare(with_, 0, length, 0, length) === 0;
}

function malformed(why: string): Error {
  return vivariumError("ERR_PROXY_HEADER", `The connection has no good PROXY header: ${why}.`);
}

// ---- version 1 (§2.1)

function decodeLine(octets: Buffer): ProxyHeader | undefined {
  const end = octets.subarray(0, lineMost).indexOf("\r\n", 0, "latin1");
  if (end < 0) {
    if (octets.length >= lineMost) throw malformed(`its line has more than ${lineMost} octets`);
    return undefined;
  }
  const length = end + 2;
  const words = octets.toString("latin1", prefix.length, end).split(" ");
  const [family, ...rest] = words;
  // What follows UNKNOWN is to be ignored.
  if (family === "UNKNOWN") return { length, ends: undefined, secure: false };
  const [source = "", destination = "", sourcePort = "", destinationPort = "", ...more] = rest;
  if (more.length > 0 || (family !== "TCP4" && family !== "TCP6")) throw malformed("its line is malformed");
  const address = family === "TCP4" ? plainV4 : plainV6;
  const remote = { address: address(source), port: portOf(sourcePort) };
  return {
    length,
    ends: { remote, local: { address: address(destination), port: portOf(destinationPort) } },
    secure: false,
  };
}

function plainV4(text: string): string {
  const octets = parseV4(text);
  if (octets === undefined) throw malformed("it names no IPv4 address");
  return formatV4(octets);
}

function plainV6(text: string): string {
  const octets = parseV6(text);
  if (octets === undefined) throw malformed("it names no IPv6 address");
  return formatV6(octets);
}

function portOf(text: string): number {
  if (!/^(0|[1-9]\d{0,4})$/.test(text) || Number(text) > 65535) throw malformed("it names no port");
  return Number(text);
}

// ---- version 2 (§2.2)

interface Family {
  /** Octets of both ends. */
  readonly size: number;
  ends(block: Buffer): ProxyHeader["ends"];
}

const unspecified: Family = { size: 0, ends: () => undefined };
const nobody: ProxiedEnd = { address: "", port: -1 };

/** By the octet of family and transport; those of datagrams are no connection's. */
const families: ReadonlyMap<number, Family> = new Map<number, Family>([
  [0x00, unspecified],
  [0x11, inet(4, formatV4)],
  [0x21, inet(16, formatV6)],
  [0x31, { size: 216, ends: () => ({ remote: nobody, local: nobody }) }],
]);

function inet(width: number, format: (octets: Uint8Array) => string): Family {
  const end = (block: Buffer, at: number, port: number): ProxiedEnd => ({
    address: format(block.subarray(at, at + width)),
    port: block.readUInt16BE(port),
  });
  return {
    size: 2 * width + 4,
    ends: (block) => ({ remote: end(block, 0, 2 * width), local: end(block, width, 2 * width + 2) }),
  };
}

/** `octets` has the fixed part. */
function decodeBinary(octets: Buffer): ProxyHeader | undefined {
  const command = octets.readUInt8(12);
  const length = 16 + octets.readUInt16BE(14);
  if (command !== 0x20 && command !== 0x21) throw malformed("its version or command is not known");
  const family = families.get(octets.readUInt8(13));
  // A proxy that speaks for itself may name any (§2.2): it counts for nothing.
  const local = command === 0x20;
  if (!local && family === undefined) throw malformed("its family or transport is not known");
  if (!local && length - 16 < (family?.size ?? 0)) throw malformed("it is shorter than its addresses");
  if (octets.length < length) return undefined;
  if (local || family === undefined) return { length, ends: undefined, secure: false };
  const header = octets.subarray(0, length);
  const ends = family.ends(header.subarray(16));
  return { length, ends, secure: readExtensions(header, 16 + family.size) };
}

/** §2.2: type, length (two octets), value. */
const TYPE_CRC32C = 0x03;
const TYPE_SSL = 0x20;
/** §2.2.6 */
const CLIENT_SSL = 0x01;

/** Whether the client came over TLS. What is not understood is skipped, as it is to be. */
function readExtensions(header: Buffer, from: number): boolean {
  let secure = false;
  let at = from;
  while (at < header.length) {
    const valueAt = at + 3;
    const end = valueAt > header.length ? Number.NaN : valueAt + header.readUInt16BE(at + 1);
    if (!(end <= header.length)) throw malformed("its last extension is cut off");
    const type = header[at];
    if (type === TYPE_CRC32C) checkSum(header, valueAt, end);
    if (type === TYPE_SSL) {
      if (end - valueAt < 5) throw malformed("what it says of TLS is cut off");
      secure ||= ((header[valueAt] ?? 0) & CLIENT_SSL) !== 0;
    }
    at = end;
  }
  return secure;
}

/** §2.2.3: of the whole header, with zeros where the checksum is. */
function checkSum(header: Buffer, at: number, end: number): void {
  if (end - at !== 4) throw malformed("its checksum has not four octets");
  const zeroed = Buffer.from(header).fill(0, at, end);
  if (crc32c(zeroed) !== header.readUInt32BE(at)) throw malformed("its checksum is wrong");
}

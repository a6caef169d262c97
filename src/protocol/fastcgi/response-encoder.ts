// Responses, server role: what an application says in, octets for a web server out (FastCGI 1.0 §4, §5.3, §5.5). An id
// is all the state that there is: the calls for one request come in order, those for several as they like.

import { encodePairs } from "./params.js";
import { bodySize, headerSize, nullId, protocolStatus, recordType, streamRecords, writeHeader } from "./records.js";

type Encoded = Uint8Array | readonly Uint8Array[];

const nothing: Uint8Array = Buffer.alloc(0);

/** What a web server can ask by GET_VALUES (§4.1). */
export interface Values {
  /** Connections at once that are accepted. */
  readonly FCGI_MAX_CONNS: number;
  /** Requests at once on all connections. */
  readonly FCGI_MAX_REQS: number;
  /** Whether a connection carries several requests at once, 0 or 1. */
  readonly FCGI_MPXS_CONNS: number;
}

/**
 * STDOUT with these octets, which belong together. With `last` the stream ends, and so does the request: END_REQUEST with
 * `applicationStatus`, which is the exit status of a CGI program (32 bits).
 */
export function encodeOutput(id: number, octets: readonly Uint8Array[], last: boolean, applicationStatus = 0): Encoded {
  return streamRecords(recordType.stdout, id, octets, nothing, last ? outputEnd(id, applicationStatus) : nothing);
}

/** STDERR with these octets: a message for the web server's log. */
export function encodeErrors(id: number, octets: Uint8Array): Encoded {
  return streamRecords(recordType.stderr, id, [octets], nothing, nothing);
}

/** END_REQUEST alone: for a request that is refused, by `status` (records.ts, `protocolStatus`), or has no more to say. */
export function encodeEnd(id: number, status: number, applicationStatus = 0): Uint8Array {
  const octets = Buffer.alloc(headerSize + bodySize);
  writeEnd(octets, 0, id, status, applicationStatus);
  return octets;
}

/** GET_VALUES_RESULT: the values of those names that are known. */
export function encodeValues(names: readonly string[], values: Values): Uint8Array {
  const known: Readonly<Record<string, number>> = { ...values };
  const asked = new Set(names.filter((name) => Object.hasOwn(known, name)));
  const pairs = encodePairs(Array.from(asked, (name) => `${name}\0${known[name]}`).join("\0"));
  const octets = Buffer.alloc(headerSize + pairs.length);
  pairs.copy(octets, writeHeader(octets, 0, recordType.getValuesResult, nullId, pairs.length));
  return octets;
}

/** UNKNOWN_TYPE: the answer to a management record of a type that is not known. */
export function encodeUnknownType(type: number): Uint8Array {
  const octets = Buffer.alloc(headerSize + bodySize);
  octets[writeHeader(octets, 0, recordType.unknownType, nullId, bodySize)] = type;
  return octets;
}

/** What was encoded last for a request that went well; most have the same id. */
let recent: { readonly id: number; readonly octets: Uint8Array } = { id: 0, octets: nothing };

/** The end of STDOUT and END_REQUEST. */
function outputEnd(id: number, applicationStatus: number): Uint8Array {
  if (recent.id === id && applicationStatus === 0) return recent.octets;
  const octets = Buffer.alloc(headerSize + headerSize + bodySize);
  const at = writeHeader(octets, 0, recordType.stdout, id, 0);
  writeEnd(octets, at, id, protocolStatus.requestComplete, applicationStatus);
  if (applicationStatus === 0) recent = { id, octets };
  return octets;
}

/** END_REQUEST into zeros. */
function writeEnd(to: Buffer, at: number, id: number, status: number, applicationStatus: number): void {
  const body = writeHeader(to, at, recordType.endRequest, id, bodySize);
  to.writeUInt32BE(applicationStatus >>> 0, body);
  to[body + 4] = status;
}

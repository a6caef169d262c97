// Requests, client role: what a gateway asks of an application in, octets out (FastCGI 1.0 §4.1, §5.1, §5.2, §5.4). The calls
// for one request come in order, those for several as they like.

import { encodePairs, paramsRecords } from "./params.js";
import {
  bodySize,
  headerSize,
  keepConnectionFlag,
  nullId,
  recordType,
  responder,
  streamRecords,
  writeHeader,
} from "./records.js";

type Encoded = Uint8Array | readonly Uint8Array[];

const nothing: Buffer = Buffer.alloc(0);

/** Request ids go from 1 to this. */
export const idMost = 0xffff;

/**
 * BEGIN_REQUEST, PARAMS and the first octets of STDIN, if any; with `last` there are no more. `variables`: `NAME NUL VALUE
 * NUL NAME …`, latin-1, without a closing NUL; in front of them go `pairs` that were encoded before. Without `keepConnection`
 * the application closes the connection afterwards.
 */
export function encodeRequest(
  id: number,
  keepConnection: boolean,
  variables: string,
  body: Uint8Array | undefined,
  last: boolean,
  pairs: Buffer = nothing,
): Encoded {
  const more = encodePairs(variables);
  const params = paramsRecords(id, pairs.length === 0 ? more : Buffer.concat([pairs, more]));
  const begin = Buffer.alloc(headerSize + bodySize + params.length);
  const at = writeHeader(begin, 0, recordType.beginRequest, id, bodySize);
  begin[at + 1] = responder;
  begin[at + 2] = keepConnection ? keepConnectionFlag : 0;
  params.copy(begin, at + bodySize);
  return streamRecords(recordType.stdin, id, body === undefined ? [] : [body], begin, last ? empty(id) : nothing);
}

/** Further octets of STDIN; `octets` may be empty with `last`. */
export function encodeInput(id: number, octets: Uint8Array, last: boolean): Encoded {
  return streamRecords(recordType.stdin, id, [octets], nothing, last ? empty(id) : nothing);
}

/** ABORT_REQUEST: the client left. The application still ends the request with END_REQUEST. */
export function encodeAbort(id: number): Uint8Array {
  const octets = Buffer.alloc(headerSize);
  writeHeader(octets, 0, recordType.abortRequest, id, 0);
  return octets;
}

/** GET_VALUES: asks the application for the values of these names. */
export function encodeGetValues(names: readonly string[]): Uint8Array {
  const pairs = encodePairs(names.map((name) => `${name}\0`).join("\0"));
  const octets = Buffer.alloc(headerSize + pairs.length);
  pairs.copy(octets, writeHeader(octets, 0, recordType.getValues, nullId, pairs.length));
  return octets;
}

/** The end of STDIN. */
function empty(id: number): Uint8Array {
  const octets = Buffer.alloc(headerSize);
  writeHeader(octets, 0, recordType.stdin, id, 0);
  return octets;
}

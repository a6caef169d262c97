// Requests, server role: octets of a web server in, events out (FastCGI 1.0 §3, §5, §6.2). One decoder serves a connection,
// which may carry many requests at once, each under an id of its own. An id is active from its BEGIN_REQUEST until
// `release`, which whoever writes its END_REQUEST calls; records for other ids are ignored (§3.3).
//
// Refused outright, since nobody can say what is meant: a second BEGIN_REQUEST for an active id, PARAMS after their end,
// STDIN before it, STDIN after its own, records that only applications send.

import { VivariumError, vivariumError } from "../../errors.js";
import { Numbered } from "../../numbered.js";
import { decodePairs, ParamsCollector } from "./params.js";
import {
  bodySize,
  headerSize,
  isHeader,
  keepConnectionFlag,
  type Malformed,
  nullId,
  protocolStatus,
  RecordReader,
  recordType,
  responder,
  typeMost,
} from "./records.js";

export interface RequestLimits {
  /** Octets of a request's PARAMS, lengths included. Beyond them: a "too-large" event. */
  readonly maxParams: number;
  /** Requests at once. Beyond them: a "refused" event. */
  readonly maxRequests: number;
}

/**
 * Makes of a whole PARAMS stream what its reader needs; `decodePairs` is one. Throws what `malformed` makes where the
 * stream is not well-formed. The octets are its own until it returns.
 */
export type ReadParams<P> = (octets: Buffer, malformed: Malformed) => P;

export type RequestEvent<P = readonly string[]> =
  /** The parameters are whole. */
  | {
      readonly type: "request";
      readonly id: number;
      readonly params: P;
      /** Whether the connection stays open after the response (FCGI_KEEP_CONN). */
      readonly keepConnection: boolean;
    }
  | { readonly type: "body"; readonly id: number; readonly octets: Uint8Array }
  /** The body is whole. */
  | { readonly type: "end"; readonly id: number }
  /** The client of an active id left (ABORT_REQUEST); at any time after its BEGIN_REQUEST. */
  | { readonly type: "abort"; readonly id: number; readonly keepConnection: boolean }
  /** The parameters are larger than the limit; the rest of the request is skipped. `error` has a status to answer with. */
  | {
      readonly type: "too-large";
      readonly id: number;
      readonly keepConnection: boolean;
      readonly error: VivariumError;
    }
  /** To be answered with END_REQUEST and this protocol status; the id is not active. */
  | {
      readonly type: "refused";
      readonly id: number;
      readonly keepConnection: boolean;
      readonly protocolStatus: number;
    }
  /** GET_VALUES (§4.1): the names asked for. */
  | { readonly type: "values"; readonly names: readonly string[] }
  /** A management record of a type that is not known; to be answered with UNKNOWN_TYPE (§4.2). */
  | { readonly type: "unknown-type"; readonly recordType: number };

function malformed(sentence: string): VivariumError {
  return vivariumError("ERR_FASTCGI_BAD_REQUEST", sentence, { status: 400 });
}

/** What of a request comes next. */
const PARAMS = 0;
const STDIN = 1;
/** Nothing that matters: the body is whole. */
const WHOLE = 2;
/** It was aborted or is too large: what still comes is skipped. */
const SKIPPED = 3;

interface Incoming {
  phase: number;
  readonly keepConnection: boolean;
  /** Those that came; undefined where they came at once. */
  readonly params: ParamsCollector | undefined;
}

/** Where PARAMS begin behind BEGIN_REQUEST. */
const paramsAt = headerSize + bodySize;

export class RequestDecoder<P> {
  readonly #limits: RequestLimits;
  readonly #readParams: ReadParams<P>;
  readonly #reader = new RecordReader(malformed);
  readonly #active = new Numbered<Incoming>();
  #fault: VivariumError | undefined;

  constructor(limits: RequestLimits, readParams: ReadParams<P>) {
    this.#limits = limits;
    this.#readParams = readParams;
  }

  /** Requests that are active. */
  get active(): number {
    return this.#active.size;
  }

  /** Whether no record has begun that is not whole. */
  get betweenRecords(): boolean {
    return this.#reader.idle;
  }

  /** Whether no request is active and no record has begun: a connection closed here was closed in order. */
  get idle(): boolean {
    return this.#active.size === 0 && this.#reader.idle && this.#fault === undefined;
  }

  /** Takes octets from the peer. They are read later: the chunk belongs to the decoder, and to whom it gives a body's. */
  receive(chunk: Uint8Array): void {
    if (this.#fault === undefined) this.#reader.receive(chunk);
  }

  /**
   * The request that the first `length` octets of `memory` are, and nothing else: BEGIN_REQUEST, one record of PARAMS, the end of
   * PARAMS, and that of STDIN: mostly a web server sends at once what has no body. Its "end" is not told. Undefined where it is not so: then
   * they are to be received.
   * @throws VivariumError as `next`.
   */
  whole(memory: Buffer, length: number): (RequestEvent<P> & { readonly type: "request" }) | undefined {
    if (length < paramsAt + 3 * headerSize) return undefined;
    const id = memory.readUInt16BE(2);
    const size = memory.readUInt16BE(paramsAt + 4);
    const padding = memory[paramsAt + 6] as number;
    const end = paramsAt + headerSize + size + padding;
    const there =
      end + 2 * headerSize === length &&
      size > 0 &&
      isHeader(memory, 0, recordType.beginRequest, id, bodySize, 0) &&
      memory.readUInt16BE(headerSize) === responder &&
      isHeader(memory, paramsAt, recordType.params, id, size, padding) &&
      isHeader(memory, end, recordType.params, id, 0, 0) &&
      isHeader(memory, end + headerSize, recordType.stdin, id, 0, 0);
    if (!there || !this.#takes(id, size)) return undefined;
    const keepConnection = ((memory[headerSize + 2] as number) & keepConnectionFlag) !== 0;
    this.#active.set(id, { phase: WHOLE, keepConnection, params: undefined });
    const from = paramsAt + headerSize;
    try {
      return {
        type: "request",
        id,
        params: this.#readParams(memory.subarray(from, from + size), malformed),
        keepConnection,
      };
    } catch (error) {
      if (error instanceof VivariumError) this.#fault = error;
      throw error;
    }
  }

  /** Whether a request with this id may begin here and now, with so many octets of parameters. */
  #takes(id: number, size: number): boolean {
    if (!this.#reader.idle || this.#fault !== undefined) return false;
    const { maxParams, maxRequests } = this.#limits;
    return id !== nullId && size <= maxParams && this.#active.size < maxRequests && this.#active.get(id) === undefined;
  }

  /** END_REQUEST was written: the id is free to be used again. */
  release(id: number): void {
    this.#active.delete(id);
  }

  /**
   * The next event; undefined where more octets are needed.
   * @throws VivariumError where the peer does not keep to the protocol: the connection must be closed. The decoder is dead
   * from then on and throws the same again.
   */
  next(): RequestEvent<P> | undefined {
    if (this.#fault !== undefined) throw this.#fault;
    try {
      while (this.#reader.next()) {
        const event = this.#reader.id === nullId ? this.#management() : this.#record();
        if (event !== undefined) return event;
      }
    } catch (error) {
      if (error instanceof VivariumError) this.#fault = error;
      throw error;
    }
    return undefined;
  }

  #management(): RequestEvent<P> {
    const { type, octets } = this.#reader;
    if (type === recordType.getValues) {
      const pairs = decodePairs(octets, malformed);
      return { type: "values", names: pairs.filter((_, index) => index % 2 === 0) };
    }
    if (type > typeMost || type === 0) return { type: "unknown-type", recordType: type };
    throw malformed(`A record of type ${type} has no request id.`);
  }

  #record(): RequestEvent<P> | undefined {
    const { type, id } = this.#reader;
    const incoming = this.#active.get(id);
    if (type === recordType.beginRequest) return this.#begin(incoming);
    if (incoming === undefined) return undefined;
    switch (type) {
      case recordType.params:
        return this.#params(incoming);
      case recordType.stdin:
        return this.#stdin(incoming);
      case recordType.abortRequest:
        // A second one would tell nothing new.
        if (incoming.phase === SKIPPED) return undefined;
        incoming.phase = SKIPPED;
        return { type: "abort", id, keepConnection: incoming.keepConnection };
      default:
        throw malformed(`A record of type ${type} is not for a Responder.`);
    }
  }

  #begin(incoming: Incoming | undefined): RequestEvent<P> | undefined {
    const { id, octets } = this.#reader;
    if (octets.length !== bodySize) {
      throw malformed(`A BEGIN_REQUEST record has ${octets.length} octets of content in place of ${bodySize}.`);
    }
    if (incoming !== undefined) throw malformed(`Request ${id} begins a second time before its end.`);
    const role = octets.readUInt16BE(0);
    const keepConnection = ((octets[2] as number) & keepConnectionFlag) !== 0;
    if (role !== responder) {
      return { type: "refused", id, keepConnection, protocolStatus: protocolStatus.unknownRole };
    }
    if (this.#active.size >= this.#limits.maxRequests) {
      return { type: "refused", id, keepConnection, protocolStatus: protocolStatus.overloaded };
    }
    this.#active.set(id, { phase: PARAMS, keepConnection, params: new ParamsCollector() });
    return undefined;
  }

  #params(incoming: Incoming): RequestEvent<P> | undefined {
    const { id, octets } = this.#reader;
    const { params, keepConnection } = incoming;
    if (incoming.phase === SKIPPED) return undefined;
    if (incoming.phase !== PARAMS || params === undefined) throw malformed("PARAMS come after their end.");
    if (octets.length === 0) {
      incoming.phase = STDIN;
      return { type: "request", id, params: this.#readParams(params.take(), malformed), keepConnection };
    }
    if (params.size + octets.length <= this.#limits.maxParams) {
      params.add(octets);
      return undefined;
    }
    params.take();
    incoming.phase = SKIPPED;
    const sentence = `The request's parameters are larger than ${this.#limits.maxParams} octets.`;
    const error = vivariumError("ERR_FASTCGI_PARAMS_TOO_LARGE", sentence, { status: 431 });
    return { type: "too-large", id, keepConnection, error };
  }

  #stdin(incoming: Incoming): RequestEvent<P> | undefined {
    const { id, octets } = this.#reader;
    const { phase } = incoming;
    if (phase === SKIPPED) return undefined;
    if (phase === PARAMS) throw malformed("STDIN begins before the end of PARAMS.");
    if (octets.length === 0) {
      incoming.phase = WHOLE;
      // Its end said twice tells nothing new.
      return phase === STDIN ? { type: "end", id } : undefined;
    }
    if (phase === WHOLE) throw malformed("STDIN goes on after its end.");
    return { type: "body", id, octets };
  }
}

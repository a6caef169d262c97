// Responses, client role: octets of an application in, events out (FastCGI 1.0 §3, §4, §5.3, §5.5). `begin` makes an id
// active, its END_REQUEST inactive again. Records for other ids are ignored, as applications ignore them (§3.3): some
// libraries end STDOUT once more after END_REQUEST.

import { VivariumError, vivariumError } from "../../errors.js";
import { Numbered } from "../../numbered.js";
import { decodePairs } from "./params.js";
import { bodySize, nullId, protocolStatus, RecordReader, recordType } from "./records.js";

export type ResponseEvent =
  | { readonly type: "stdout"; readonly id: number; readonly octets: Buffer }
  | { readonly type: "stderr"; readonly id: number; readonly octets: Buffer }
  /** The request is over, and its id inactive. `protocolStatus` is one of records.ts; `applicationStatus` has 32 bits. */
  | {
      readonly type: "end";
      readonly id: number;
      readonly applicationStatus: number;
      readonly protocolStatus: number;
    }
  /** GET_VALUES_RESULT: name, value, name, value …, latin-1. */
  | { readonly type: "values"; readonly pairs: readonly string[] }
  /** The application does not know management records of this type. */
  | { readonly type: "unknown-type"; readonly recordType: number };

function malformed(sentence: string): VivariumError {
  return vivariumError("ERR_FASTCGI_BAD_RESPONSE", sentence, { status: 502 });
}

export class ResponseDecoder {
  readonly #reader = new RecordReader(malformed);
  /** Ids that are active, and whether their STDOUT has not ended yet. */
  readonly #active = new Numbered<boolean>();
  #fault: VivariumError | undefined;

  /** Requests that are active. */
  get active(): number {
    return this.#active.size;
  }

  /** Whether no request is active and no record has begun. */
  get idle(): boolean {
    return this.#active.size === 0 && this.#reader.idle && this.#fault === undefined;
  }

  /** A request with this id was sent. */
  begin(id: number): void {
    this.#active.set(id, true);
  }

  /** Takes octets from the peer. They are read later: the chunk belongs to the decoder, and to whom it gives a body's. */
  receive(chunk: Uint8Array): void {
    if (this.#fault === undefined) this.#reader.receive(chunk);
  }

  /**
   * The next event; undefined where more octets are needed.
   * @throws VivariumError where the peer does not keep to the protocol: the connection must be closed. The decoder is dead
   * from then on and throws the same again.
   */
  next(): ResponseEvent | undefined {
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

  #management(): ResponseEvent | undefined {
    const { type, octets } = this.#reader;
    if (type === recordType.getValuesResult) return { type: "values", pairs: decodePairs(octets, malformed) };
    if (type !== recordType.unknownType)
      throw malformed(`The application sent a record of type ${type} without an id.`);
    this.#checkSize("UNKNOWN_TYPE");
    return { type: "unknown-type", recordType: octets[0] as number };
  }

  #record(): ResponseEvent | undefined {
    const { type, id, octets } = this.#reader;
    const flowing = this.#active.get(id);
    if (flowing === undefined) return undefined;
    switch (type) {
      case recordType.stdout:
        if (octets.length === 0) {
          this.#active.set(id, false);
          return undefined;
        }
        if (!flowing) throw malformed("The application's STDOUT goes on after its end.");
        return { type: "stdout", id, octets };
      case recordType.stderr:
        return octets.length === 0 ? undefined : { type: "stderr", id, octets };
      case recordType.endRequest:
        return this.#end();
      default:
        throw malformed(`The application sent a record of type ${type}, which only web servers send.`);
    }
  }

  #end(): ResponseEvent {
    const { id, octets } = this.#reader;
    this.#checkSize("END_REQUEST");
    const status = octets[4] as number;
    if (status > protocolStatus.unknownRole) throw malformed(`The application ended a request with status ${status}.`);
    this.#active.delete(id);
    return { type: "end", id, applicationStatus: octets.readUInt32BE(0), protocolStatus: status };
  }

  #checkSize(name: string): void {
    const { length } = this.#reader.octets;
    if (length !== bodySize) {
      throw malformed(`An ${name} record has ${length} octets of content in place of ${bodySize}.`);
    }
  }
}

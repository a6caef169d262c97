// Field lines (RFC 9112 §5), of a head or of trailers, up to and including the empty line that ends them. The scan
// stops where the octets stop and goes on from there, so that each octet is looked at once however it arrives. CGI has
// the same lines (RFC 3875 §6.3), and lets a line feed alone end one (§7.2).

import { COLON, CR, type Faults, LF, SPACE, TAB, tokenOctets, valueOctets } from "./grammar.js";
import type { Inflow } from "./inflow.js";

const none: string[] = [];

/** The memory scanned last, four octets at a time; most of it is the one that all sockets read into. */
let scanned: Buffer | undefined;
let fourAt: DataView = new DataView(new ArrayBuffer(0));

/** Where in a line the scan stands. */
const LINE = 0;
const NAME = 1;
const BEFORE_VALUE = 2;
const VALUE = 3;
const LINE_END = 4;
const LAST_LINE_END = 5;

export class FieldLines {
  readonly #faults: Faults;
  readonly #maxOctets: number;
  readonly #maxFields: number;
  readonly #bareLineFeeds: boolean;
  #fields: string[] = none;
  #phase = LINE;
  /** These are relative to the inflow's `at`. */
  #position = 0;
  #nameAt = 0;
  #valueAt = 0;
  #name = "";

  /**
   * `maxOctets` counts from the inflow's `at`, so that a request line in front of the fields counts too. With
   * `bareLineFeeds` a line may end in LF as well as in CR LF; HTTP must not have it so (RFC 9112 §2.2 would let it).
   */
  constructor(maxOctets: number, maxFields: number, faults: Faults, bareLineFeeds = false) {
    this.#maxOctets = maxOctets;
    this.#maxFields = maxFields;
    this.#faults = faults;
    this.#bareLineFeeds = bareLineFeeds;
  }

  /** Names and values by turns, as received, without the white space around values. */
  get fields(): readonly string[] {
    return this.#fields;
  }

  /** Where the fields ended, once `maybeFields` was true: relative to the inflow's `at`. */
  get position(): number {
    return this.#position;
  }

  begin(position: number): void {
    this.#fields = [];
    this.#phase = LINE;
    this.#position = position;
  }

  /** Scans on. True when the empty line was reached; false when more octets are needed. Consumes nothing. */
  maybeFields(inflow: Inflow): boolean {
    const { bytes, at } = inflow;
    const end = Math.min(inflow.end, at + this.#maxOctets);
    const fours = end - 3;
    if (bytes !== scanned) {
      scanned = bytes;
      fourAt = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
    const view = fourAt;
    let phase = this.#phase;
    let i = at + this.#position;
    let nameAt = at + this.#nameAt;
    let valueAt = at + this.#valueAt;
    let whole = false;
    while (i < end) {
      if (phase === LINE) {
        nameAt = i;
        if (bytes[i] === LF && this.#bareLineFeeds) {
          i++;
          whole = true;
          break;
        }
        phase = bytes[i] === CR ? LAST_LINE_END : NAME;
        if (phase === LAST_LINE_END && ++i === end) break;
      }
      if (phase === NAME) {
        while (i < end && tokenOctets[bytes[i] as number] === 1) i++;
        if (i === end) break;
        if (bytes[i] !== COLON || i === nameAt) throw this.#malformedName(bytes[i] as number, i === nameAt);
        this.#name = inflow.string(nameAt, i);
        phase = BEFORE_VALUE;
        if (++i === end) break;
      }
      if (phase === BEFORE_VALUE) {
        while (i < end && (bytes[i] === SPACE || bytes[i] === TAB)) i++;
        if (i === end) break;
        valueAt = i;
        phase = VALUE;
      }
      if (phase === VALUE) {
        while (i < fours && !hasControl(view.getInt32(i, true))) i += 4;
        while (i < end && valueOctets[bytes[i] as number] === 1) i++;
        if (i === end) break;
        if (bytes[i] === LF && this.#bareLineFeeds) {
          this.#add(inflow, valueAt, i++);
          phase = LINE;
          continue;
        }
        if (bytes[i] !== CR) throw this.#malformedValue(bytes[i] as number);
        phase = LINE_END;
        if (++i === end) break;
      }
      if (bytes[i] !== LF)
        throw this.#faults.malformed("A line of the head has a carriage return without a line feed.");
      i++;
      if (phase === LAST_LINE_END) {
        whole = true;
        break;
      }
      this.#add(inflow, valueAt, i - 2);
      phase = LINE;
    }
    if (!whole && i - at >= this.#maxOctets) {
      throw this.#faults.headTooLarge(`The head is larger than ${this.#maxOctets} octets.`);
    }
    this.#phase = phase;
    this.#position = i - at;
    this.#nameAt = nameAt - at;
    this.#valueAt = valueAt - at;
    return whole;
  }

  #add(inflow: Inflow, from: number, to: number): void {
    const { bytes } = inflow;
    let end = to;
    while (end > from && (bytes[end - 1] === SPACE || bytes[end - 1] === TAB)) end--;
    if (this.#fields.length >= 2 * this.#maxFields) {
      throw this.#faults.headTooLarge(`The head has more than ${this.#maxFields} fields.`);
    }
    this.#fields.push(this.#name, inflow.string(from, end));
  }

  #malformedName(octet: number, first: boolean): Error {
    if (first && (octet === SPACE || octet === TAB)) {
      // obs-fold, or a first field that some take for a continuation of the start line (RFC 9112 §2.2, §5.2)
      return this.#faults.malformed("A field line begins with white space; folded lines are not accepted.");
    }
    if (octet === SPACE || octet === TAB) {
      return this.#faults.malformed("A field name is followed by white space; the colon must come at once.");
    }
    if (octet === CR || octet === LF) return this.#faults.malformed("A field line has no colon.");
    return this.#faults.malformed("A field name is empty or has an octet that names cannot have.");
  }

  #malformedValue(octet: number): Error {
    if (octet === LF)
      return this.#faults.malformed("A line of the head ends in a line feed without a carriage return.");
    return this.#faults.malformed("A field value has a control octet.");
  }
}

/**
 * Whether any of four octets is below 0x20 or 0x7f: what ends a value, or a tab. Most of a head is values, and four at a
 * time they take half as long as one by one.
 */
function hasControl(four: number): boolean {
  const low = (four - 0x20202020) & ~four;
  const deleted = four ^ 0x7f7f7f7f;
  return ((low | ((deleted - 0x01010101) & ~deleted)) & 0x80808080) !== 0;
}

// One request over FastCGI: sends it, takes its response apart, and keeps its own time, since a connection can carry others.
import { log } from "../channels.js";
import { VivariumError } from "../errors.js";
import type { ResponseHead } from "../exchange.js";
import { Memo } from "../memo.js";
import { type Timed, ticks } from "../net/deadline.js";
import { ResponseDecoder } from "../protocol/cgi/response-decoder.js";
import { encodePairs } from "../protocol/fastcgi/params.js";
import { protocolStatus } from "../protocol/fastcgi/records.js";
import { encodeInput, encodeRequest } from "../protocol/fastcgi/request-encoder.js";
import { BodyFile, type BodyTaker } from "./body-file.js";
import type { FailureKind, UpstreamCall, UpstreamEvents, UpstreamRequest } from "./driver.js";
import type { ConnectionOwner, FastCgiConnection } from "./fastcgi-connection.js";
import { type Phase, phases } from "./socket.js";

/** For how long in all a request's slow client may hold up the others on its connection. */
const patience = ticks(5);
/** Octets of a line of STDERR; a longer one becomes several. */
const lineMost = 8192;

const nothing: Uint8Array = new Uint8Array(0);

const commonPairs = new Memo(encodePairs);

export class FastCgiCall implements UpstreamCall, BodyTaker, Timed {
  deadline = 0;
  readonly request: UpstreamRequest;
  readonly #owner: ConnectionOwner;
  readonly #events: UpstreamEvents;
  #connection: FastCgiConnection | undefined;
  id = 0;
  #decoder: ResponseDecoder;
  #phase: Phase = phases.connecting;
  #file: BodyFile | undefined;
  /** The connection was used before, and had received so many chunks when this was sent; -1 otherwise. */
  #receivedBefore = -1;
  #anySent = false;
  #sent = false;
  #responding = false;
  /** The response is whole by its own account. */
  #whole = false;
  /** The server has ended the request. */
  #ended = false;
  /** Nobody waits for it any more: it was told whole, or failed, or was cancelled. */
  #over = false;
  #paused = false;
  /** It is paused, and its connection knows. */
  #slow = false;
  /** It went over to another connection once. */
  #moved = false;
  /** Others wait for this one's client since that tick; 0: they do not. */
  #holdingSince = 0;
  #patience = patience;
  #errors = "";

  constructor(owner: ConnectionOwner, request: UpstreamRequest, events: UpstreamEvents) {
    this.#owner = owner;
    this.request = request;
    this.#events = events;
    this.#decoder = new ResponseDecoder(owner.options, request.method);
  }

  /** Whether the request has left whole. */
  get sent(): boolean {
    return this.#sent;
  }

  // -- the request

  placed(connection: FastCgiConnection, id: number): void {
    this.#connection = connection;
    this.id = id;
  }

  send(keepConnection: boolean): void {
    const connection = this.#connection;
    if (connection === undefined) return;
    const { body, common, own } = this.request;
    const pairs = commonPairs.of(common);
    this.#receivedBefore = connection.used > 0 ? connection.received : -1;
    this.#anySent = true;
    this.#owner.options.deadlines.watch(this);
    this.#enter(phases.sending);
    if (body.kind === "file") {
      connection.write(encodeRequest(this.id, keepConnection, own, undefined, false, pairs));
      this.#file = new BodyFile(body, this);
      this.#file.go();
      return;
    }
    const bytes = body.kind === "memory" ? body.bytes : undefined;
    connection.write(encodeRequest(this.id, keepConnection, own, bytes, true, pairs));
    this.#allWritten();
  }

  bodyOctets(octets: Uint8Array, last: boolean): boolean {
    const more = this.#connection?.write(encodeInput(this.id, octets, last)) === true;
    if (last) {
      this.#file = undefined;
      this.#allWritten();
    }
    return more;
  }

  bodyFailed(sentence: string): void {
    this.#file = undefined;
    this.#fail("closed", sentence);
  }

  /** The server takes octets again. */
  drained(): void {
    if (this.#over || this.#sent) return;
    if (this.#phase === phases.sending) this.#enter(phases.sending);
    this.#file?.go();
  }

  #allWritten(): void {
    const connection = this.#connection;
    connection?.whenFlushed(() => {
      if (this.#connection !== connection) return;
      this.#sent = true;
      if (this.#phase === phases.sending && !this.#over) this.#enter(phases.waiting);
    });
  }

  // -- the response

  /** Takes octets of STDOUT. False: nobody wants them. `deliver` tells what they are. */
  receive(octets: Uint8Array): boolean {
    if (this.#over) return false;
    this.#decoder.receive(octets);
    if (this.#responding && !this.#paused) this.#enter(phases.receiving);
    return true;
  }

  /** The server has ended the request. */
  end(status: number, applicationStatus: number): void {
    this.#flushErrors();
    if (this.#over) {
      this.#unwatch();
      return;
    }
    if (status === protocolStatus.requestComplete) {
      if (applicationStatus !== 0) {
        log("debug", "upstream", `${this.#owner.options.name} ended a request with status ${applicationStatus}.`);
      }
      this.#ended = true;
      this.#notSlow();
      this.#enter(phases.paused);
      this.#decoder.receiveEnd();
      this.deliver();
    } else if (this.#responding || this.#decoder.pending > 0) {
      this.#fail("closed", "The server could not finish the response.", true);
    } else if (status === protocolStatus.cannotMultiplex && !this.#moved) {
      this.#again();
    } else if (status === protocolStatus.unknownRole) {
      this.#fail("malformed", "The server does not answer requests: it refuses the role of a Responder.", true, true);
    } else {
      this.#fail("overloaded", "The server has too much to do.", true, true);
    }
  }

  /** The server refused to have a second request on the connection: this one goes over another. */
  #again(): void {
    this.#moved = true;
    this.#owner.cannotShare();
    this.#file?.stop();
    this.#file = undefined;
    this.#unwatch();
    this.#connection = undefined;
    this.#sent = this.#anySent = false;
    this.#owner.place(this);
  }

  /** The connection is gone. `connected`: there was one. */
  lost(kind: FailureKind, sentence: string, connected: boolean): void {
    this.#flushErrors();
    if (this.#over) {
      this.#unwatch();
      return;
    }
    const connection = this.#connection;
    // What is here may be all of it, where its length was announced.
    if (connected) this.deliver();
    if (this.#over) return;
    if (this.#whole) {
      this.#ended = true;
      this.deliver();
      return;
    }
    const stale = kind === "closed" && this.#receivedBefore >= 0 && connection?.received === this.#receivedBefore;
    this.#fail(stale ? "stale" : kind, sentence, true);
  }

  /** Tells what was received, in as few calls as possible: what is told last may say that it was the last. */
  deliver(): void {
    let head: ResponseHead | undefined;
    let octets: Uint8Array | undefined;
    let event = this.#paused ? undefined : this.#next();
    for (; event !== undefined && !(event instanceof VivariumError) && event.type !== "end"; event = this.#next()) {
      if (event.type === "head") {
        head = event.head;
        continue;
      }
      if (octets !== undefined) {
        this.#tell(head, octets, false);
        head = undefined;
      }
      octets = event.octets;
      // The client may have left over it, or have enough.
      if (this.#over || this.#paused) break;
    }
    if (this.#over) return;
    if (event instanceof VivariumError) {
      if (head !== undefined || octets !== undefined) this.#tell(head, octets, false);
      if (!this.#over) this.#fail(this.#ended ? "closed" : "malformed", event.message, this.#ended);
      return;
    }
    if (event?.type === "end") this.#whole = true;
    const last = this.#whole && this.#ended && !this.#paused;
    if (last) {
      this.#finish();
      if (this.#decoder.pending > 0 && this.request.method !== "HEAD") {
        log("warning", "upstream", `${this.#owner.options.name} sent a response longer than its Content-Length.`);
      }
    }
    if (last || head !== undefined || octets !== undefined) this.#tell(head, octets, last);
  }

  #next(): ReturnType<ResponseDecoder["next"]> | VivariumError {
    try {
      return this.#decoder.next();
    } catch (error) {
      if (error instanceof VivariumError) return error;
      throw error;
    }
  }

  #tell(head: ResponseHead | undefined, octets: Uint8Array | undefined, last: boolean): void {
    if (head === undefined) {
      this.#events.body(octets ?? nothing, last);
      return;
    }
    this.#responding = true;
    if (!last && !this.#ended) this.#enter(phases.receiving);
    this.#events.head(head, octets, last);
  }

  /** Octets of STDERR, which are lines for the log. */
  receiveErrors(octets: Uint8Array): void {
    const lines = (this.#errors + Buffer.from(octets).toString("latin1")).split("\n");
    this.#errors = lines.pop() ?? "";
    for (const line of lines) this.#logError(line);
    if (this.#errors.length > lineMost) this.#flushErrors();
  }

  #flushErrors(): void {
    const rest = this.#errors;
    this.#errors = "";
    if (rest !== "") this.#logError(rest);
  }

  #logError(line: string): void {
    const text = Buffer.from(line, "latin1")
      .toString("utf8")
      .replace(/[\0-\x1f\x7f]+/g, " ")
      .trim();
    if (text !== "") log("warning", "upstream", `${this.#owner.options.name} says: ${text}`);
  }

  // -- the end

  #fail(kind: FailureKind, sentence: string, endedByServer = false, unprocessed = false): void {
    const untouched = unprocessed || !this.#anySent;
    if (endedByServer) this.#finish();
    else this.cancel();
    this.#events.failed({ kind, sentence, unprocessed: untouched });
  }

  #finish(): void {
    this.#over = true;
    this.#notSlow();
    this.#file?.stop();
    this.#file = undefined;
    this.#unwatch();
  }

  cancel(): void {
    if (this.#over) return;
    const connection = this.#connection;
    this.#finish();
    if (connection === undefined) this.#owner.withdraw(this);
    else if (!this.#ended && connection.abandon(this)) {
      this.#owner.options.deadlines.watch(this);
      this.#enter(phases.receiving);
    }
  }

  // -- time

  #enter(phase: Phase): void {
    this.#phase = phase;
    const { options } = this.#owner;
    const { limit } = phase;
    const most = typeof limit === "number" ? limit : options[limit];
    this.deadline = most === 0 ? 0 : options.deadlines.tick + most;
  }

  #unwatch(): void {
    this.#owner.options.deadlines.unwatch(this);
  }

  expire(): void {
    if (this.#over) {
      this.#unwatch();
      this.#connection?.giveUp(this);
    } else if (this.#holdingSince > 0) {
      this.#fail("slow-client", "The client takes the response too slowly for a connection that others share.");
    } else this.#fail(this.#phase.kind, this.#phase.sentence);
  }

  // -- the flow of the response

  pause(): void {
    if (this.#paused) return;
    this.#paused = true;
    if (this.#ended) return;
    this.#enter(phases.paused);
    this.#slow = true;
    this.#connection?.slow(1);
  }

  resume(): void {
    if (!this.#paused) return;
    this.#paused = false;
    this.#notSlow();
    if (!this.#ended) this.#enter(phases.receiving);
    this.deliver();
  }

  #notSlow(): void {
    if (!this.#slow) return;
    this.#slow = false;
    this.#connection?.slow(-1);
  }

  /** Whether the connection must not be read because of it. `alone`: nobody else waits for that. */
  weigh(alone: boolean, memory: number): boolean {
    const holds = this.#slow && (alone || this.#decoder.pending > memory);
    const { tick } = this.#owner.options.deadlines;
    if (holds && !alone) {
      if (this.#holdingSince === 0) {
        this.#holdingSince = tick;
        this.deadline = tick + this.#patience;
      }
    } else if (this.#holdingSince > 0) {
      this.#patience = Math.max(1, this.#patience - (tick - this.#holdingSince));
      this.#holdingSince = 0;
      this.deadline = 0;
    }
    return holds;
  }
}

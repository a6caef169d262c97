// A request on its way through a group: to one server, and perhaps to another after it.
import { VivariumError } from "../errors.js";
import type { Exchange, ResponseHead, TunnelEnd, TunnelOwner } from "../exchange.js";
import type { Member } from "./balancer.js";
import type { FailureKind, UpstreamCall, UpstreamEvents, UpstreamFailure, UpstreamRequest } from "./driver.js";
import type { Forwarder } from "./forwarded.js";
import { isIdempotent, mayRetry, triesMost } from "./retry.js";
import type { Server } from "./server.js";
import { joinTunnel } from "./tunnel.js";

/** What a request needs of its group. */
export interface AttemptOwner {
  /** Octets of a response that wait for the client before its server must wait too. */
  readonly responseMemory: number;
  now(): number;
  pick(now: number, hash: number, tried: readonly Member<Server>[]): Member<Server> | undefined;
  /** Whether there is budget for a retry; it counts then. */
  spendRetry(): boolean;
  /** A request goes to a server. Whether it is its trial. */
  began(member: Member<Server>): boolean;
  responded(member: Member<Server>, milliseconds: number): void;
  /** The server is done with it. "gone": nothing is known of the server by that. */
  ended(
    member: Member<Server>,
    trial: boolean,
    outcome: "answered" | "failed" | "gone",
    failure?: UpstreamFailure,
  ): void;
}

const untried: readonly Member<Server>[] = [];

export class Attempt implements UpstreamEvents {
  readonly #owner: AttemptOwner;
  readonly #exchange: Exchange;
  readonly #hash: number;
  /** As the server last tried was sent it; another of the same kind is sent the same. */
  #request: UpstreamRequest | undefined;
  #forwarder: Forwarder | undefined;
  #tried: readonly Member<Server>[] = untried;
  #member: Member<Server> | undefined;
  #call: UpstreamCall | undefined;
  #trial = false;
  #fresh = false;
  #startedAt = 0;
  #responded = false;
  /** Octets of the body that the client has not taken. */
  #unflushed = 0;
  #paused = false;

  /** `hash`: see Balancer.pick. */
  constructor(owner: AttemptOwner, exchange: Exchange, hash: number) {
    this.#owner = owner;
    this.#exchange = exchange;
    this.#hash = hash;
    exchange.onGone = () => this.#gone();
  }

  /** Sends it, or answers where there is nobody to send it to. */
  begin(): void {
    const now = this.#owner.now();
    const member = this.#owner.pick(now, this.#hash, this.#tried);
    if (member === undefined) this.#exchange.refuse(503, "No server is there to handle this request.");
    else this.#send(member, now);
  }

  #send(member: Member<Server>, now: number): void {
    const { driver, forwarder } = member.server;
    this.#member = member;
    this.#startedAt = now;
    this.#trial = this.#owner.began(member);
    try {
      if (this.#request === undefined || forwarder !== this.#forwarder) {
        this.#forwarder = forwarder;
        this.#request = upstreamRequest(this.#exchange, forwarder);
      }
      this.#call = driver.start(this.#request, this, this.#fresh);
    } catch (error) {
      this.#end("gone");
      if (!(error instanceof VivariumError)) throw error;
      this.#exchange.refuse(error.status ?? 502, error.message);
    }
  }

  #end(outcome: "answered" | "failed" | "gone", failure?: UpstreamFailure): void {
    const member = this.#member;
    this.#member = undefined;
    this.#call = undefined;
    if (member !== undefined) this.#owner.ended(member, this.#trial, outcome, failure);
  }

  // -- from the driver

  head(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    const exchange = this.#exchange;
    this.#responded = true;
    if (this.#member !== undefined) this.#owner.responded(this.#member, this.#owner.now() - this.#startedAt);
    // Ended before it is told: the client's next request may come of it, and finds the server as it is.
    if (last) this.#end("answered");
    else {
      this.#unflushed = body?.length ?? 0;
      exchange.onFlushed = (octets) => this.#flushed(octets);
    }
    exchange.respond(head, body, last);
    if (!last) this.#holdBack();
  }

  body(octets: Uint8Array, last: boolean): void {
    if (last) this.#end("answered");
    else this.#unflushed += octets.length;
    this.#exchange.write(octets, last);
    if (!last) this.#holdBack();
  }

  failed(failure: UpstreamFailure): void {
    const member = this.#member;
    if (member === undefined) return;
    const stale = failure.kind === "stale";
    this.#end(stale || blameless.has(failure.kind) ? "gone" : "failed", failure);
    if (this.#responded) {
      this.#exchange.cut();
      return;
    }
    if (mayRetry(failure, isIdempotent(this.#exchange.request.method))) {
      const now = this.#owner.now();
      if (stale && !this.#fresh) {
        this.#fresh = true;
        this.#send(member, now);
        return;
      }
      this.#tried = [...this.#tried, member];
      const next = this.#tried.length < triesMost ? this.#owner.pick(now, this.#hash, this.#tried) : undefined;
      if (next !== undefined && this.#owner.spendRetry()) {
        this.#fresh = false;
        this.#send(next, now);
        return;
      }
    }
    const [status, sentence] = answers[failure.kind];
    this.#exchange.refuse(status, sentence);
  }

  switched(fields: Uint8Array, server: TunnelEnd): TunnelOwner {
    const { upgrade } = this.#exchange;
    if (upgrade === undefined) throw new Error("a server switched that was not asked to");
    if (this.#member !== undefined) this.#owner.responded(this.#member, this.#owner.now() - this.#startedAt);
    return joinTunnel(upgrade, fields, server, () => this.#end("answered"));
  }

  // -- from the client

  #flushed(octets: number): void {
    this.#unflushed -= octets;
    if (!this.#paused || this.#unflushed > this.#owner.responseMemory / 2) return;
    this.#paused = false;
    this.#call?.resume();
  }

  #holdBack(): void {
    if (this.#paused || this.#unflushed <= this.#owner.responseMemory) return;
    this.#paused = true;
    this.#call?.pause();
  }

  #gone(): void {
    const call = this.#call;
    this.#end("gone");
    call?.cancel();
  }
}

function upstreamRequest({ request, upgrade }: Exchange, forwarder: Forwarder): UpstreamRequest {
  const { method, body } = request;
  const { common, own, encoded } = forwarder(request);
  return { method, common, own, encoded, body, idempotent: isIdempotent(method), upgrade: upgrade?.key };
}

const unanswered: readonly [number, string] = [502, "The application did not answer this request."];
const late: readonly [number, string] = [504, "The application did not answer this request in time."];

/** What says nothing about the server. */
const blameless: ReadonlySet<FailureKind> = new Set(["slow-client", "exhausted"]);

/** What a client is answered whose request failed. */
const answers: Readonly<Record<FailureKind, readonly [number, string]>> = {
  refused: unanswered,
  exhausted: [503, "The server has as many connections as it can. Try again later."],
  "connect-timeout": unanswered,
  "send-timeout": late,
  "first-byte-timeout": late,
  "idle-timeout": late,
  stale: unanswered,
  "slow-client": unanswered,
  closed: unanswered,
  malformed: unanswered,
  overloaded: [503, "The application has too much to do to handle this request."],
};

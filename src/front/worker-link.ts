// The front's end of one worker's connection: carries out what the pool decided, turns frames into calls on exchanges.
import { log } from "../channels.js";
import type { Exchange, Request, ResponseHead, StreamBody } from "../exchange.js";
import type { LinkSocket, LinkSocketOwner } from "../net/link-socket.js";
import { type SharedMemory, sharedMemory } from "../net/shared-memory.js";
import type { Member, Poolable } from "../pool/pool.js";
import { Numbers } from "../python/numbers.js";
import { HeadReader } from "../python/response-head.js";
import { lateFlag, requestFlag } from "../python/wire/frames.js";
import { RequestWriter } from "../python/wire/request-writer.js";
import { type ResponseListener, ResponseReader } from "../python/wire/response-reader.js";
import { SharedBodies, sharedSize } from "../python/wire/shared-bodies.js";
import { encodeScope } from "./asgi-scope.js";
import { InFlight } from "./in-flight.js";
import { ResponseSpool, type SpoolSpace } from "./response-spool.js";
import { sendPath } from "./send-path.js";
import { WorkerSocket } from "./worker-socket.js";

/** A request on its way through the pool. */
export interface Ticket extends Poolable<Ticket> {
  readonly exchange: Exchange;
  /** Its response is a stream of events. */
  events: boolean;
  /** Something of an answer was given to the exchange. */
  begun: boolean;
  /** The worker it was given to, and its id there; undefined and 0 before. */
  link: WorkerLink | undefined;
  id: number;
  /** Octets of the response that left for the client and were not credited to the worker yet. */
  flushed: number;
  /** Octets of it that the worker may send without credit. */
  window: number;
  /** What of a response that comes in parts waits for its client. */
  spool: ResponseSpool | undefined;
  /** It is a WebSocket, which the worker has accepted. */
  socket: WorkerSocket | undefined;
}

/** A response that has no end of its own, and whose client comes again: RFC 9110 §8.3, HTML "Server-sent events". */
const eventStream = /(?:^|\n)content-type:[ \t]*text\/event-stream[ \t]*[;\r]/i;

/** What clients of an application are told that is exchanged for a newer one: come again (RFC 6455 §7.4.2, IANA's registry). */
const serviceRestart = 1012;

/**
 * Ends what has no end of its own: a WebSocket by its close code, a stream of events as if it were whole: an event that is not whole is
 * dropped by its client. The application is told, where it is there. False where it is none.
 */
export function endEvents(ticket: Ticket): boolean {
  const { exchange, events, socket, link } = ticket;
  socket?.end(serviceRestart);
  if (socket !== undefined) return true;
  if (!events) return false;
  exchange.write(nothing, true);
  link?.cancel(ticket);
  return true;
}

/** What a link tells its pool. */
export interface LinkOwner {
  readonly spoolSpace: SpoolSpace;
  /** How the worker is called in the log. */
  name(link: WorkerLink): string;
  /** The worker said hello, and whether it has the memory for bodies: it may be given requests. */
  linkReady(link: WorkerLink): void;
  linkAnswered(link: WorkerLink, ticket: Ticket, wall: number, cpu: number): void;
  /** ASGI: the response to a ticket has begun, and goes on. */
  linkBegan(link: WorkerLink, ticket: Ticket): void;
  linkReturned(link: WorkerLink, ticket: Ticket): void;
  linkDropped(link: WorkerLink, ticket: Ticket): void;
  /** The time limit of a request that has another than its pool, ms. */
  ownLimit(request: Request): number | undefined;
  /** A request is executed for long (`lateFlag`): `stack` is where it is. It stays the link's until it is over. */
  linkLate(link: WorkerLink, ticket: Ticket, flags: number, stack: string): void;
  /** The worker has too much memory, in KiB. */
  linkOversized(link: WorkerLink, kib: number): void;
  /** All that a read brought was told: what it made room for can be given, before anything else is done. */
  linkRead(): void;
  /** The connection ended. */
  linkClosed(link: WorkerLink): void;
  /** Something was written to the link: `flush` is to be called at the end of this turn of the event loop. */
  linkWritten(link: WorkerLink): void;
}

const nothing = new Uint8Array(0);

/** Ids are 32 bits; 0 is none. */
const lastId = 0xffffffff;

/** A RESPONSE frame and whose it is. */
interface Answer {
  readonly exchange: Exchange;
  readonly head: ResponseHead;
  readonly body: Buffer | undefined;
}

interface Hello {
  readonly worker: number;
  readonly pid: number;
  readonly threads: number;
  readonly generation: number;
  readonly interface: Interface;
  readonly eventLoop: string;
}

/** What an application's calling convention is. */
export type Interface = "wsgi" | "asgi";

/** What the workers of a generation have answered, together. */
export interface Tally {
  readonly generation: number;
  answers: number;
  /** Of these, with a status from 500. */
  errors: number;
}

export class WorkerLink implements ResponseListener, LinkSocketOwner {
  readonly #socket: LinkSocket;
  readonly #owner: LinkOwner;
  readonly #writer: RequestWriter;
  readonly #reader = new ResponseReader(this);
  readonly #tickets = new InFlight<Ticket>();
  /** Whole answers of the read under way. */
  readonly #answers: Answer[] = [];
  readonly #heads = new HeadReader();
  readonly #numbers = new Numbers();
  /** What bodies are in that do not go through the socket, from hello on, where it can be had. */
  #memory: SharedMemory | undefined;
  #nextId = 1;
  #hello: Hello | undefined;
  /** The pool's view of this worker, from hello on. */
  member: Member<Ticket, WorkerLink> | undefined;
  /** Answers after which it is replaced, from then on that it takes requests; 0 for none. */
  quota = 0;
  /** Where its answers are counted, from hello on. */
  tally: Tally | undefined;
  /** Whether `linkWritten` was told since the last flush. */
  written = false;

  /** Once the connection has ended. */
  readonly closed: Promise<void>;
  #tellClosed = (): void => {};

  constructor(socket: LinkSocket, owner: LinkOwner) {
    this.#socket = socket;
    this.#owner = owner;
    this.#writer = new RequestWriter(socket);
    this.closed = new Promise((resolve) => {
      this.#tellClosed = resolve;
    });
    socket.start(this);
  }

  linkReceived(octets: Buffer): void {
    this.#reader.receive(octets);
    this.#owner.linkRead();
    this.#deliver();
  }

  linkGone(): void {
    for (const ticket of this.tickets) release(ticket);
    this.#tickets.clear();
    this.#releaseMemory();
    this.#owner.linkClosed(this);
    this.#tellClosed();
  }

  /** The worker's number and process id; 0 before its hello. */
  get worker(): number {
    return this.#hello?.worker ?? 0;
  }
  get pid(): number {
    return this.#hello?.pid ?? 0;
  }
  /** Threads it may have. */
  get threads(): number {
    return this.#hello?.threads ?? 0;
  }
  /** What it was given and has not ended, in the order given. */
  get tickets(): readonly Ticket[] {
    return this.#tickets.all(this.#nextId);
  }
  /** Which load of the code it runs; 0 before its hello. */
  get generation(): number {
    return this.#hello?.generation ?? 0;
  }

  get interface(): Interface {
    return this.#hello?.interface ?? "wsgi";
  }

  /** What runs an ASGI application: "asyncio" or "uvloop 0.22.1"; else "". */
  get eventLoop(): string {
    return this.#hello?.eventLoop ?? "";
  }

  /** `little`: of the response, the worker may send no more than `littleResponse` before the client has taken some. */
  give(ticket: Ticket, handOver: boolean, little: boolean): void {
    const id = this.#nextId;
    this.#nextId = id === lastId ? 1 : id + 1;
    const { exchange } = ticket;
    const { request } = exchange;
    const { body, stream } = request;
    ticket.link = this;
    ticket.id = id;
    this.#tickets.add(ticket);
    const limit = this.#owner.ownLimit(request);
    if (limit !== undefined) this.#writer.limit(id, limit);
    let flags = (handOver ? requestFlag.handOver : 0) | (little ? requestFlag.littleMemory : 0);
    let { variables: text, shared } = request;
    if (this.interface === "asgi") {
      const scope = encodeScope(exchange);
      text = scope.text;
      shared = scope.shared;
      flags = (flags & requestFlag.littleMemory) | scope.flags;
      if (exchange.upgrade !== undefined) flags |= requestFlag.webSocket;
    }
    let number = 0;
    if (request.again === true && exchange.upgrade === undefined) {
      number = this.#numbers.get(text);
      if (number > 0) {
        text = "";
        shared = 0;
      } else number = this.#numbers.add(text);
      if (number > 0) flags |= requestFlag.numbered;
    }
    if (stream !== undefined) {
      this.#writer.request(id, flags | requestFlag.bodyFollows, text, shared, undefined, number);
      this.#relay(ticket, stream);
    } else if (body.kind === "empty") {
      this.#writer.request(id, flags, text, shared, undefined, number);
    } else if (body.kind === "memory") {
      this.#writer.request(id, flags, text, shared, body.bytes, number);
    } else {
      // The file has no name any more; the worker opens it anew, with a position of its own, through this process. Until
      // it answers, this descriptor must not become another file, whatever the client does.
      body.hold();
      const path = Buffer.from(`/proc/${process.pid}/fd/${body.fd}`, "latin1");
      this.#writer.request(id, flags | requestFlag.bodyInFile, text, shared, path, number);
    }
    this.#mark();
  }

  /** Passes a body on while it arrives. */
  #relay(ticket: Ticket, stream: StreamBody): void {
    const { id } = ticket;
    const pass = (octets: Uint8Array, last: boolean): void => {
      // A response that is whole may come before the body is.
      if (ticket.link !== this) return;
      this.#writer.body(id, octets, last);
      this.#mark();
    };
    stream.start({ bodyReceived: (octets) => pass(octets, false), bodyEnded: () => pass(nothing, true) });
  }

  /** The client of this ticket left. */
  cancel(ticket: Ticket): void {
    this.#writer.cancel(ticket.id);
    this.#mark();
  }

  /** The client of this ticket ended its side, and may have left. WSGI has no way to tell an application. */
  inputEnded(ticket: Ticket): void {
    if (this.interface !== "asgi") return;
    this.#writer.inputEnded(ticket.id);
    this.#mark();
  }

  /** So many octets of this ticket's response have left for the client. */
  credit(ticket: Ticket, octets: number): void {
    this.#writer.credit(ticket.id, octets);
    this.#mark();
  }

  flush(): void {
    this.written = false;
    this.#writer.flush();
  }

  /** Sends nothing more: the worker answers what it has, then exits. */
  end(): void {
    this.#writer.end();
    this.flush();
    this.#socket.end();
  }

  #mark(): void {
    if (this.written) return;
    this.written = true;
    this.#owner.linkWritten(this);
  }

  // ---- from the worker

  hello(json: string): void {
    this.#hello = JSON.parse(json) as Hello;
    this.#memory = sharedMemory(sharedSize);
    if (this.#memory === undefined) {
      this.#owner.linkReady(this);
      return;
    }
    this.#reader.bodies = new SharedBodies(this.#memory.octets);
    this.#writer.share(this.#memory.path);
    this.#mark();
  }

  shared(has: boolean): void {
    this.#memory?.found();
    if (has) this.#writer.bodies = this.#reader.bodies;
    else this.#releaseMemory();
    this.#owner.linkReady(this);
  }

  #releaseMemory(): void {
    this.#writer.bodies = undefined;
    this.#reader.bodies = undefined;
    this.#memory?.release();
    this.#memory = undefined;
  }

  response(id: number, status: number, flags: number, head: Buffer, body: Buffer | undefined, last: boolean): void {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined || ticket.exchange.ended) return;
    const { exchange } = ticket;
    ticket.begun = true;
    this.#count(status);
    const read = this.#heads.read(status, flags, head);
    if (status === 101) {
      this.#accept(ticket, read.fields);
      return;
    }
    if (last) this.#answers.push({ exchange, head: read, body });
    else if (this.interface === "asgi") {
      // A task that waits for its client occupies nobody.
      this.#owner.linkBegan(this, ticket);
      ticket.events = read.contentLength < 0 && eventStream.test(head.toString("latin1"));
      exchange.respond(read, body, false);
    } else {
      ticket.spool = new ResponseSpool(exchange, this.#owner.spoolSpace);
      ticket.spool.respond(read, body);
    }
  }

  /** It occupies nobody while nothing is said. */
  #accept(ticket: Ticket, fields: Uint8Array): void {
    const { id, exchange } = ticket;
    this.#owner.linkBegan(this, ticket);
    const tell = (write: () => void): void => {
      // The application may have ended before its client has.
      if (ticket.link !== this) return;
      write();
      this.#mark();
    };
    const socket = new WorkerSocket({
      socketMessage: (octets, text) => tell(() => this.#writer.message(id, octets, text)),
      socketClosed: (code, reason) => tell(() => this.#writer.close(id, code, reason)),
      socketFlushed: (octets) => exchange.onFlushed?.(octets),
    });
    ticket.socket = socket;
    const stream = exchange.upgrade?.accept(fields, socket);
    if (stream !== undefined) socket.stream = stream;
  }

  socketMessage(id: number, octets: Buffer, text: boolean): void {
    this.#tickets.get(id)?.socket?.send(octets, text);
  }

  socketClose(id: number, code: number, reason: string): void {
    this.#tickets.get(id)?.socket?.close(code, reason);
  }

  #count(status: number): void {
    const { tally } = this;
    if (tally === undefined) return;
    tally.answers += 1;
    if (status >= 500) tally.errors += 1;
  }

  /** Gives whole answers to their clients; each is a system call, and the workers had their next requests before. */
  #deliver(): void {
    for (const { exchange, head, body } of this.#answers) if (!exchange.ended) exchange.respond(head, body, true);
    this.#answers.length = 0;
  }

  data(id: number, octets: Buffer, last: boolean): void {
    const ticket = this.#tickets.get(id);
    if (ticket?.spool !== undefined) ticket.spool.write(octets, last);
    else ticket?.exchange.write(octets, last);
  }

  fail(id: number): void {
    const ticket = this.#tickets.get(id);
    // An application that was told that its client had left need not have answered.
    ticket?.exchange.cut(this.interface === "asgi" && ticket.exchange.inputEnded);
  }

  ended(id: number, wall: number, cpu: number): void {
    const ticket = this.#take(id);
    if (ticket !== undefined) this.#owner.linkAnswered(this, ticket, wall, cpu);
  }

  returned(id: number): void {
    const ticket = this.#take(id);
    if (ticket !== undefined) this.#owner.linkReturned(this, ticket);
  }

  dropped(id: number): void {
    const ticket = this.#take(id);
    if (ticket !== undefined) this.#owner.linkDropped(this, ticket);
  }

  late(id: number, flags: number, stack: string): void {
    const ticket = this.#tickets.get(id);
    // What was on its way when the worker found it late may have ended it.
    if (ticket === undefined) return;
    if ((flags & lateFlag.over) !== 0) {
      this.#take(id);
      // Without LATE before it: the application raised what is raised in a late request.
      ticket.exchange.cut();
    }
    this.#owner.linkLate(this, ticket, flags, stack);
  }

  bodyCredit(id: number, octets: number): void {
    const ticket = this.#tickets.get(id);
    if (ticket?.socket !== undefined) ticket.socket.credit(octets);
    else ticket?.exchange.request.stream?.credit(octets);
  }

  inform(id: number, status: number, fields: Buffer): void {
    this.#tickets.get(id)?.exchange.inform(status, fields);
  }

  trailers(id: number, fields: Buffer): void {
    this.#tickets.get(id)?.exchange.end(fields);
  }

  path(id: number, status: number, flags: number, head: Buffer, path: string): void {
    const ticket = this.#tickets.get(id);
    if (ticket === undefined || ticket.exchange.ended) return;
    ticket.begun = true;
    this.#count(status);
    sendPath(ticket.exchange, this.#heads.read(status, flags, head), path);
  }

  retire(kib: number): void {
    this.#owner.linkOversized(this, kib);
  }

  #take(id: number): Ticket | undefined {
    const ticket = this.#tickets.take(id);
    if (ticket === undefined) {
      log("error", "pool", `${this.#owner.name(this)} answered request ${id}, which it does not have.`);
      return undefined;
    }
    ticket.link = undefined;
    release(ticket);
    return ticket;
  }
}

/** What `give` held; a request that goes to another worker is held again. */
function release({ exchange }: Ticket): void {
  const { body } = exchange.request;
  if (body.kind === "file") body.release();
}

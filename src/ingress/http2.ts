// Drives one HTTP/2 connection (RFC 9113): Node's session, which is nghttp2, on one side, a request for each stream on the other. The
// session reads the connection's descriptor itself; what it cannot know is decided here: how long a connection may rest, how it ends
// when the server stops, and how much a client may have done for nothing.
import {
  constants,
  createServer,
  type Http2Server,
  type ServerHttp2Session,
  type ServerHttp2Stream,
  type ServerOptions,
} from "node:http2";
import type { Socket } from "node:net";
import { log } from "../channels.js";
import type { VivariumError } from "../errors.js";
import type { ClientSocket } from "../net/client-socket.js";
import type { Timed } from "../net/deadline.js";
import type { RequestVariables } from "../protocol/cgi/request-variables.js";
import { RequestHeads } from "../protocol/http2/request-head.js";
import type { Router } from "../routing/router.js";
import { GivenUp } from "./given-up.js";
import { idleDrainingTicks, lingerDrainingTicks, lingerTicks } from "./http1-phases.js";
import type { Outgoing } from "./http2-pace.js";
import { StreamSocket } from "./http2-socket.js";
import { Http2Request, type StreamsOwner, type StreamUse } from "./http2-stream.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { Patience } from "./patience.js";
import { Peer, requestVariables } from "./peer.js";

/** Streams of a connection at once; RFC 9113 §6.5.2 wants no fewer than 100. */
const streamsMost = 100;
/** Octets of a request's body that may come ahead of who takes them. At 50 ms to the client and back, 5 MB a second. */
const streamWindow = 256 * 1024;
/** The same for a connection. It bounds no memory: that is the streams' affair. */
const connectionWindow = 1024 * 1024;
/** Frames that mean nothing, in the life of a connection: an empty DATA among them. */
const invalidFramesMost = 200;
/** What the session may keep of responses, MiB: `--response-memory` of each stream is the narrower limit. */
const sessionMemory = 256;

const {
  NGHTTP2_ENHANCE_YOUR_CALM,
  NGHTTP2_FLAG_END_STREAM,
  NGHTTP2_FLOW_CONTROL_ERROR,
  NGHTTP2_PROTOCOL_ERROR,
  NGHTTP2_STREAM_CLOSED,
} = constants;

/** What nghttp2 gives a connection up for, by its own numbers (nghttp2.h): ERR_PROTO, ERR_STREAM_CLOSED, ERR_FLOW_CONTROL. */
const codes: ReadonlyMap<unknown, number> = new Map([
  [-505, NGHTTP2_PROTOCOL_ERROR],
  [-510, NGHTTP2_STREAM_CLOSED],
  [-524, NGHTTP2_FLOW_CONTROL_ERROR],
]);

/** Whatever a session is given up for came from the client: Node would say that the server has an internal error. */
function codeFor(error: Error): number {
  return codes.get(Reflect.get(error, "errno")) ?? NGHTTP2_ENHANCE_YOUR_CALM;
}

/** All HTTP/2 of a front. */
export class Http2Door {
  readonly #server: Http2Server;

  constructor(options: IngressOptions) {
    const { maxHead, maxFields } = options.limits;
    // A head that is too large is to be answered 431, as over HTTP/1.1; so more is read of it than may be, up to twice as much. Each
    // field counts 32 octets more here (RFC 9113 §6.5.2).
    const pairs = 2 * maxFields;
    const settings: ServerOptions & { readonly maxSessionInvalidFrames: number } = {
      maxHeaderListPairs: pairs,
      maxSessionInvalidFrames: invalidFramesMost,
      maxSessionMemory: sessionMemory,
      settings: {
        maxConcurrentStreams: streamsMost,
        initialWindowSize: streamWindow,
        maxHeaderListSize: 2 * maxHead + 32 * pairs,
        // RFC 8441 §3: WebSockets may be asked for.
        enableConnectProtocol: true,
      },
    };
    this.#server = createServer(settings);
  }

  /** Serves a connection, of which `received` was read already. */
  readonly serve = (
    client: ClientSocket,
    options: IngressOptions,
    refusal: VivariumError | undefined,
    router: Pick<Router, "find"> = options.router,
    received?: Buffer,
  ): IngressConnection => {
    const socket = client.release();
    if (received !== undefined) socket.unshift(received);
    return new Connection(client, socket, this.#sessionOn(socket), { options, router, refusal });
  };

  #sessionOn(socket: Socket): ServerHttp2Session {
    let session: ServerHttp2Session | undefined;
    this.#server.once("session", (made) => {
      session = made;
    });
    this.#server.emit("connection", socket);
    if (session === undefined) throw new Error("node:http2 made no session of a connection");
    return session;
  }
}

type Rules = Pick<StreamsOwner, "options" | "router" | "refusal">;

class Connection implements IngressConnection, StreamsOwner, Timed {
  deadline: number;
  readonly options: IngressOptions;
  readonly router: Pick<Router, "find">;
  readonly refusal: VivariumError | undefined;
  readonly peer: Peer;
  readonly trustedPeer: string | undefined;
  readonly variables: RequestVariables;
  readonly heads: RequestHeads;
  inputEnded = false;
  readonly #client: ClientSocket;
  readonly #socket: Socket;
  readonly #session: ServerHttp2Session;
  readonly #patience: Patience;
  readonly #givenUp: GivenUp;
  /** Requests, and WebSockets. */
  readonly #streams = new Set<StreamUse>();
  /** The client has said what HTTP/2 begins with (RFC 9113 §3.4). */
  #begun = false;
  #closing = false;
  #restsSince: number;
  /** Octets of responses that left the session, and how many had when the client's side was over and it was looked at. */
  #flushed = 0;
  #looked = 0;

  constructor(client: ClientSocket, socket: Socket, session: ServerHttp2Session, { options, router, refusal }: Rules) {
    this.options = options;
    this.router = router;
    this.refusal = refusal;
    this.#client = client;
    this.#socket = socket;
    this.#session = session;
    this.#patience = new Patience(options.deadlines);
    this.#givenUp = new GivenUp(socket, options.deadlines, () => this.destroy());
    this.#restsSince = options.deadlines.tick;
    this.deadline = this.#restsSince + options.headTimeout;
    this.peer = new Peer(client, options.software);
    this.trustedPeer = options.trusted.trusts(this.peer.remoteAddress) ? this.peer.remoteAddress : undefined;
    this.variables = requestVariables(this.peer, options.trusted);
    this.heads = new RequestHeads(options.limits);
    options.deadlines.watch(this);
    this.#listen();
  }

  #listen(): void {
    const session = this.#session;
    const socket = this.#socket;
    session.on("stream", (stream: ServerHttp2Stream, _headers: object, flags: number, raw: readonly string[]) =>
      this.#receive(stream, flags, raw),
    );
    session.on("remoteSettings", () => {
      if (this.#begun) this.bothered();
      else this.#begin();
    });
    session.on("ping", () => this.bothered());
    session.on("error", (error) => log("debug", "ingress", `An HTTP/2 connection failed: ${error.message}.`));
    session.on("close", () => this.#linger());
    const destroy = session.destroy.bind(session);
    session.destroy = (error, code) => destroy(error, code ?? (error && codeFor(error)));
    session.setLocalWindowSize(connectionWindow);
    socket.setNoDelay();
    socket.on("end", () => this.#inputEnds());
    socket.on("close", () => this.#gone());
    // Only behind what was received before, which the session reads in the same way.
    process.nextTick(() => socket.resume());
  }

  // -- from the client

  #begin(): void {
    this.#begun = true;
    if (this.#streams.size > 0) return;
    this.#rest();
    if (this.options.draining) this.drain();
  }

  #receive(stream: ServerHttp2Stream, flags: number, raw: readonly string[]): void {
    if (this.#session.destroyed) {
      stream.on("error", () => {});
      return;
    }
    const request = new Http2Request(this, stream);
    this.#begun = true;
    this.#streams.add(request);
    this.deadline = 0;
    request.begin(raw, (flags & NGHTTP2_FLAG_END_STREAM) !== 0);
    if (this.options.draining || this.refusal !== undefined) this.#close();
  }

  /** As of a client of HTTP/1: one that executes is finished and sent, as it may still be read. */
  #inputEnds(): void {
    this.inputEnded = true;
    for (const use of [...this.#streams]) use.inputEnds();
    this.#close();
    if (this.#streams.size > 0) this.#lookAgain();
  }

  /** A client that has ended its side has mostly left: what is written to it then is lost, and Node tells nobody. */
  #lookAgain(): void {
    this.#looked = this.#flushed;
    this.deadline = this.options.deadlines.tick + lingerDrainingTicks;
  }

  /** The connection is gone. */
  #gone(): void {
    this.options.deadlines.unwatch(this);
    this.#givenUp.stop();
    for (const use of [...this.#streams]) use.lost();
    this.options.connectionClosed(this);
  }

  // -- for its requests

  bothered(): void {
    if (this.#session.destroyed || this.#socket.destroyed || this.#patience.take()) return;
    const { remoteAddress } = this.peer;
    log(
      "info",
      "ingress",
      `A client (${remoteAddress || "on a unix socket"}) floods its HTTP/2 connection: it is closed.`,
    );
    this.#session.destroy(new Error("The client floods it"));
  }

  flushed(octets: number): void {
    this.#flushed += octets;
  }

  get outgoing(): Outgoing {
    const { untaken } = this.#client;
    const flushed = this.#flushed;
    return { flushed, taken: untaken === undefined ? undefined : flushed - untaken, streams: this.#streams.size };
  }

  over(use: StreamUse): void {
    this.#streams.delete(use);
    if (this.#streams.size > 0) return;
    if (this.#closing) this.#linger();
    else this.#rest();
  }

  switched(request: Http2Request, socket: StreamSocket): void {
    this.#streams.delete(request);
    this.#streams.add(socket);
  }

  // -- the connection's end

  #rest(): void {
    const { deadlines, keepAlive } = this.options;
    this.#restsSince = deadlines.tick;
    this.deadline = deadlines.tick + keepAlive;
  }

  get webSockets(): number {
    let count = 0;
    for (const use of this.#streams) if (use instanceof StreamSocket) count += 1;
    return count;
  }

  get restingSince(): number {
    return this.#streams.size === 0 ? this.#restsSince : Number.POSITIVE_INFINITY;
  }

  /** The deadline passed. */
  expire(): void {
    const executes = [...this.#streams].some((use) => !use.answered);
    if (this.inputEnded && (executes || this.#flushed > this.#looked)) this.#lookAgain();
    else if (this.#closing || !this.#begun) this.destroy();
    else this.#close();
  }

  drain(): void {
    for (const use of [...this.#streams]) use.drain();
    const { deadlines, drainIdle } = this.options;
    if (this.#closing) {
      if (this.#streams.size === 0) this.deadline = deadlines.tick + lingerDrainingTicks;
      return;
    }
    const until = drainIdle > 0 ? deadlines.tick + drainIdle : this.#restsSince + idleDrainingTicks;
    if (this.#streams.size === 0 && until > deadlines.tick) this.deadline = Math.min(this.deadline, until);
    else this.#close();
  }

  /**
   * Ends the connection when its requests are answered. GOAWAY tells which those are: what the client has sent meanwhile was not looked
   * at, and can be sent elsewhere (RFC 9113 §6.8). Node has no way to say first that it will come to that.
   */
  #close(): void {
    if (this.#closing) return;
    this.#closing = true;
    this.deadline = 0;
    this.#session.close();
    if (this.#streams.size === 0) this.#linger();
  }

  /**
   * Nothing runs any more: the session ends, and our side of the connection, and the client has to close its own. Where it has, what
   * is left is to send the last octets: if they do not arrive, Node tells nobody.
   */
  #linger(): void {
    this.#closing = true;
    const { deadlines, draining } = this.options;
    this.deadline = deadlines.tick + (draining || this.inputEnded ? lingerDrainingTicks : lingerTicks);
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

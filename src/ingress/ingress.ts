import type { Server, Socket } from "node:net";
import { log } from "../channels.js";
import type { Config, ListenProtocol } from "../config/config.js";
import type { VivariumError } from "../errors.js";
import { type ClientSocket, NetClientSocket } from "../net/client-socket.js";
import { Deadlines, ticks } from "../net/deadline.js";
import { type Descriptors, ownDescriptors } from "../net/descriptors.js";
import type { ReceivedFacts } from "../protocol/cgi/received-variables.js";
import type { RequestLimits } from "../protocol/http1/request-decoder.js";
import { claimedOrigin, plainAddress, TrustedProxies } from "../routing/forwarded.js";
import type { Router } from "../routing/router.js";
import { Sequence } from "../sequence.js";
import { Arrival } from "./arrival.js";
import { serveFastCgi } from "./fastcgi.js";
import { serveHttp1 } from "./http1.js";
import type { Http2Door } from "./http2.js";
import type { IngressConnection, IngressOptions, WebSocketOptions } from "./options.js";
import { Pace } from "./pace.js";
import { Preface } from "./preface.js";
import { RecurringRequests } from "./recurring-requests.js";
import { RequestMemory } from "./request-memory.js";
import { serveScgi } from "./scgi.js";
import { noRoom, Shortage } from "./shortage.js";
import type { TlsDoor } from "./tls.js";
import { serveUwsgi } from "./uwsgi.js";

/** What ingress needs of the configuration. */
export type IngressConfig = Pick<
  Config,
  | "trustedProxies"
  | "maxBody"
  | "bodyMemory"
  | "requestMemoryTotal"
  | "tempDir"
  | "maxTarget"
  | "maxHead"
  | "maxFields"
  | "keepAlive"
  | "headTimeout"
  | "stallTimeout"
  | "minRate"
  | "wsMaxSize"
  | "wsPingInterval"
  | "wsPingTimeout"
  | "wsCompression"
> &
  Partial<Pick<Config, "http2">>;

export type MakeHttp2 = (options: IngressOptions) => Http2Door;

export interface IngressFacts {
  /** Vivarium's version, for SERVER_SOFTWARE. */
  readonly version: string;
  /** Whether other processes accept from the same sockets. */
  readonly shared?: boolean;
  /** Where something listens for https. */
  readonly tls?: TlsDoor | undefined;
  /** Where HTTP/2 is spoken. */
  readonly http2?: MakeHttp2 | undefined;
  /** For tests, which let time pass themselves. */
  readonly deadlines?: Deadlines;
  /** For tests: how many descriptors there are. */
  readonly descriptors?: Descriptors;
}

/** How a net.Server for `Ingress.accept` must be made. */
export const serverOptions = { allowHalfOpen: true, noDelay: true } as const;

/** What is spoken on a listener, and by whom. */
export interface ListenerRules {
  readonly protocol: ListenProtocol;
  /** The only peers that may connect; undefined: all may. */
  readonly admitted?: TrustedProxies | undefined;
  /** Peers whose connections begin with a PROXY header. */
  readonly proxies?: TrustedProxies | undefined;
  /** HTTP: who finds handlers in place of the router of all others. */
  readonly router?: Pick<Router, "find"> | undefined;
  /** The unix socket. */
  readonly path?: string | undefined;
}

type Serve = (
  socket: ClientSocket,
  options: IngressOptions,
  /** What its requests are answered, where there is no room for them. */
  refusal: VivariumError | undefined,
  router?: Pick<Router, "find">,
) => IngressConnection;

/** Who serves a connection, by what is spoken on it. */
const doors: Readonly<Record<ListenProtocol, Serve>> = {
  http: serveHttp1,
  https: serveHttp1,
  fastcgi: serveFastCgi,
  scgi: serveScgi,
  uwsgi: serveUwsgi,
};

/** Milliseconds; a wake-up takes about as long. */
const giveWayFor = 0.05;
const still = new Int32Array(new SharedArrayBuffer(4));

/** Milliseconds in which clients that come faster than they can be accepted are accepted all the same, when the server stops. */
const windUpMost = 250;

/** One whole turn of the event loop, in which each listening socket is looked at. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(() => setImmediate(resolve)));
}

/** Clients that keep a connection busy send the next request within so long. */
const gentleTicks = ticks(5);

/** All client connections of a front. Owns each from `accept` until it is closed. */
export class Ingress implements IngressOptions {
  readonly router: Router;
  readonly limits: RequestLimits;
  readonly bodyMemory: number;
  readonly tempDir: string;
  readonly memory: RequestMemory;
  readonly trusted: TrustedProxies;
  readonly receivedFacts: ReceivedFacts;
  readonly recurring: RecurringRequests = new RecurringRequests(this);
  readonly software: string;
  readonly deadlines: Deadlines;
  readonly keepAlive: number;
  readonly headTimeout: number;
  readonly shortage: Shortage;
  readonly pace: Pace;
  readonly webSockets: WebSocketOptions;
  readonly #http2: Http2Door | undefined;
  /** Whether HTTP/2 is spoken in clear text, too. */
  readonly #priorKnowledge: boolean;
  readonly #connections = new Sequence<IngressConnection>();
  #requests = 0;
  /** Whether other processes accept from the same sockets. */
  readonly #shared: boolean;
  readonly #tls: TlsDoor | undefined;
  /** The most connections since there was none. */
  #most = 0;
  /** Connections accepted, in all. */
  #accepted = 0;
  #draining = false;
  drainIdle = 0;
  #drained: Promise<void> | undefined;
  #allClosed: (() => void) | undefined;

  constructor(config: IngressConfig, router: Router, facts: IngressFacts) {
    this.router = router;
    this.limits = {
      maxTarget: config.maxTarget,
      maxHead: config.maxHead,
      maxFields: config.maxFields,
      maxBody: config.maxBody,
    };
    this.bodyMemory = config.bodyMemory;
    this.tempDir = config.tempDir;
    this.memory = new RequestMemory(config.requestMemoryTotal);
    const trusted = new TrustedProxies(config.trustedProxies);
    this.trusted = trusted;
    this.software = `vivarium/${facts.version}`;
    this.receivedFacts = {
      software: this.software,
      believe: (fields, peer) =>
        trusted.trusts(peer.remoteAddress) ? claimedOrigin(fields, peer, trusted) : undefined,
    };
    this.#shared = facts.shared === true;
    this.#tls = facts.tls;
    this.deadlines = facts.deadlines ?? new Deadlines();
    this.shortage = new Shortage(facts.descriptors ?? ownDescriptors(), this.deadlines, this.#connections);
    this.keepAlive = ticks(config.keepAlive);
    this.headTimeout = ticks(config.headTimeout);
    this.webSockets = {
      maxSize: config.wsMaxSize,
      pingInterval: config.wsPingInterval === 0 ? 0 : ticks(config.wsPingInterval),
      pingTimeout: ticks(config.wsPingTimeout),
      compression: config.wsCompression,
    };
    this.pace = new Pace(this.deadlines, config.stallTimeout, config.minRate);
    this.#http2 = facts.http2?.(this);
    this.#priorKnowledge = config.http2 === "all";
  }

  /** Connections open now. */
  get connections(): number {
    return this.#connections.size;
  }

  /** WebSockets on these: looked for when somebody asks. */
  get openWebSockets(): number {
    let count = 0;
    for (const { webSockets = 0 } of this.#connections) count += webSockets;
    return count;
  }

  /** Requests given to a handler since the start. */
  get requests(): number {
    return this.#requests;
  }

  get draining(): boolean {
    return this.#draining;
  }

  /** Serves the connections of a server, which must be made with `serverOptions`. */
  attach(server: Server, rules: ListenerRules): void {
    if (rules.protocol === "https" || rules.proxies !== undefined) {
      server.on("connection", (socket) => this.#arrive(socket, rules));
      return;
    }
    server.on("connection", (socket) => this.accept(new NetClientSocket(socket), rules));
  }

  /** Something comes before what the protocol has to say. */
  #arrive(socket: Socket, rules: ListenerRules): void {
    this.#accepted += 1;
    const header = rules.proxies?.trusts(plainAddress(socket.remoteAddress ?? "")) === true;
    const tls = rules.protocol === "https" ? this.#tls : undefined;
    const client = new NetClientSocket(socket);
    if (!header && tls === undefined) {
      this.#serve(client, rules, this.shortage.admits(client.descriptor));
      return;
    }
    // There is no way to tell it so before the handshake.
    if (!this.shortage.admits(client.descriptor)) client.destroy();
    else this.#add(new Arrival(socket, { header, tls }, this, (arrived) => this.#serve(arrived, rules, true)));
  }

  accept(socket: ClientSocket, rules: ListenerRules): void {
    this.#accepted += 1;
    this.#serve(socket, rules, this.shortage.admits(socket.descriptor));
  }

  #serve(socket: ClientSocket, { protocol, admitted, router, path }: ListenerRules, hasRoom: boolean): void {
    if (path !== undefined) socket.path = path;
    const peer = admitted === undefined ? "" : plainAddress(socket.remote.address);
    if (admitted !== undefined && !admitted.trusts(peer)) {
      socket.destroy();
      log("warning", "ingress", `A connection from ${peer} was closed: FCGI_WEB_SERVER_ADDRS does not name it.`);
      return;
    }
    const refusal = hasRoom ? undefined : noRoom;
    const connection = this.#doorFor(socket, protocol)(socket, this, refusal, router);
    if (!hasRoom) this.shortage.refuse(connection);
    this.#add(connection);
    // It began before, and was told of as what it was then.
    if (this.#drained !== undefined) connection.drain();
    if (this.#shared) this.#giveWay();
  }

  #add(connection: IngressConnection): void {
    connection.place = this.#connections.add(connection);
  }

  #doorFor(socket: ClientSocket, protocol: ListenProtocol): Serve {
    const http2 = this.#http2;
    if (http2 !== undefined && socket.secure?.http2 === true) return http2.serve;
    return http2 !== undefined && protocol === "http" && this.#priorKnowledge ? this.#hear(http2) : doors[protocol];
  }

  /** Whether it is HTTP/2 or HTTP/1 that is spoken, the first octets tell. */
  #hear(http2: Http2Door): Serve {
    return (socket, options, refusal, router) => {
      const preface = new Preface(socket, options, (isHttp2, octets) => {
        const http1 = isHttp2 ? undefined : serveHttp1(socket, options, refusal, router);
        const connection = http1 ?? http2.serve(socket, options, refusal, router, Buffer.from(octets));
        this.connectionReplaced(preface, connection);
        this.shortage.closed(preface);
        if (refusal !== undefined) this.shortage.refuse(connection);
        http1?.socketReceived(octets, octets.length);
      });
      return preface;
    };
  }

  /**
   * Whoever is awake first would take all connections that came at once, and keep them. So it sleeps a moment after each that it did
   * not have room for before, as libuv did where processes share a socket, and another that was woken takes the next.
   */
  #giveWay(): void {
    const { size } = this.#connections;
    if (size <= this.#most) return;
    this.#most = size;
    if (size > 1) Atomics.wait(still, 0, 0, giveWayFor);
  }

  /**
   * From now on each answer closes its connection. Resolves when none waits to be accepted: closed before, the listening sockets would
   * reset the connections of clients that have sent their requests already.
   */
  async windUp(): Promise<void> {
    this.#draining = true;
    const until = performance.now() + windUpMost;
    for (let before = -1; before !== this.#accepted && performance.now() < until; ) {
      before = this.#accepted;
      await turn();
    }
  }

  /**
   * Lets requests under way finish, closing each connection then. Resolves when none is left. Accept no more before. Gently: idle
   * connections get to send one more request, within a few seconds, as a client that sends one just when its connection is closed
   * cannot know what became of it.
   */
  drain(gently = false): Promise<void> {
    this.#draining = true;
    this.drainIdle = gently ? gentleTicks : 0;
    this.#drained ??= new Promise((resolve) => {
      this.#allClosed = resolve;
    });
    for (const connection of this.#connections) connection.drain();
    this.#maybeDrained();
    return this.#drained;
  }

  /** Closes every connection at once; their exchanges see their client gone. */
  destroy(): void {
    for (const connection of this.#connections) connection.destroy();
  }

  requestBegan(): void {
    this.#requests += 1;
  }

  connectionReplaced(connection: IngressConnection, by: IngressConnection): void {
    this.#connections.remove(connection.place);
    this.#add(by);
    // One that came to be while this drains was not told.
    if (this.#draining) by.drain();
  }

  connectionClosed(connection: IngressConnection): void {
    this.#connections.remove(connection.place);
    this.shortage.closed(connection);
    if (this.#connections.size === 0) this.#most = 0;
    this.#maybeDrained();
  }

  #maybeDrained(): void {
    if (this.#draining && this.#connections.size === 0) this.#allClosed?.();
  }
}

// A connection before it is a client's: a PROXY header comes first, or a TLS handshake, or both, in this order. What follows is as
// on any other connection. One deadline, that of a request's head, is for all of it.
import type { Socket } from "node:net";
import { log } from "../channels.js";
import { VivariumError } from "../errors.js";
import { type ClientSocket, NetClientSocket, type Whence } from "../net/client-socket.js";
import type { Timed } from "../net/deadline.js";
import { decodeProxyHeader } from "../protocol/proxy/header-decoder.js";
import { idleDrainingTicks, lingerDrainingTicks } from "./http1-phases.js";
import type { IngressConnection, IngressOptions } from "./options.js";
import { plainPage } from "./page.js";
import type { TlsDoor } from "./tls.js";

export interface ArrivalStages {
  /** Whether the connection begins with a PROXY header. */
  readonly header: boolean;
  /** Whether TLS is spoken then. */
  readonly tls: TlsDoor | undefined;
}

/** The first octet of a TLS record with a handshake message (RFC 8446 §5.1). */
const handshake = 0x16;

export class Arrival implements IngressConnection, Timed {
  deadline: number;
  readonly #socket: Socket;
  readonly #stages: ArrivalStages;
  readonly #options: IngressOptions;
  readonly #arrived: (socket: ClientSocket) => void;
  readonly #receive: (chunk: Buffer) => void = (chunk) => this.#received(chunk);
  readonly #leave: () => void = () => this.destroy();
  readonly #closed: () => void = () => this.#end();
  /** Nothing of it was passed on. */
  #octets: Buffer = Buffer.alloc(0);
  #headerWanted: boolean;
  #whence: Whence = {};
  /** A tick; infinite as soon as something was received. */
  #silentSince: number;
  /** It was answered, and waits for the client to close. */
  #refused = false;

  /** `arrived` is called with what has been told of it, or never. */
  constructor(socket: Socket, stages: ArrivalStages, options: IngressOptions, arrived: (socket: ClientSocket) => void) {
    this.#socket = socket;
    this.#stages = stages;
    this.#options = options;
    this.#arrived = arrived;
    this.#headerWanted = stages.header;
    this.#silentSince = options.deadlines.tick;
    this.deadline = this.#silentSince + options.headTimeout;
    options.deadlines.watch(this);
    socket.on("data", this.#receive);
    socket.on("end", this.#leave);
    // What went wrong does not matter: "close" follows.
    socket.on("error", () => {});
    socket.on("close", this.#closed);
  }

  get restingSince(): number {
    return this.#silentSince;
  }

  expire(): void {
    this.destroy();
  }

  /** A client that is shaking hands has not been told anything yet: it would have to take an end for a failure, not for a stop. */
  drain(): void {
    const { deadlines, drainIdle } = this.#options;
    const { tick } = deadlines;
    const stopped = this.#isSilent ? this.#silentSince + idleDrainingTicks : tick + lingerDrainingTicks;
    const until = drainIdle > 0 ? tick + drainIdle : stopped;
    if (until > tick) this.deadline = Math.min(this.deadline, until);
    else this.destroy();
  }

  get #isSilent(): boolean {
    return this.#silentSince !== Number.POSITIVE_INFINITY;
  }

  destroy(): void {
    this.#socket.destroy();
  }

  #end(): void {
    this.#options.deadlines.unwatch(this);
    this.#options.connectionClosed(this);
  }

  #received(chunk: Buffer): void {
    this.#silentSince = Number.POSITIVE_INFINITY;
    if (this.#refused) return;
    this.#octets = this.#octets.length === 0 ? chunk : Buffer.concat([this.#octets, chunk]);
    if (this.#headerWanted && !this.#takeHeader()) return;
    const { tls } = this.#stages;
    const [first] = this.#octets;
    if (tls === undefined) this.#passOn(new NetClientSocket(this.#release(), this.#whence));
    else if (first === undefined) return;
    else if (first !== handshake && /^[A-Z]$/.test(String.fromCharCode(first))) this.#refusePlain();
    else this.#secure(tls);
  }

  /** Whether the header was whole. */
  #takeHeader(): boolean {
    try {
      const header = decodeProxyHeader(this.#octets);
      if (header === undefined) return false;
      this.#headerWanted = false;
      this.#octets = this.#octets.subarray(header.length);
      const { ends, secure } = header;
      this.#whence = { ...(ends && { ends }), ...(secure && { secure: { variables: "" } }) };
      return true;
    } catch (error) {
      if (!(error instanceof VivariumError)) throw error;
      const { remoteAddress = "a unix socket" } = this.#socket;
      log("warning", "ingress", `A connection from ${remoteAddress} was closed: ${error.message}`);
      this.destroy();
      return false;
    }
  }

  /** The socket as it was, for somebody else to read. */
  #release(): Socket {
    const socket = this.#socket;
    socket.off("data", this.#receive);
    socket.off("end", this.#leave);
    socket.pause();
    if (this.#octets.length > 0) socket.unshift(this.#octets);
    this.#octets = Buffer.alloc(0);
    return socket;
  }

  #secure(tls: TlsDoor): void {
    tls.accept(this.#release(), (secured, secure) => {
      this.#passOn(new NetClientSocket(secured, { ...this.#whence, secure, carrier: this.#socket }));
    });
  }

  #passOn(socket: ClientSocket): void {
    this.#socket.off("close", this.#closed);
    this.#arrived(socket);
    this.#end();
    // It was paused, so that nothing is lost.
    socket.resume();
  }

  /** A browser shows this where somebody wrote http:// for https://. */
  #refusePlain(): void {
    this.#refused = true;
    const { head, body } = plainPage(400, "This port speaks HTTPS: the address begins with https://.");
    this.#socket.end(
      Buffer.concat([
        Buffer.from("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n"),
        head.fields,
        Buffer.from("\r\n"),
        body,
      ]),
    );
    // Closed at once, a socket that still receives resets, and takes the page away (RFC 9112 §9.6).
    this.deadline = this.#options.deadlines.tick + lingerDrainingTicks;
  }
}

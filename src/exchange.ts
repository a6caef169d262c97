// One request and its response, whatever protocol brought it. Ingress makes an exchange when the request is whole
// (its body received), routing chooses a handler, the handler answers through the same object, and ingress encodes
// what it is told. CGI meta-variables (RFC 3875) are the request's common currency, field lines the response's:
// every protocol Vivarium speaks can carry both without taking them apart.

/** A request's body, whole. */
export type Body = { readonly kind: "empty" } | { readonly kind: "memory"; readonly bytes: Uint8Array } | FileBody;

/** An unlinked temporary file, open for reading in this process as `fd`. Closed when nobody holds it; the exchange does until it ends. */
export interface FileBody {
  readonly kind: "file";
  readonly fd: number;
  readonly size: number;
  /**
   * Keeps the file open until as many `release`. Whoever tells another process where to open it (`/proc/PID/fd/N`) must,
   * until that process has opened it or never will: the number of a closed descriptor is soon another request's body.
   */
  hold(): void;
  release(): void;
}

/** Who takes a request's body while it arrives. Told nothing more after the exchange's `onGone`. */
export interface StreamOwner {
  /** `octets` are the owner's until it returns: what it keeps it copies. */
  bodyReceived(octets: Uint8Array): void;
  /** The body is whole. */
  bodyEnded(): void;
}

/** A request's body while it arrives. Nothing is told before `start`; no more is read than some 64 KiB beyond what was credited. */
export interface StreamBody {
  /** Octets that were announced, or -1. */
  readonly length: number;
  /** Once; `owner` may be told something before it returns. */
  start(owner: StreamOwner): void;
  /** So many octets were taken, and as many more may come. 0: the owner waits for octets, so a client that waits for 100 (Continue) is to get it. */
  credit(octets: number): void;
  /** The exchange has ended: what was not taken is not wanted. */
  release(): void;
}

export interface Request {
  readonly method: string;
  /** The request target as the client sent it; for logs. */
  readonly target: string;
  /**
   * The application's environment: CGI meta-variables (RFC 3875 §4.1, PEP 3333) and `wsgi.url_scheme`, as
   * `NAME NUL VALUE NUL NAME NUL VALUE …` without a closing NUL. Each character is one octet (latin-1). Names are
   * unique. Percent-encoding in PATH_INFO and SCRIPT_NAME is already undone.
   */
  readonly variables: string;
  /**
   * Octets at the beginning of `variables`, up to the NUL before a name, that the connection's other requests are likely
   * to have too: whoever takes the variables apart may keep what it made of them. 0 where nothing is known.
   */
  readonly shared: number;
  /** Whether `variables` is the very string of a request before: then it is likely to come once more. */
  readonly again?: boolean;
  /** Empty where there is a `stream`. */
  readonly body: Body;
  /** The body, which has not arrived whole. Only handlers are given one whose route says that they take it (routing/router.ts). */
  readonly stream?: StreamBody | undefined;
  /**
   * The header's fields as received: name, value, name, value …, latin-1, names in any case. The same array as before where
   * a connection's fields are the same, so that what is made of them may be kept. Absent where a web server in front
   * described the request; `variables` then say all there is.
   */
  readonly fields?: readonly string[] | undefined;
  /** The path as received, percent-encoded, without a query; "" for the server as a whole. There where `fields` are. */
  readonly pathRaw?: string | undefined;
  /** Where the connection came in: there where `fields` are. Asking costs a system call, once a connection. */
  readonly local?: LocalEnd | undefined;
  /**
   * The address of the peer, where it is a proxy whose Forwarded and X-Forwarded-* fields were believed; "" on a unix
   * socket. Absent where they were not: then REMOTE_ADDR is the peer's, and those fields are a client's talk.
   */
  readonly trustedPeer?: string | undefined;
}

/** The server's end of a connection: "" and -1 on a unix socket, and its path, where that is known. */
export interface LocalEnd {
  readonly localAddress: string;
  readonly localPort: number;
  readonly localPath?: string | undefined;
}

/** Status and header of a response. */
export interface ResponseHead {
  /** 200 to 999; informational responses do not come this way. */
  readonly status: number;
  /** The reason phrase, possibly empty. */
  readonly reason: string;
  /**
   * Field lines, each `Name: value CR LF`, latin-1, without the empty line. Whoever makes a head guarantees: names are
   * tokens, values hold no CR, LF or NUL, no hop-by-hop field, at most one Content-Length, which is a number.
   */
  readonly fields: Uint8Array;
  /** The value of Content-Length in `fields`, or -1 where there is none. Octets. */
  readonly contentLength: number;
  /** Whether `fields` has a Date. */
  readonly hasDate: boolean;
  /** The application wants the client's connection to end behind this response (RFC 9112 §9.6); HTTP/1 alone has that. */
  readonly closes?: boolean;
}

/** Octets both ways on a connection that speaks HTTP no longer; the same at the client's side and at a server's. */
export interface TunnelEnd {
  /** Octets that do not change afterwards. False: wait for `tunnelDrained`. */
  write(octets: Uint8Array): boolean;
  pause(): void;
  resume(): void;
  /** Closes behind what was written. Nothing is told any more. */
  close(): void;
}

/** Who has a `TunnelEnd`. */
export interface TunnelOwner {
  /** The octets are the owner's from now on. */
  tunnelReceived(octets: Uint8Array): void;
  /** After a `write` that was false: there is room again. */
  tunnelDrained(): void;
  /** Nothing more comes. The end is to be closed. */
  tunnelEnded(): void;
}

/** A connection that is a WebSocket. */
export interface WebSocketStream {
  /** A message, whose octets do not change afterwards; of a text they are UTF-8. `flushed`: it has left for the client. */
  send(octets: Uint8Array, text: boolean, flushed?: () => void): void;
  /** A close code that may be sent (RFC 6455 §7.4) and a reason of at most 123 octets. The first counts. */
  close(code: number, reason: string): void;
  /** No messages but those that were read already. */
  pause(): void;
  resume(): void;
}

/** Who has a `WebSocketStream`. Told nothing before `accept` has returned. */
export interface WebSocketOwner {
  /** The octets are the owner's from now on; of a text they are valid UTF-8. */
  socketMessage(octets: Uint8Array, text: boolean): void;
  /** Once, and nothing after it. 1005: the client gave no code, 1006: it left without a word (RFC 6455 §7.1.5). */
  socketClosed(code: number, reason: string): void;
}

/**
 * A request whose client wants its connection, or its stream of HTTP/2, to become a WebSocket (RFC 6455, RFC 8441). To answer it as any request, `respond`, is to
 * refuse. One of these, once, in place of `respond`, and not after the exchange ended; it then lasts as long as that.
 */
export interface Upgrade {
  /** Subprotocols that the client speaks, its favourite first. */
  readonly protocols: readonly string[];
  /** The client's Sec-WebSocket-Key, or one in its place. */
  readonly key: string;
  /** `fields` as in a head, with a Sec-WebSocket-Protocol where one was agreed on, and without what else belongs to the handshake. */
  accept(fields: Uint8Array, owner: WebSocketOwner): WebSocketStream;
  /** As `accept`, where somebody else is at the other end: `fields` has all that was agreed on with it. */
  tunnel(fields: Uint8Array, owner: TunnelOwner): TunnelEnd;
}

/** What became of an exchange, told once to `onEnd`. */
export type Outcome =
  /** the response was encoded whole and given to the client's connection */
  | "complete"
  /** the client left before that */
  | "client-gone"
  /** the handler could not finish the response (`cut`) */
  | "cut";

/**
 * An exchange, as its handler sees it. A handler calls `respond` once, then `write` until `last` was true, or `cut`.
 * After the client has left all of these do nothing, so a handler need not check.
 */
export interface Exchange {
  readonly request: Request;
  /** What it is called on pages and in the log: made when it is asked for first (src/request-id.ts). */
  readonly id: string;
  /** True from the moment the client left or the response ended. A handler that has not begun must not begin. */
  readonly ended: boolean;
  /** Begins the response, with the first octets of its body, if any. `last` says that the body is whole. */
  respond(head: ResponseHead, body: Uint8Array | undefined, last: boolean): void;
  /** Further octets of the body; `octets` may be empty with `last`. */
  write(octets: Uint8Array, last: boolean): void;
  /** Whether `inform` reaches the client, and the trailers given to `end`; the same for all requests with the same `fields`. */
  readonly takesHints: boolean;
  readonly takesTrailers: boolean;
  /** There where the client asks for a WebSocket and the route's handler was said to take that (routing/router.ts). */
  readonly upgrade?: Upgrade | undefined;
  /** An interim response (103: RFC 8297) before `respond`; `fields` as in a head. Nothing where the client or its protocol takes none. */
  inform(status: number, fields: Uint8Array): void;
  /** Ends the body as `write` with `last` does, with trailer fields (RFC 9110 §6.5) behind it where the client takes them. */
  end(trailers: Uint8Array): void;
  /**
   * The response cannot be finished: its connection is cut so that the client knows. Before `respond`, a plain 502
   * is answered in its place, unless `left` says that there is nobody to read it.
   */
  cut(left?: boolean): void;
  /** Answers a plain page of Vivarium's own (an error, a refusal) with this status. Extra field lines end in CR LF. */
  refuse(status: number, sentence: string, fields?: string): void;
  /**
   * True from the moment the client ended its side of the connection after a whole request. It may have left, or it may
   * be a half-closed client that still reads: a request that only waits is not worth beginning (answer `refuse(503)`),
   * one that is executing is finished and sent.
   */
  readonly inputEnded: boolean;
  /** Set by the handler: `inputEnded` became true. Not called after the exchange ended, nor if it was true before. */
  onInputEnd: (() => void) | undefined;
  /** Set by the handler: body octets have left for the client, so that as many more may be taken from the source. */
  onFlushed: ((octets: number) => void) | undefined;
  /** Set by the handler: the client left before the response was whole. Not called after the response ended. */
  onGone: (() => void) | undefined;
}

/** What answers exchanges: a pool, files, an upstream. */
export type Handler = (exchange: Exchange) => void;

// The one frozen Config that everything below the command line reads. Comments here are the user's documentation of
// each option (docs/configuration.md is made from them).
import type { FileRedirectRoots, FilesConfig } from "../static/config.js";

/** What is spoken on a listening socket. */
export type ListenProtocol = "http" | "https" | "fastcgi" | "scgi" | "uwsgi";

/** Where to listen, and which protocol to speak there. */
export interface ListenAddress {
  /** The URL as the user wrote it, for messages. */
  readonly url: string;
  readonly protocol: ListenProtocol;
  readonly endpoint: /** `host` is a literal address or a name; "" means every address. `port` 0 asks the system for one. */
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string }
    /** A listening socket this process inherited. */
    | { readonly kind: "fd"; readonly fd: number };
  /**
   * FastCGI: the only addresses that may connect over TCP, from FCGI_WEB_SERVER_ADDRS (FastCGI 1.0 §3.2); without it all may.
   * Who connects to a unix socket is its permissions' affair, as with php-fpm.
   */
  readonly peers?: readonly string[];
  /** Addresses, networks or "unix" whose connections begin with a PROXY header, and have to. Default none. */
  readonly proxies?: readonly string[];
  /** HTTP: requests are redirected to https, at this port. */
  readonly redirect?: number;
}

/** A certificate and the key that belongs to it: absolute paths of PEM files, which may be one. */
export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

/** What https listeners have in common. */
export interface TlsConfig {
  /** At least one. A client gets the first that has the name it asks for, else the first. */
  readonly certificates: readonly CertificateFiles[];
  /** Certificates, in a PEM file, of those whose signature makes a client's certificate good; "": none is asked for. */
  readonly clientCa: string;
  /** Whether clients must show one. Default "required". */
  readonly clientCert: "required" | "optional";
  /** The oldest version that is spoken. Default "1.2". */
  readonly minVersion: "1.2" | "1.3";
}

/** One server of an upstream group, or one name that stands for several. */
export interface UpstreamServer {
  /** The URL as the user wrote it, for messages, status and `drain`. */
  readonly url: string;
  readonly protocol: "http" | "fastcgi" | "scgi" | "uwsgi";
  readonly endpoint: /** `host` is a literal address or a name; each address of a name is a server of its own. */
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string }
    /** A name with SRV records (RFC 2782): the lowest priority's targets, with their weights; the others are backups. */
    | { readonly kind: "srv"; readonly name: string };
  /** The share of requests it gets, relative to the others'. A whole number from 1. Default 1. */
  readonly weight: number;
  /** Whether it gets requests only while no other server is up. Default false. */
  readonly backup: boolean;
}

/** Servers that answer the same requests. Durations in seconds. */
export interface UpstreamGroupConfig {
  readonly name: string;
  readonly servers: readonly UpstreamServer[];
  /** How a server is chosen. Default "least-outstanding". */
  readonly balance: "least-outstanding" | "round-robin" | "hash";
  /** With "hash": "client" (its address; default) or the name of a header field; without the field the client's address counts. */
  readonly hashBy: string;
  /** Until there is a connection; then the next server is tried. Default 5. */
  readonly connectTimeout: number;
  /** Without the server taking any more of the request. Default 60. */
  readonly sendTimeout: number;
  /** From the request being sent to the head of its response. Default 60. */
  readonly firstByteTimeout: number;
  /** Between two parts of a response. Default 60. */
  readonly idleTimeout: number;
  /** Without an octet either way on a connection that has become a WebSocket. Default 3600. */
  readonly tunnelTimeout: number;
  /** Idle connections kept for each server, where its protocol can. 0: none. Default 32. */
  readonly keepAlive: number;
  /** FastCGI: the most requests at once on a connection. Default 1. */
  readonly multiplex: number;
  /** Requests sent a second time, as a share of all requests. 0: none is. Default 0.2. */
  readonly retryBudget: number;
  /** Failures within failTimeout that make a server be left out. 0: none does. Default 3. */
  readonly maxFails: number;
  /** See maxFails; also how long it is left out at first, twice as long each time it fails again. Default 10. */
  readonly failTimeout: number;
  /** A path asked with GET to see whether a server is well: answers 2xx or 3xx. Default "": none. */
  readonly healthPath: string;
  /** Between two such checks of a server; also the longest that one may take. Default 5. */
  readonly healthInterval: number;
  /** Between two look-ups of a server's name in DNS. 0: only at the start. Default 30. */
  readonly resolveInterval: number;
  /** DNS servers, `address` or `address:port`. Default none: the system's way of looking up names. */
  readonly dnsServers: readonly string[];
  /** FastCGI, SCGI, uwsgi: further variables of each request, as SCRIPT_FILENAME for PHP. Default none. */
  readonly params: Readonly<Record<string, string>>;
  /** HTTP: whether Forwarded (RFC 7239) is sent where the request had none, beside X-Forwarded-*. Default false. */
  readonly forwarded: boolean;
}

/** An application and the worker processes that run it. */
export interface PoolConfig {
  /** Unique among the pools. */
  readonly name: string;
  /** The application, as given: `package.module:callable`, `path/to/file.py[:callable]`, `path/to/site.wsgi`. */
  readonly target: string;
  /** Worker processes. */
  readonly workers: number;
  /** The most requests one worker executes at once; "auto" is up to 8, as many as the scheduler finds useful. */
  readonly threads: number | "auto";
  /** How the application wants to be called; "auto" is found from the callable. */
  readonly interface: "auto" | "wsgi" | "asgi";
  /** ASGI: the most requests one worker has at once whose responses have not begun. Default 1000. */
  readonly concurrency: number;
  /** ASGI: which event loop; "auto" is uvloop where it can be imported. */
  readonly eventLoop: "auto" | "asyncio" | "uvloop";
  /** The Python interpreter, absolute. */
  readonly python: string;
  /** The directory the application runs in, first on its `sys.path`. Absolute. */
  readonly chdir: string;
  /** Whether the application is imported once and its workers forked from there, or in each worker. */
  readonly preload: boolean;
  /** Seconds the application may take to load; at a reload, until the new generation serves. */
  readonly bootTimeout: number;
  /** The most requests that wait for a worker; beyond them 503. */
  readonly queue: number;
  /** Seconds a request may wait for a worker; then 503. */
  readonly queueTimeout: number;
  /** Methods of requests that are run once more, on another worker, where their worker died before it answered. */
  readonly retry: readonly string[];
  /** Seconds a request may be executed; then 504, and it is interrupted. Default 0: as long as it takes. */
  readonly requestTimeout: number;
  /** Seconds an interrupted thread gets to come back before its worker is replaced. Default 5. */
  readonly interruptGrace: number;
  /** Requests after which a worker is replaced, and up to a tenth more. Default 0: never. */
  readonly maxRequests: number;
  /** Seconds after which a worker is replaced, and up to a tenth more. Default 0: never. */
  readonly maxWorkerAge: number;
  /** MiB of memory beyond which a worker is replaced when it has answered what it has. Default 0: none. */
  readonly maxWorkerMemory: number;
  /** MiB of memory beyond which a worker is killed. Default 0: none. */
  readonly maxWorkerMemoryHard: number;
  /** Seconds from which a request that is executed is told of in the log, with its stack. Default 0: none is. */
  readonly logSlow: number;
  /** At a reload, each new worker is asked for this path with GET, and answers 2xx or 3xx before it serves. Default "": none is. */
  readonly healthPath: string;
  /** Seconds in which a new generation that fails is taken back. 0: it never is. Default 10. */
  readonly probation: number;
  /** The most workers beyond `workers` that are alive during a reload. "all": as many as `workers`. Default "all". */
  readonly reloadOverlap: number | "all";
}

/** What may answer a request: a pool or an upstream group, by name, or a folder's files. */
export type TryConfig =
  | { readonly kind: "pool"; readonly name: string }
  | { readonly kind: "upstream"; readonly name: string }
  | { readonly kind: "files"; readonly files: FilesConfig };

/** What answers the requests for a place. Places are unique. */
export interface MountConfig {
  /** "" is every host, "*.example.com" every subdomain; lower case, without a port. */
  readonly host: string;
  /** "" or "/prefix" without a closing slash. Becomes SCRIPT_NAME. */
  readonly path: string;
  /** In order, at least one. Files that are not there fall through to the next; pools and upstreams answer all, so they come last. */
  readonly tries: readonly TryConfig[];
  /** Folders from which a response may have a file sent in its place, by X-Accel-Redirect or X-Sendfile. Default: not looked at. */
  readonly redirects?: FileRedirectRoots;
}

/** How long requests for a path may be executed. */
export interface LimitConfig {
  /** "/prefix" without a closing slash, "" for every path. The longest that a request's path is under counts. */
  readonly path: string;
  /** In place of the pool's `requestTimeout`. */
  readonly requestTimeout: number;
}

export interface Config {
  /** Addresses to listen on. Default `http://127.0.0.1:8000`. */
  readonly listen: readonly ListenAddress[];
  /** Where something listens for https. */
  readonly tls?: TlsConfig;
  /** Permissions of the unix sockets in `listen` that are made. Default 0660. */
  readonly socketMode: number;
  /** Their owner: `USER`, `USER:GROUP` or `:GROUP`, names or numbers; "" for the process's own. */
  readonly socketOwner: string;
  /** The server's directory, absolute: `vivarium status` and `stop` find it there, and pools run there that name no other. */
  readonly chdir: string;
  /** Addresses (`192.0.2.7`, `10.0.0.0/8`, `::1`, or `unix`) whose Forwarded / X-Forwarded-* fields are believed. Default none. */
  readonly trustedProxies: readonly string[];
  /** "off", "-" (standard output; default) or a file's absolute path. */
  readonly accessLog: string;
  /** Path of the control socket, absolute. Default: in the user's runtime directory. */
  readonly control: string;
  /** The largest request body, octets. Default 1 GiB. Beyond it: 413. */
  readonly maxBody: number;
  /** A request body up to this many octets is kept in memory; a larger one goes to a temporary file. Default 256 KiB. */
  readonly bodyMemory: number;
  /** Octets of requests that a front keeps in memory, of all together. Default 64 MiB. Beyond it, bodies go to files. */
  readonly requestMemoryTotal: number;
  /** Octets of a response kept in memory for a client that reads slowly before its worker must wait. Default 1 MiB. */
  readonly responseMemory: number;
  /** Octets of responses that a front keeps in memory for clients that read slowly, of all together. Default 512 MiB. */
  readonly responseMemoryTotal: number;
  /** The directory for temporary files. Default: the system's. */
  readonly tempDir: string;
  /** Octets of responses that wait in files for clients that are slower than `responseMemory` covers, in sum. Default 1 GiB. */
  readonly responseDisk: number;
  /** The longest request target, octets. Default 8192. Beyond it: 414. */
  readonly maxTarget: number;
  /** The largest request head (request line and fields), octets. Default 65536. Beyond it: 431. */
  readonly maxHead: number;
  /** The most header fields of a request. Default 128. Beyond it: 431. */
  readonly maxFields: number;
  /** Where HTTP/2 is spoken: nowhere, over TLS, or on http listeners too. Default "tls". */
  readonly http2: "off" | "tls" | "all";
  /** Seconds an idle kept-alive connection is left open. Default 75. */
  readonly keepAlive: number;
  /** Seconds a client may take to send a request's head. Default 30. Beyond it: 408. */
  readonly headTimeout: number;
  /** Seconds in which a client that is waited for must send or take `minRate` octets for each. Default 30. */
  readonly stallTimeout: number;
  /** Octets a second; 0: any at all will do. Default 500. */
  readonly minRate: number;
  /** The largest message of a WebSocket, octets. Default 16 MiB. Beyond it: 1009. */
  readonly wsMaxSize: number;
  /** Seconds without a sign of life from a client after which it is pinged; 0: never. Default 20. */
  readonly wsPingInterval: number;
  /** Seconds in which it must answer. Default 20. */
  readonly wsPingTimeout: number;
  /** Whether messages are compressed where the client offers it (permessage-deflate). Default false. */
  readonly wsCompression: boolean;
  /** Files that are looked at once a second: when one is touched, the server reloads. Default none. */
  readonly touchReload: readonly string[];
  /** Seconds running requests get to finish at a stop, or when newer code has taken over. Default 30. */
  readonly gracefulTimeout: number;
  /**
   * Seconds for which a front's event loop may not answer the supervisor, or a worker that has requests show no sign of life, before
   * it is killed and replaced. 0: none is. Default 60.
   */
  readonly hangTimeout: number;
  /** Processes that do all I/O with clients, from 1. More than 1 only where no pool has workers, which connect to one. */
  readonly fronts: number;
  /**
   * Whether the application runs in the fronts themselves, one interpreter in each, instead of in workers of their own: there
   * is one pool then, of one thread, and as many fronts as it has workers. Default false.
   */
  readonly embedded: boolean;
  /** Applications that run here. */
  readonly pools: readonly PoolConfig[];
  /** Servers elsewhere that requests are passed to. */
  readonly upstreams: readonly UpstreamGroupConfig[];
  readonly mounts: readonly MountConfig[];
  /** Paths whose requests have a time limit of their own. Unique. Default none. */
  readonly limits: readonly LimitConfig[];
}

/** The most threads of a worker where the scheduler may choose: they cover an application that waits 7/8 of its time. */
const threadsWhenAuto = 8;

/** The most requests a worker executes at once. */
export function threadsMost(pool: PoolConfig): number {
  return pool.threads === "auto" ? threadsWhenAuto : pool.threads;
}

/** How a pool is called in the log: by its name where there are several, else not at all (""). */
export function poolLabel(config: Config, pool: PoolConfig): string {
  return config.pools.length === 1 ? "" : pool.name;
}

/** A worker at the beginning of a sentence: "Worker 2", or "shop worker 2" where pools have labels. */
export function workerName(label: string, worker: number): string {
  return label === "" ? `Worker ${worker}` : workerArea(label, worker);
}

/** A worker as an area of the log: "worker 2", "shop worker 2". */
export function workerArea(label: string, worker: number): string {
  return `${label} worker ${worker}`.trimStart();
}

/** Where a browser finds what is served, as far as that is one place: `url` is that of the listening socket. */
export function siteUrl(config: Config, address: ListenAddress, url: string): string {
  const [mount, ...others] = config.mounts;
  const alone = others.length === 0 && /^https?$/u.test(address.protocol) && address.endpoint.kind === "tcp";
  return alone ? `${url}${mount?.path ?? ""}` : url;
}

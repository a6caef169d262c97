// What is measured: a page of bench/apps/app.py, how wrk asks for it, and what the right answer is.

export interface Check {
  readonly method: "GET" | "POST";
  readonly path: string;
  readonly body?: Uint8Array;
  readonly expected: string | RegExp;
}

const peers = ["nginx+uwsgi", "gunicorn-sync", "gunicorn-gthread", "mod_wsgi-embedded", "mod_wsgi-daemon"];
const newer = ["granian-wsgi", "uvicorn"];

/** The servers that are asked directly, as a browser would: most scenarios are about these. */
export const direct: readonly string[] = ["vivarium", "vivarium-embedded", ...peers, ...newer];

/** Further ways to run two of them, where the difference shows. */
const variants = ["gunicorn-gevent", "granian-asgi"];

/** The servers of ASGI applications, all on uvloop but daphne. */
const asgi = ["vivarium-asgi", "uvicorn", "granian-asgi", "gunicorn-asgi", "hypercorn", "daphne"];

/** What answers without an application: bounds, and nobody's peers. */
export const limitNames: readonly string[] = ["nginx-constant", "node-constant"];

export interface Scenario {
  readonly name: string;
  readonly title: string;
  readonly path: string;
  /** Threads per worker wherever a server has that setting; Vivarium is told only where it is more than 1. */
  readonly threads: number;
  /** Names of the servers it is measured with. */
  readonly servers: readonly string[];
  /** Connections at once; 32 where absent. */
  readonly connections?: number;
  /** The one the others' figures are compared with; nginx+uwsgi where absent. */
  readonly reference?: string;
  /** What puts load on it: wrk, clients of our own whose messages come back (web-socket-load.ts), or h2load over TLS. */
  readonly by?: "web-socket" | "http2";
  /** A script of bench/wrk/, without `.lua`. */
  readonly script?: string;
  /** Asked of every server before it is measured. */
  readonly checks: readonly Check[];
}

const hello: Check = { method: "GET", path: "/hello", expected: "Hello, world!\n" };
const body = new Uint8Array(102_400).fill(117);
const echoed = "e".repeat(10_240);

export const scenarios: readonly Scenario[] = [
  {
    name: "hello",
    title: "Hello, world",
    path: "/hello",
    threads: 1,
    servers: [...direct, ...variants, ...limitNames],
    checks: [hello],
  },
  {
    name: "wait",
    title: "A page that waits 5 ms",
    path: "/wait",
    threads: 8,
    servers: ["vivarium", "vivarium-auto", ...direct.slice(1), ...variants],
    checks: [{ ...hello, path: "/wait" }],
  },
  {
    name: "compute",
    title: "A page that computes 2 ms",
    path: "/compute",
    threads: 1,
    servers: direct,
    checks: [{ method: "GET", path: "/compute", expected: /^256\n$/ }],
  },
  {
    name: "mix",
    title: "One request of 100 ms in 1,000 fast ones",
    path: "/hello",
    threads: 8,
    servers: direct,
    script: "mix",
    checks: [hello, { ...hello, path: "/slow" }],
  },
  {
    name: "big",
    title: "A response of 100 KB",
    path: "/big",
    threads: 1,
    servers: direct,
    checks: [{ method: "GET", path: "/big", expected: "x".repeat(102_400) }],
  },
  {
    name: "upload",
    title: "An upload of 100 KB",
    path: "/upload",
    threads: 1,
    servers: direct,
    script: "upload",
    checks: [{ method: "POST", path: "/upload", body, expected: "102400\n" }],
  },
  {
    name: "close",
    title: "A connection per request",
    path: "/hello",
    threads: 1,
    servers: direct,
    script: "close",
    checks: [hello],
  },
  {
    name: "doors",
    title: "Hello, world, behind nginx in each protocol",
    path: "/hello",
    threads: 1,
    servers: ["vivarium-fastcgi", "vivarium-http", "vivarium-uwsgi", "vivarium-scgi", "nginx+uwsgi"],
    checks: [hello],
  },
  {
    name: "doors-gateway",
    title: "Hello, world, from uWSGI: the gateway in nginx's place",
    path: "/hello",
    threads: 1,
    servers: ["vivarium-gateway", "nginx+uwsgi"],
    checks: [hello],
  },
  {
    name: "doors-multiplex",
    title: "Hello, world, over FastCGI: one connection for all requests, one kept for each, a new one for each",
    path: "/hello",
    threads: 1,
    servers: ["vivarium-multiplexed", "vivarium-kept", "vivarium-per-request"],
    reference: "vivarium-per-request",
    checks: [hello],
  },
  {
    name: "asgi-hello",
    title: "Hello, world, from an ASGI application",
    path: "/hello",
    threads: 1,
    servers: asgi,
    reference: "uvicorn",
    checks: [hello],
  },
  {
    name: "asgi-await",
    title: "A page that awaits 10 ms, 512 clients",
    path: "/await",
    threads: 1,
    connections: 512,
    servers: asgi,
    reference: "uvicorn",
    checks: [{ ...hello, path: "/await" }],
  },
  {
    name: "asgi-echo",
    title: "10 KB posted and sent back by an ASGI application",
    path: "/echo",
    threads: 1,
    servers: asgi,
    script: "echo",
    reference: "uvicorn",
    checks: [{ method: "POST", path: "/echo", body: Buffer.from(echoed), expected: echoed }],
  },
  {
    name: "asgi-websocket",
    title: "WebSocket messages of 32 octets that come back; a message is a request here",
    path: "/socket",
    threads: 1,
    servers: asgi,
    by: "web-socket",
    reference: "uvicorn",
    checks: [hello],
  },
  {
    name: "asgi-http2",
    title: "Hello, world, over TLS and HTTP/2, 10 requests at once on each connection",
    path: "/hello",
    threads: 1,
    servers: ["vivarium-asgi", "hypercorn"],
    by: "http2",
    reference: "hypercorn",
    checks: [hello],
  },
];

// The schema: every option, once. Flags, vivarium.toml, help, docs/configuration.md and the defaults all come from this
// table, so they cannot differ.
import { tmpdir } from "node:os";
import type { Config, PoolConfig, TlsConfig } from "./config.js";
import { defaultControlPath } from "./control-path.js";
import { cores } from "./cores.js";
import {
  directory,
  listenByDefault,
  listenUrls,
  maybeFile,
  methods,
  mode,
  overlap,
  owner,
  type StaticMount,
  socketPath,
  staticMount,
  tlsVersion,
} from "./option-readers.js";
import { defaultInterpreter, interpreter } from "./python.js";
import {
  boolean,
  count,
  healthPath,
  list,
  logTarget,
  octets,
  oneOf,
  orAuto,
  path,
  peer,
  prefix,
  type ReadContext,
  type Reader,
  seconds,
} from "./read.js";

/** Headings of help and documentation, in their order. */
export const groups = [
  "Application",
  "Processes",
  "Reload",
  "Mounts",
  "Network",
  "TLS",
  "Requests",
  "Time limits",
  "WebSocket",
  "Log and control",
] as const;

export interface Option<Value> {
  /** The name in vivarium.toml, and behind `--` on the command line. */
  readonly key: string;
  readonly group: (typeof groups)[number];
  /** What stands for the value in help; "" for a switch, which is `--key` or `--no-key`. */
  readonly placeholder: string;
  /** One line, as in help. */
  readonly summary: string;
  readonly read: Reader<Value>;
  /** The default as documented. */
  readonly standard: string;
  /** The default as a value, read as if it had been given; a function where it depends on the surroundings. */
  readonly initial: string | boolean | readonly string[] | ((context: ReadContext) => Value);
  /** May be given several times. */
  readonly repeatable?: boolean;
}

/** What can be said of an application. `target` is an argument on the command line and a key in vivarium.toml. */
export type PoolSettings = Omit<PoolConfig, "name" | "target">;

/** What the options say. Pools, upstream groups and mounts are tables of vivarium.toml. */
export interface Settings
  extends PoolSettings,
    Omit<Config, "fronts" | "pools" | "upstreams" | "mounts" | "limits" | "tls"> {
  readonly fronts: number | "auto";
  /** Where TARGET is: "" or "/prefix". */
  readonly mount: string;
  /** Folders that are mounted. */
  readonly static: readonly StaticMount[];
  /** Files; "" for none. */
  readonly cert: string;
  readonly key: string;
  readonly clientCa: string;
  readonly clientCert: TlsConfig["clientCert"];
  readonly tlsMinVersion: TlsConfig["minVersion"];
}

export type OptionName = keyof Settings;
export type Options = { readonly [Name in OptionName]: Option<Settings[Name]> };

const KIB = 2 ** 10;
const MIB = 2 ** 20;
const GIB = 2 ** 30;

export const options: Options = {
  chdir: {
    key: "chdir",
    group: "Application",
    placeholder: "DIR",
    summary: "directory the application runs in, first on its sys.path",
    read: directory,
    standard: "that of vivarium.toml, else the current one",
    initial: (context) => context.base,
  },
  interface: {
    key: "interface",
    group: "Application",
    placeholder: "auto|wsgi|asgi",
    summary: "how the application is called; auto: found from the callable",
    read: oneOf("auto", "wsgi", "asgi"),
    standard: "auto",
    initial: "auto",
  },
  eventLoop: {
    key: "event-loop",
    group: "Application",
    placeholder: "auto|asyncio|uvloop",
    summary: "what runs an ASGI application; auto: uvloop where it is installed",
    read: oneOf("auto", "asyncio", "uvloop"),
    standard: "auto",
    initial: "auto",
  },
  python: {
    key: "python",
    group: "Application",
    placeholder: "PATH",
    summary: "Python interpreter, or a virtual environment's directory",
    read: interpreter,
    standard: "$VIRTUAL_ENV, .venv or venv in DIR, else python3",
    initial: defaultInterpreter,
  },
  preload: {
    key: "preload",
    group: "Application",
    placeholder: "",
    summary: "import the application once and fork the workers from there",
    read: boolean,
    standard: "true",
    initial: true,
  },
  bootTimeout: {
    key: "boot-timeout",
    group: "Application",
    placeholder: "SECONDS",
    summary: "time the application may take to load",
    read: seconds("above 0"),
    standard: "60",
    initial: "60",
  },
  workers: {
    key: "workers",
    group: "Processes",
    placeholder: "N|auto",
    summary: "worker processes; auto: one per core this process may use",
    read: orAuto(count(1, 1024), cores),
    standard: "auto",
    initial: "auto",
  },
  threads: {
    key: "threads",
    group: "Processes",
    placeholder: "N|auto",
    summary: "most requests a worker executes at once; auto: up to 8, as measured",
    read: orAuto(count(1, 1024), () => "auto" as const),
    standard: "auto",
    initial: "auto",
  },
  concurrency: {
    key: "concurrency",
    group: "Processes",
    placeholder: "N",
    summary: "most requests of an ASGI worker at once that are not answered yet",
    read: count(1, 1_000_000),
    standard: "1000",
    initial: "1000",
  },
  maxRequests: {
    key: "max-requests",
    group: "Processes",
    placeholder: "N",
    summary: "a worker is replaced after so many requests, and up to a tenth more; 0: never",
    read: count(0, 1_000_000_000),
    standard: "0",
    initial: "0",
  },
  maxWorkerAge: {
    key: "max-worker-age",
    group: "Processes",
    placeholder: "SECONDS",
    summary: "a worker is replaced after so long, and up to a tenth more; 0: never",
    read: seconds(0),
    standard: "0",
    initial: "0",
  },
  maxWorkerMemory: {
    key: "max-worker-memory",
    group: "Processes",
    placeholder: "MIB",
    summary: "a worker with more memory is replaced, and answers what it has; 0: no limit",
    read: count(0, 1_000_000),
    standard: "0",
    initial: "0",
  },
  maxWorkerMemoryHard: {
    key: "max-worker-memory-hard",
    group: "Processes",
    placeholder: "MIB",
    summary: "a worker with more memory is killed; 0: no limit",
    read: count(0, 1_000_000),
    standard: "0",
    initial: "0",
  },
  fronts: {
    key: "fronts",
    group: "Processes",
    placeholder: "N|auto",
    summary: "processes that talk to clients; auto: one per core, half as many before local servers, 1 before workers",
    read: orAuto(count(1, 1024), () => "auto" as const),
    standard: "auto",
    initial: "auto",
  },
  embedded: {
    key: "embedded",
    group: "Processes",
    placeholder: "",
    summary: "run the application inside the processes that serve clients, instead of in workers behind them",
    read: boolean,
    standard: "false",
    initial: false,
  },
  healthPath: {
    key: "health-path",
    group: "Reload",
    placeholder: "PATH",
    summary: "a new worker answers this with 2xx or 3xx before it serves",
    read: healthPath,
    standard: "none",
    initial: "",
  },
  probation: {
    key: "probation",
    group: "Reload",
    placeholder: "SECONDS",
    summary: "new code that fails in its first seconds is taken back; 0: never",
    read: seconds(0),
    standard: "10",
    initial: "10",
  },
  reloadOverlap: {
    key: "reload-overlap",
    group: "Reload",
    placeholder: "N|all",
    summary: "most extra workers alive during a reload; 1: one by one",
    read: overlap,
    standard: "all",
    initial: "all",
  },
  touchReload: {
    key: "touch-reload",
    group: "Reload",
    placeholder: "FILE",
    summary: "reload when this file is touched; repeatable",
    read: list(path),
    standard: "none",
    initial: [],
    repeatable: true,
  },
  mount: {
    key: "mount",
    group: "Mounts",
    placeholder: "PREFIX",
    summary: "URL prefix that TARGET, or --upstream, is mounted at (SCRIPT_NAME)",
    read: prefix,
    standard: "none",
    initial: "",
  },
  static: {
    key: "static",
    group: "Mounts",
    placeholder: "PREFIX=DIR",
    summary: "serve the files of a folder below a URL prefix; repeatable",
    read: list(staticMount),
    standard: "none",
    initial: [],
    repeatable: true,
  },
  listen: {
    key: "listen",
    group: "Network",
    placeholder: "URL",
    summary: "PROTOCOL://HOST:PORT, ://unix:PATH or ://fd:N; PROTOCOL: http, https, fastcgi, scgi, uwsgi; repeatable",
    read: listenUrls,
    standard: "http://127.0.0.1:8000",
    initial: listenByDefault,
    repeatable: true,
  },
  socketMode: {
    key: "socket-mode",
    group: "Network",
    placeholder: "MODE",
    summary: "permissions of unix sockets, octal",
    read: mode,
    standard: "0660",
    initial: "0660",
  },
  socketOwner: {
    key: "socket-owner",
    group: "Network",
    placeholder: "USER[:GROUP]",
    summary: "whom unix sockets belong to; USER, USER:GROUP or :GROUP",
    read: owner,
    standard: "none",
    initial: "",
  },
  trustedProxies: {
    key: "trusted-proxies",
    group: "Network",
    placeholder: "LIST",
    summary: "addresses, networks or unix whose Forwarded fields are believed",
    read: list(peer, /\s*,\s*/u),
    standard: "none",
    initial: [],
    repeatable: true,
  },
  cert: {
    key: "cert",
    group: "TLS",
    placeholder: "FILE",
    summary: "certificate of https listeners, and those that lead to its issuer behind it; PEM",
    read: maybeFile,
    standard: "none",
    initial: "",
  },
  key: {
    key: "key",
    group: "TLS",
    placeholder: "FILE",
    summary: "its private key, PEM, without a passphrase",
    read: maybeFile,
    standard: "the file of cert",
    initial: () => "",
  },
  clientCa: {
    key: "client-ca",
    group: "TLS",
    placeholder: "FILE",
    summary: "clients show a certificate that one of these has signed; PEM",
    read: maybeFile,
    standard: "none",
    initial: "",
  },
  clientCert: {
    key: "client-cert",
    group: "TLS",
    placeholder: "required|optional",
    summary: "whether every client must, where there is client-ca",
    read: oneOf("required", "optional"),
    standard: "required",
    initial: "required",
  },
  tlsMinVersion: {
    key: "tls-min-version",
    group: "TLS",
    placeholder: "1.2|1.3",
    summary: "oldest version of TLS that is spoken",
    read: tlsVersion,
    standard: "1.2",
    initial: "1.2",
  },
  maxBody: {
    key: "max-body",
    group: "Requests",
    placeholder: "SIZE",
    summary: "largest request body; beyond it 413",
    read: octets(0),
    standard: "1g",
    initial: "1g",
  },
  bodyMemory: {
    key: "body-memory",
    group: "Requests",
    placeholder: "SIZE",
    summary: "request bodies up to this stay in memory, larger ones in a file",
    read: octets(0, GIB),
    standard: "256k",
    initial: "256k",
  },
  requestMemoryTotal: {
    key: "request-memory-total",
    group: "Requests",
    placeholder: "SIZE",
    summary: "requests kept in memory, all together; beyond it small bodies go to files, too",
    read: octets(MIB, 1024 * GIB),
    standard: "64m",
    initial: "64m",
  },
  responseMemory: {
    key: "response-memory",
    group: "Requests",
    placeholder: "SIZE",
    summary: "response kept in memory for a slow client, before it goes to a file",
    read: octets(KIB, GIB),
    standard: "1m",
    initial: "1m",
  },
  responseMemoryTotal: {
    key: "response-memory-total",
    group: "Requests",
    placeholder: "SIZE",
    summary: "responses kept in memory for slow clients, all together",
    read: octets(MIB, 1024 * GIB),
    standard: "512m",
    initial: "512m",
  },
  responseDisk: {
    key: "response-disk",
    group: "Requests",
    placeholder: "SIZE",
    summary: "responses kept in files for slow clients, in sum, before workers must wait; 0: none",
    read: octets(0),
    standard: "1g",
    initial: "1g",
  },
  queue: {
    key: "queue",
    group: "Requests",
    placeholder: "N",
    summary: "most requests that wait for an application's workers; beyond it 503",
    read: count(0, 1_000_000),
    standard: "1024",
    initial: "1024",
  },
  retry: {
    key: "retry",
    group: "Requests",
    placeholder: "METHODS",
    summary: "requests that another worker runs once more where theirs died; none: none is",
    read: methods,
    standard: "GET,HEAD,OPTIONS,PUT,DELETE,TRACE",
    initial: "GET,HEAD,OPTIONS,PUT,DELETE,TRACE",
  },
  tempDir: {
    key: "temp-dir",
    group: "Requests",
    placeholder: "DIR",
    summary: "directory for temporary files",
    read: directory,
    standard: "the system's",
    initial: () => tmpdir(),
  },
  maxTarget: {
    key: "max-target",
    group: "Requests",
    placeholder: "SIZE",
    summary: "longest request target; beyond it 414",
    read: octets(64, 16 * KIB * KIB),
    standard: "8k",
    initial: "8k",
  },
  maxHead: {
    key: "max-head",
    group: "Requests",
    placeholder: "SIZE",
    summary: "largest request head; beyond it 431",
    read: octets(KIB, 16 * KIB * KIB),
    standard: "64k",
    initial: "64k",
  },
  maxFields: {
    key: "max-fields",
    group: "Requests",
    placeholder: "N",
    summary: "most header fields of a request; beyond it 431",
    read: count(8, 10_000),
    standard: "128",
    initial: "128",
  },
  http2: {
    key: "http2",
    group: "Requests",
    placeholder: "WHERE",
    summary: "where HTTP/2 is spoken: tls (https listeners), all (in clear text, too) or off",
    read: oneOf("off", "tls", "all"),
    standard: "tls",
    initial: "tls",
  },
  keepAlive: {
    key: "keep-alive",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "an idle connection is left open this long",
    read: seconds(0),
    standard: "75",
    initial: "75",
  },
  headTimeout: {
    key: "head-timeout",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "a client may take this long to send a request's head",
    read: seconds("above 0"),
    standard: "30",
    initial: "30",
  },
  stallTimeout: {
    key: "stall-timeout",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "a client that moves less than --min-rate of a body or response for so long is cut off",
    read: seconds("above 0"),
    standard: "30",
    initial: "30",
  },
  minRate: {
    key: "min-rate",
    group: "Time limits",
    placeholder: "SIZE",
    summary: "octets a second that a client must send of a body or take of a response; 0: any at all",
    read: octets(0),
    standard: "500",
    initial: "500",
  },
  queueTimeout: {
    key: "queue-timeout",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "a request waits this long for a worker; then 503",
    read: seconds("above 0"),
    standard: "30",
    initial: "30",
  },
  requestTimeout: {
    key: "request-timeout",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "a request may be executed for so long; then 504, and it is interrupted; 0: no limit",
    read: seconds(0),
    standard: "0",
    initial: "0",
  },
  interruptGrace: {
    key: "interrupt-grace",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "a worker whose interrupted request has not ended after so long is replaced",
    read: seconds(0),
    standard: "5",
    initial: "5",
  },
  gracefulTimeout: {
    key: "graceful-timeout",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "at a stop or reload, running requests get this long to finish",
    read: seconds(0),
    standard: "30",
    initial: "30",
  },
  hangTimeout: {
    key: "hang-timeout",
    group: "Time limits",
    placeholder: "SECONDS",
    summary: "a process that shows no sign of life for so long is killed and replaced; 0: none is",
    read: seconds(0),
    standard: "60",
    initial: "60",
  },
  wsMaxSize: {
    key: "ws-max-size",
    group: "WebSocket",
    placeholder: "SIZE",
    summary: "largest message from a client; beyond it the connection is closed with 1009",
    read: octets(1, GIB),
    standard: "16m",
    initial: "16m",
  },
  wsPingInterval: {
    key: "ws-ping-interval",
    group: "WebSocket",
    placeholder: "SECONDS",
    summary: "a client that is silent for so long is pinged; 0: none is",
    read: seconds(0),
    standard: "20",
    initial: "20",
  },
  wsPingTimeout: {
    key: "ws-ping-timeout",
    group: "WebSocket",
    placeholder: "SECONDS",
    summary: "a client that does not answer a ping for so long is gone",
    read: seconds("above 0"),
    standard: "20",
    initial: "20",
  },
  wsCompression: {
    key: "ws-compression",
    group: "WebSocket",
    placeholder: "",
    summary: "compress messages of clients that offer it",
    read: boolean,
    standard: "false",
    initial: false,
  },
  logSlow: {
    key: "log-slow",
    group: "Log and control",
    placeholder: "SECONDS",
    summary: "log the Python stack of requests that are executed for so long; 0: of none",
    read: seconds(0),
    standard: "0",
    initial: "0",
  },
  accessLog: {
    key: "access-log",
    group: "Log and control",
    placeholder: "off|-|PATH",
    summary: "one line per request; - is standard output",
    read: logTarget,
    standard: "-",
    initial: "-",
  },
  control: {
    key: "control",
    group: "Log and control",
    placeholder: "PATH",
    summary: "unix socket for status, stop and drain, mode 0600",
    read: socketPath,
    standard: "one in the user's runtime directory",
    initial: (context) => defaultControlPath(context.target, process.pid, context.environment),
  },
};

/** The names of the options, in the table's order. */
export const optionNames: readonly OptionName[] = Object.keys(options).filter(isOptionName);

function isOptionName(name: string): name is OptionName {
  return Object.hasOwn(options, name);
}

/** The options of which each pool can have its own. */
export const poolOptionNames: readonly (keyof PoolSettings)[] = [
  "chdir",
  "interface",
  "eventLoop",
  "python",
  "preload",
  "bootTimeout",
  "workers",
  "threads",
  "concurrency",
  "maxRequests",
  "maxWorkerAge",
  "maxWorkerMemory",
  "maxWorkerMemoryHard",
  "queue",
  "retry",
  "queueTimeout",
  "requestTimeout",
  "interruptGrace",
  "logSlow",
  "healthPath",
  "probation",
  "reloadOverlap",
];

/** Those after which another worker takes a worker's place. */
export const recyclingNames: readonly ("maxRequests" | "maxWorkerAge" | "maxWorkerMemory" | "maxWorkerMemoryHard")[] = [
  "maxRequests",
  "maxWorkerAge",
  "maxWorkerMemory",
  "maxWorkerMemoryHard",
];

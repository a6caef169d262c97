// The one frozen Config that everything below the command line reads. Comments here are the user's documentation of
// each option (docs/configuration.md is made from them).

/** Where to listen, and which protocol to speak there. */
export interface ListenAddress {
  /** The URL as the user wrote it, for messages. */
  readonly url: string;
  readonly protocol: "http";
  readonly endpoint: /** `host` is a literal address or a name; "" means every address. `port` 0 asks the system for one. */
    | { readonly kind: "tcp"; readonly host: string; readonly port: number }
    | { readonly kind: "unix"; readonly path: string }
    /** A listening socket this process inherited. */
    | { readonly kind: "fd"; readonly fd: number };
}

export interface Config {
  /** The application, as given: `package.module:callable`, `path/to/file.py[:callable]`, `path/to/site.wsgi`. */
  readonly target: string;
  /** Addresses to listen on. Default `http://127.0.0.1:8000`. */
  readonly listen: readonly ListenAddress[];
  /** Worker processes. Default `auto`: as many as the cores this process may use. */
  readonly workers: number;
  /** The most requests one worker executes at once. Default `auto`: up to 8, as many as the scheduler finds useful. */
  readonly threads: number | "auto";
  /** The Python interpreter, absolute. Default: that of the active virtual environment, of .venv or venv in chdir, else `python3`. */
  readonly python: string;
  /** The directory the application runs in, first on its `sys.path`. Absolute. Default: that of vivarium.toml, else the current one. */
  readonly chdir: string;
  /** Whether the application is imported once and its workers forked from there (default), or in each worker. */
  readonly preload: boolean;
  /** URL prefix the application is mounted at: "" or "/prefix" without a closing slash. Becomes SCRIPT_NAME. */
  readonly mount: string;
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
  /** Octets of a response kept in memory for a client that reads slowly before its worker must wait. Default 1 MiB. */
  readonly responseMemory: number;
  /** The directory for temporary files. Default: the system's. */
  readonly tempDir: string;
  /** The longest request target, octets. Default 8192. Beyond it: 414. */
  readonly maxTarget: number;
  /** The largest request head (request line and fields), octets. Default 65536. Beyond it: 431. */
  readonly maxHead: number;
  /** The most header fields of a request. Default 128. Beyond it: 431. */
  readonly maxFields: number;
  /** Seconds an idle kept-alive connection is left open. Default 75. */
  readonly keepAlive: number;
  /** Seconds a client may take to send a request's head. Default 30. Beyond it: 408. */
  readonly headTimeout: number;
  /** Seconds running requests get to finish at a stop. Default 30. */
  readonly gracefulTimeout: number;
  /** Seconds the application may take to load. Default 60. */
  readonly bootTimeout: number;
}

/** The most threads of a worker where the scheduler may choose: they cover an application that waits 7/8 of its time. */
const threadsWhenAuto = 8;

/** The most requests a worker executes at once. */
export function threadsMost(config: Config): number {
  return config.threads === "auto" ? threadsWhenAuto : config.threads;
}

/** Where a browser finds the application: `url` is that of the listening socket. */
export function siteUrl(config: Config, address: ListenAddress, url: string): string {
  return address.endpoint.kind === "tcp" ? `${url}${config.mount}` : url;
}

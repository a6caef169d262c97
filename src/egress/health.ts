// Active health checks: at intervals each server is asked for a path, in its own protocol and over the same connections as
// requests are.
import { type Deadlines, type Timed, ticks } from "../net/deadline.js";
import { decodePath } from "../protocol/cgi/request-variables.js";
import type { UpstreamCall, UpstreamDriver, UpstreamEvents, UpstreamRequest } from "./driver.js";
import { octetsOf } from "./forwarded.js";

export interface HealthOptions {
  /** With a query, perhaps. */
  readonly path: string;
  /** Seconds. */
  readonly interval: number;
  /** The Host to ask with. */
  readonly host: string;
  readonly params: Readonly<Record<string, string>>;
  readonly deadlines: Deadlines;
  /** A check ended. */
  checked(well: boolean): void;
}

/** The checks of one server, from now on until `close`. */
export class HealthChecks implements Timed, UpstreamEvents {
  deadline: number;
  readonly #driver: UpstreamDriver;
  readonly #options: HealthOptions;
  readonly #request: UpstreamRequest;
  #call: UpstreamCall | undefined;

  constructor(driver: UpstreamDriver, options: HealthOptions) {
    this.#driver = driver;
    this.#options = options;
    this.#request = healthRequest(options);
    // the first at once
    this.deadline = options.deadlines.tick + 1;
    options.deadlines.watch(this);
  }

  close(): void {
    this.#options.deadlines.unwatch(this);
    this.#call?.cancel();
    this.#call = undefined;
  }

  /** It is time for the next check; one that is still under way has failed. */
  expire(): void {
    const call = this.#call;
    if (call !== undefined) {
      call.cancel();
      this.#end(false);
    }
    this.deadline = this.#options.deadlines.tick + ticks(this.#options.interval);
    // over a new connection: what it finds out is whether there can be one
    this.#call = this.#driver.start(this.#request, this, true);
  }

  head(head: { readonly status: number }, _body: Uint8Array | undefined, last: boolean): void {
    // what it says beyond that is not wanted
    if (!last) this.#call?.cancel();
    this.#end(head.status >= 200 && head.status < 400);
  }

  body(): void {}

  failed(): void {
    this.#end(false);
  }

  #end(well: boolean): void {
    this.#call = undefined;
    this.#options.checked(well);
  }
}

function healthRequest({ path, host, params }: HealthOptions): UpstreamRequest {
  const [pathInfo = "", query = ""] = path.split("?", 2);
  const colon = host.endsWith("]") ? -1 : host.lastIndexOf(":");
  const variables = {
    REQUEST_METHOD: "GET",
    SCRIPT_NAME: "",
    PATH_INFO: decodePath(pathInfo),
    QUERY_STRING: query,
    REQUEST_URI: path,
    SERVER_PROTOCOL: "HTTP/1.1",
    GATEWAY_INTERFACE: "CGI/1.1",
    SERVER_SOFTWARE: "vivarium",
    SERVER_NAME: colon < 0 ? host : host.slice(0, colon),
    SERVER_PORT: colon < 0 ? "80" : host.slice(colon + 1),
    REMOTE_ADDR: "127.0.0.1",
    REQUEST_SCHEME: "http",
    HTTP_HOST: host,
    HTTP_USER_AGENT: "vivarium (health check)",
    ...Object.fromEntries(Object.entries(params).map(([name, value]) => [name, octetsOf(value)])),
  };
  const pairs = Object.entries(variables).map(([name, value]) => `${name}\0${value}`);
  return { method: "GET", common: "", own: pairs.join("\0"), body: { kind: "empty" }, idempotent: true };
}

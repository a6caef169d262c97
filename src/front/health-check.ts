// The question that a new worker answers before it serves (--health-path), put as any request is: through the wire, to the
// application.
import type { Exchange, Request, ResponseHead } from "../exchange.js";
import { requestId } from "../request-id.js";

/** An exchange of whose response nothing is read but the status. */
export class HealthCheck implements Exchange {
  readonly request: Request;
  readonly id: string;
  readonly inputEnded = false;
  ended = false;
  onInputEnd: (() => void) | undefined;
  onFlushed: ((octets: number) => void) | undefined;
  onGone: (() => void) | undefined;
  readonly #tell: (problem: string) => void;
  #problem = "";

  /** `tell` gets what is wrong, in a few words, or "", once. */
  constructor(path: string, software: string, tell: (problem: string) => void) {
    this.request = requestFor(path, software);
    this.id = requestId(this.request);
    this.#tell = tell;
  }

  respond({ status }: ResponseHead, body: Uint8Array | undefined, last: boolean): void {
    if (status < 200 || status > 399) this.#problem = `GET ${this.request.target} was answered ${status}`;
    this.write(body ?? nothing, last);
  }

  write(octets: Uint8Array, last: boolean): void {
    if (last) this.#end(this.#problem);
    else if (octets.length > 0) this.onFlushed?.(octets.length);
  }

  readonly takesHints = false;
  readonly takesTrailers = false;
  inform(): void {}

  end(): void {
    this.write(nothing, true);
  }

  cut(): void {
    this.#end(`GET ${this.request.target} was not answered`);
  }

  refuse(status: number): void {
    this.#end(`GET ${this.request.target} was answered ${status}`);
  }

  #end(problem: string): void {
    if (this.ended) return;
    this.ended = true;
    this.#tell(problem);
  }
}

const nothing = new Uint8Array();

/** As if it came over HTTP from this machine. */
function requestFor(target: string, software: string): Request {
  const [path = "", query = ""] = target.split(/\?(.*)/s);
  const variables = {
    REQUEST_METHOD: "GET",
    SCRIPT_NAME: "",
    PATH_INFO: percentDecoded(path),
    QUERY_STRING: query,
    REQUEST_URI: target,
    SERVER_PROTOCOL: "HTTP/1.1",
    SERVER_NAME: "localhost",
    SERVER_PORT: "80",
    SERVER_SOFTWARE: software,
    REMOTE_ADDR: "127.0.0.1",
    REMOTE_PORT: "0",
    HTTP_HOST: "localhost",
    HTTP_USER_AGENT: software,
    "wsgi.url_scheme": "http",
  };
  return {
    method: "GET",
    target,
    variables: Object.entries(variables).flat().join("\0"),
    shared: 0,
    body: { kind: "empty" },
  };
}

/** Octets as latin-1, as in every PATH_INFO. */
function percentDecoded(path: string): string {
  return path.replace(/%([0-9a-f]{2})/gi, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

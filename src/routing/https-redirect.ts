// A listener of plain HTTP that is only there to send everybody on to HTTPS.
import type { Exchange, Handler } from "../exchange.js";
import type { Route, Router } from "./router.js";

/** RFC 8555 §8.3: who wants to see that a name is ours asks there, over plain HTTP. */
const challenges = "/.well-known/acme-challenge";

/**
 * Finds for every request a handler that redirects it to `port` of the host it asks for. Except what is mounted for certificate
 * authorities, and what a trusted proxy says came over HTTPS already.
 */
export class HttpsRedirect implements Pick<Router, "find"> {
  readonly #router: Pick<Router, "find">;
  readonly #port: string;

  constructor(router: Pick<Router, "find">, port: number) {
    this.#router = router;
    this.#port = port === 443 ? "" : `:${port}`;
  }

  find(host: string, path: string): Route | undefined {
    const found = this.#router.find(host, path);
    if (found?.place.scriptName.startsWith(challenges)) return found;
    const handler: Handler = (exchange) => this.#handle(exchange, found);
    return {
      handler,
      streams: undefined,
      upgrades: undefined,
      place: found?.place ?? { scriptName: "", pathInfo: path },
    };
  }

  #handle(exchange: Exchange, found: Route | undefined): void {
    const { variables } = exchange.request;
    if (variableOf(variables, "wsgi.url_scheme") === "https") {
      if (found === undefined) exchange.refuse(404, "There is no application at this address.");
      else found.handler(exchange);
      return;
    }
    const host = (variableOf(variables, "HTTP_HOST") || variableOf(variables, "SERVER_NAME")).replace(/:\d*$/, "");
    const uri = variableOf(variables, "REQUEST_URI");
    const location = `https://${host}${this.#port}${uri.startsWith("/") ? uri : "/"}`;
    // Method and body are to be the same there (RFC 9110 §15.4.9).
    exchange.refuse(308, `This is at ${location}`, `Location: ${location}\r\n`);
  }
}

/** The value of a variable of `Request.variables` that is not its first; "" where there is none. */
function variableOf(variables: string, name: string): string {
  const at = variables.indexOf(`\0${name}\0`);
  if (at < 0) return "";
  const from = at + name.length + 2;
  const end = variables.indexOf("\0", from);
  return variables.slice(from, end < 0 ? undefined : end);
}

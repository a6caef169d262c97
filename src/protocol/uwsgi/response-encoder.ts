// The uwsgi protocol, server role: the response is plain HTTP, and the connection ends behind it. Never chunked: the web
// servers in front take the octets behind the head as they are.

import { ResponseEncoder as HttpResponseEncoder, type ResponseFacts } from "../http1/response-encoder.js";

/** The answer to a ping, as uWSGI gives it: modifier1 100, no variables, modifier2 1. Do not change it. */
export const pong: Uint8Array = Uint8Array.of(100, 0, 0, 1);

export class ResponseEncoder extends HttpResponseEncoder {
  // Every connection ends so. lighttpd takes the word for one about its own connection with the client.
  protected override readonly closes = "";

  override begin(method: string): void {
    super.begin(method, 0, false);
  }

  /** As in HTTP, without a Date: the web server in front says it. */
  override head(facts: ResponseFacts, body: Uint8Array | undefined, last: boolean): Uint8Array | readonly Uint8Array[] {
    return super.head(facts, body, last, "");
  }
}

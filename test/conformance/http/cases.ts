// How a case is written: what a client sends on a connection of its own, and what comes of it.

/** An answer, or what becomes of the connection after the answers. */
export type Outcome = "open" | "closed" | "waiting";

/**
 * Its name; the octets, latin-1; the answers; and the outcome. An answer is what echo_app.py saw (`GET /a?b "body"`), or
 * the status of a page of Vivarium's own (`400`; `HEAD 400` where it has no body, being for HEAD). "open": the next request on the connection is answered. "closed": the
 * server closes it, and nothing follows. "waiting": the request is not whole, and the client ends its side.
 */
export type Case = readonly [name: string, octets: string, ...answers: string[], outcome: Outcome];

/** A request line, with the Host that HTTP/1.1 asks for. */
export function line(requestLine: string): string {
  return `${requestLine}\r\nHost: a\r\n\r\n`;
}

/** A GET of a target. */
export function target(text: string): string {
  return line(`GET ${text} HTTP/1.1`);
}

/** A GET with these lines behind its request line, and no others. */
export function head(...lines: readonly string[]): string {
  return `GET / HTTP/1.1\r\n${lines.map((each) => `${each}\r\n`).join("")}\r\n`;
}

/** A GET with these field lines behind Host. */
export function fields(...lines: readonly string[]): string {
  return head("Host: a", ...lines);
}

/** A POST with these field lines behind Host, and octets behind them. */
export function post(lines: readonly string[], octets: string): string {
  return `POST / HTTP/1.1\r\nHost: a\r\n${lines.map((each) => `${each}\r\n`).join("")}\r\n${octets}`;
}

/** A POST with a chunked body, as octets. */
export function chunked(octets: string): string {
  return post(["Transfer-Encoding: chunked"], octets);
}

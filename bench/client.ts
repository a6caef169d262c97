// One HTTP request on a connection of its own: a kept-alive connection would hold a process of some servers.
import { request as requestPlain } from "node:http";
import { request as requestSecure } from "node:https";

export interface Answer {
  readonly status: number;
  readonly body: Buffer;
}

export interface Ask {
  readonly method?: string;
  readonly body?: Uint8Array;
}

export function ask(url: string, { method = "GET", body }: Ask = {}): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const length = body === undefined ? {} : { "content-length": String(body.length) };
    const headers = { connection: "close", ...length };
    const request = url.startsWith("https:") ? requestSecure : requestPlain;
    // The certificate of a server that is measured was signed by nobody else.
    const asked = request(url, { method, agent: false, headers, rejectUnauthorized: false }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces) }));
      response.once("error", reject);
    });
    asked.once("error", reject);
    asked.end(body);
  });
}

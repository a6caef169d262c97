// One HTTP request on a connection of its own: a kept-alive connection would hold a process of some servers.
import { request } from "node:http";

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
    const asked = request(url, { method, agent: false, headers: { connection: "close", ...length } }, (response) => {
      const pieces: Buffer[] = [];
      response.on("data", (piece: Buffer) => pieces.push(piece));
      response.once("end", () => resolve({ status: response.statusCode ?? 0, body: Buffer.concat(pieces) }));
      response.once("error", reject);
    });
    asked.once("error", reject);
    asked.end(body);
  });
}

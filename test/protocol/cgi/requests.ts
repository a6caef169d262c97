// Replays octets through a decoder of requests that come one on a connection with their meta-variables (SCGI, uwsgi), into
// the log that their vectors are written in; and reads what encoding vectors tell.
import type { RequestLimits } from "../../../src/protocol/http1/request-decoder.js";
import type { RequestEvent } from "../../../src/protocol/uwsgi/request-decoder.js";
import { escaped, Log, unescaped } from "../http1/vectors.js";

/** SCGI's decoder is one, and uwsgi's. */
export interface Decoder {
  readonly pending: number;
  readonly idle: boolean;
  receive(chunk: Uint8Array): void;
  next(): RequestEvent | undefined;
}

export function decodeRequest(
  chunks: readonly Uint8Array[],
  Type: new (limits: RequestLimits) => Decoder,
  limits: RequestLimits,
): readonly string[] {
  const decoder = new Type(limits);
  const log = new Log();
  let over = false;
  try {
    for (const chunk of chunks) {
      decoder.receive(new Uint8Array(chunk));
      for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
        over = event.type === "end" || event.type === "ping";
        if (event.type === "body") log.body(event.octets);
        else if (event.type !== "head") log.add(event.type);
        else {
          const { framing, contentLength, pairs } = event.head;
          log.add(`head${framing === "none" ? "" : framing === "length" ? ` length=${contentLength}` : " chunked"}`);
          for (let at = 0; at < pairs.length; at += 2) {
            log.add(`  ${escaped(pairs[at] ?? "")}: ${escaped(pairs[at + 1] ?? "")}`.trimEnd());
          }
        }
      }
    }
    if (!over && !decoder.idle) log.add("waiting");
  } catch (error) {
    log.failure(error);
  }
  return log.lines;
}

/** `NAME value` lines as `Request.variables` has them. */
export function toldVariables(told: string): string {
  const lines = told.trimEnd().split("\n");
  return lines.map((line) => unescaped(line.replace(/ |$/, "\0"))).join("\0");
}

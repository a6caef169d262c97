// Tells an encoder what an encoding vector tells it, and writes down what it gives: octets in the vectors' notation, and
// what it says after each message.
import { VivariumError } from "../../../src/errors.js";
import { ResponseEncoder as CgiResponseEncoder } from "../../../src/protocol/cgi/response-encoder.js";
import { RequestEncoder } from "../../../src/protocol/http1/request-encoder.js";
import { ResponseEncoder } from "../../../src/protocol/http1/response-encoder.js";
import { ResponseEncoder as UwsgiResponseEncoder } from "../../../src/protocol/uwsgi/response-encoder.js";
import { escaped, unescaped } from "./vectors.js";

export interface Encoded {
  readonly octets: string;
  readonly log: readonly string[];
}

/** A call of a `told` block: `head 200 "OK" "A: b\r\n" length=5 "hello" last`. */
interface Call {
  readonly verb: string;
  /** What stands bare or in quotes, by turns as written. */
  readonly words: readonly string[];
  readonly length: number;
  readonly last: boolean;
  readonly date: boolean;
}

function calls(told: string): readonly Call[] {
  return told
    .trimEnd()
    .split("\n")
    .map((line) => {
      const parts = Array.from(line.matchAll(/"([^"]*)"|(\S+)/g), (match) => ({
        text: unescaped(match[1] ?? match[2] ?? ""),
        quoted: match[1] !== undefined,
      }));
      const bare = (text: string) => parts.some((part) => !part.quoted && part.text === text);
      const length = parts.find((part) => !part.quoted && part.text.startsWith("length="));
      const words = parts.filter((part) => part.quoted || !/^(last|date|length=\d+)$/.test(part.text));
      return {
        verb: words[0]?.text ?? "",
        words: words.slice(1).map((part) => part.text),
        length: length === undefined ? -1 : Number(length.text.slice(7)),
        last: bare("last"),
        date: bare("date"),
      };
    });
}

type Message = RequestEncoder | ResponseEncoder | CgiResponseEncoder;

function encode(
  told: string,
  encoder: Message,
  begin: (call: Call) => void,
  head: (call: Call) => Uint8Array | readonly Uint8Array[],
): Encoded {
  const buffers: Uint8Array[] = [];
  const log: string[] = [];
  const say = () => {
    const words = [encoder.complete ? "complete" : "incomplete", `octets=${encoder.bodyOctets}`];
    if (encoder.short) words.push("short");
    if (encoder.dropped > 0) words.push(`dropped=${encoder.dropped}`);
    if (encoder instanceof ResponseEncoder) words.push(encoder.keepAlive ? "keep-alive" : "close");
    log.push(words.join(" "));
  };
  try {
    for (const [index, call] of calls(told).entries()) {
      if (call.verb === "begin") {
        if (index > 0) say();
        begin(call);
      } else if (call.verb === "head") {
        const octets = head(call);
        buffers.push(...(octets instanceof Uint8Array ? [octets] : octets));
      } else buffers.push(...encoder.data(latin1(call.words[0]), call.last));
    }
    say();
  } catch (error) {
    if (!(error instanceof VivariumError)) throw error;
    log.push(`error ${error.code}`);
  }
  return { octets: buffers.map((octets) => lines(octets)).join("+\n"), log };
}

export function encodeResponses(told: string): Encoded {
  const encoder = new ResponseEncoder();
  return encode(
    told,
    encoder,
    ({ words }) => encoder.begin(words[0] ?? "", words[1] === "1.0" ? 0 : 1, words[2] === "keep-alive"),
    ({ words, length, last, date }) => {
      const [status, reason = "", fields, body] = words;
      const facts = { status: Number(status), reason, fields: latin1(fields), contentLength: length, hasDate: date };
      return encoder.head(facts, body === undefined ? undefined : latin1(body), last, "DATE");
    },
  );
}

export function encodeCgiResponses(told: string): Encoded {
  return encodeUndated(told, new CgiResponseEncoder());
}

export function encodeUwsgiResponses(told: string): Encoded {
  return encodeUndated(told, new UwsgiResponseEncoder());
}

function encodeUndated(told: string, encoder: CgiResponseEncoder | UwsgiResponseEncoder): Encoded {
  return encode(
    told,
    encoder,
    ({ words }) => encoder.begin(words[0] ?? ""),
    ({ words, length, last, date }) => {
      const [status, reason = "", fields, body] = words;
      const facts = { status: Number(status), reason, fields: latin1(fields), contentLength: length, hasDate: date };
      return encoder.head(facts, body === undefined ? undefined : latin1(body), last);
    },
  );
}

export function encodeRequests(told: string): Encoded {
  const encoder = new RequestEncoder();
  return encode(
    told,
    encoder,
    ({ words }) => encoder.begin(words[0] === "keep-alive"),
    ({ words, length, last }) => {
      const [method = "", target = "", fields, body] = words;
      const facts = { method, target, fields: latin1(fields), contentLength: length };
      return encoder.head(facts, body === undefined ? undefined : latin1(body), last);
    },
  );
}

function latin1(text = ""): Buffer {
  return Buffer.from(text, "latin1");
}

/** Octets in the notation of an `http` block. */
function lines(octets: Uint8Array): string {
  const text = escaped(Buffer.from(octets).toString("latin1"));
  const parts = text.split("\\r\\n");
  const rest = parts.pop();
  return parts.map((part) => `${part.replace(/ $/, "\\s")}\n`).join("") + (rest === "" ? "" : `${rest}\\\n`);
}

// What the HTTP/1.1 codec costs without sockets: `node build/bench/micro/http1.js [seconds per case]`. Each case decodes
// or encodes one message over and over on one connection's codec.
import { RequestDecoder } from "../../src/protocol/http1/request-decoder.js";
import { ResponseEncoder } from "../../src/protocol/http1/response-encoder.js";
import { measure } from "./support/measure.js";

const limits = { maxTarget: 8192, maxHead: 65536, maxFields: 128, maxBody: 2 ** 30 };
const small = "GET /hello HTTP/1.1\r\nHost: 127.0.0.1:8000\r\nUser-Agent: wrk/4.2.0\r\nAccept: */*\r\n\r\n";
const browser = [
  "GET /articles/2024/codec?page=2&sort=new HTTP/1.1",
  "Host: www.example.org",
  "Connection: keep-alive",
  "Cache-Control: max-age=0",
  'sec-ch-ua: "Chromium";v="124", "Not-A.Brand";v="99"',
  "Upgrade-Insecure-Requests: 1",
  "User-Agent: Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/124.0.0.0 Safari/537.36",
  "Accept: text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
  "Sec-Fetch-Site: same-origin",
  "Referer: https://www.example.org/articles/2024?page=1",
  "Accept-Encoding: gzip, deflate, br, zstd",
  "Accept-Language: en-GB,en;q=0.9,de;q=0.8",
  "Cookie: sessionid=0123456789abcdef0123456789abcdef; csrftoken=abcdefghijklmnopqrstuvwxyzABCDEF",
  "\r\n",
].join("\r\n");

/** Requests whose field lines differ from those before, so that nothing read before is taken again. */
function varied(request: string): readonly Buffer[] {
  return Array.from({ length: 16 }, (_, i) =>
    Buffer.from(request.replace("\r\n\r\n", `\r\nX-Request: ${String(i).padStart(4, "0")}\r\n\r\n`), "latin1"),
  );
}

/** What all sockets read into (net/system-stream.ts). */
const memory = Buffer.allocUnsafeSlow(65536);

/** Requests that differ in their targets only. */
function retargeted(request: string): readonly Buffer[] {
  return Array.from({ length: 16 }, (_, i) => Buffer.from(request.replace("GET /", `GET /${i}`), "latin1"));
}

function decodes(requests: readonly Buffer[]): () => number {
  const decoder = new RequestDecoder(limits);
  let turn = 0;
  return () => {
    const request = requests[turn++ % requests.length] as Buffer;
    memory.set(request);
    decoder.receive(memory, request.length);
    let fields = 0;
    for (;;) {
      const event = decoder.next();
      if (event === undefined) return fields;
      if (event.type === "head") fields += event.head.fields.length;
    }
  };
}

/** A connection for each request. */
function decodesAlone(request: Buffer): () => number {
  return () => decodes([request])();
}

function encodes(facts: { readonly fields: string; readonly length: number; readonly octets: number }): () => number {
  const encoder = new ResponseEncoder();
  const fields = Buffer.from(facts.fields, "latin1");
  const body = Buffer.alloc(facts.octets, 0x61);
  const head = { status: 200, reason: "OK", fields, contentLength: facts.length, hasDate: false };
  return () => {
    encoder.begin("GET", 1, true);
    const octets = encoder.head(head, body, true, "Sun, 06 Nov 1994 08:49:37 GMT");
    return octets.length;
  };
}

const cases: readonly (readonly [string, () => number, number?])[] = [
  ["decode wrk GET, 3 fields, same as before", decodes([Buffer.from(small, "latin1")])],
  ["decode wrk GET, 4 fields, never the same", decodes(varied(small))],
  ["decode wrk GET, 3 fields, by a decoder of its own", decodesAlone(Buffer.from(small, "latin1"))],
  ["decode wrk GET ×16 pipelined, each", decodes([Buffer.from(small.repeat(16), "latin1")]), 16],
  ["decode wrk GET, 3 fields, other targets", decodes(retargeted(small))],
  ["decode browser GET, 12 fields, other targets", decodes(retargeted(browser))],
  ["decode browser GET, 12 fields, same as before", decodes([Buffer.from(browser, "latin1")])],
  ["decode browser GET, 13 fields, never the same", decodes(varied(browser))],
  [
    "encode 200, 12 octets",
    encodes({ fields: "Content-Type: text/plain\r\nContent-Length: 12\r\n", length: 12, octets: 12 }),
  ],
  ["encode 200, 8 KiB", encodes({ fields: "Content-Type: text/plain\r\n", length: -1, octets: 8192 })],
  ["encode 200, 16 KiB", encodes({ fields: "Content-Type: text/plain\r\n", length: -1, octets: 16384 })],
  ["encode 200, 100 KB", encodes({ fields: "Content-Type: text/plain\r\n", length: -1, octets: 100_000 })],
];

for (const [name, run, each] of cases) measure(name, run, each);

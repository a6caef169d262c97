// Requests with meta-variables and CGI responses, mostly right and wrong in a place or two.
import type { Random } from "./random.js";

const names = [
  "CONTENT_LENGTH",
  "SCGI",
  "REQUEST_METHOD",
  "PATH_INFO",
  "HTTP_HOST",
  "HTTP_COOKIE",
  "HTTP_TRANSFER_ENCODING",
  "UWSGI_FILE",
  "",
] as const;
const values = ["", "1", "0", "GET", "/a", "chunked", "12", "-1", "a\0b", "\xe9"] as const;

function pairs(random: Random): readonly (readonly [string, string])[] {
  const length = random.of(["", "0", "3", "3", "12", "x"]);
  const some = Array.from({ length: random.below(6) }, () => [random.of(names), random.of(values)] as const);
  return random.chance(80) ? [["CONTENT_LENGTH", length], ["SCGI", "1"], ...some] : some;
}

/** An octet changed, taken away or put in. */
export function damaged(random: Random, octets: Buffer): Buffer {
  if (random.chance(60) || octets.length === 0) return octets;
  const at = random.below(octets.length);
  const put = random.of([[], [random.below(256)], [0x30 + random.below(10)], [0x0d, 0x0a], [0]]);
  return Buffer.concat([octets.subarray(0, at), Buffer.from(put), octets.subarray(at + random.below(2))]);
}

export function scgiRequest(random: Random): Buffer {
  const headers = pairs(random)
    .map(([name, value]) => `${name}\0${value}\0`)
    .join("");
  const length = random.chance(90) ? headers.length : headers.length + random.below(5) - 2;
  return Buffer.from(`${length}:${headers},${body(random)}`, "latin1");
}

export function uwsgiRequest(random: Random): Buffer {
  const size = (octets: number) => String.fromCharCode(octets & 255, (octets >> 8) & 255);
  const variables = pairs(random)
    .map(([name, value]) => `${size(name.length)}${name}${size(value.length)}${value}`)
    .join("");
  const length = random.chance(90) ? variables.length : variables.length + random.below(5);
  const modifiers = random.of(["\0\0", "\0\0", "\0\0", "\0\0", "\x64\0", "\x05\0", "\0\x01"]);
  return Buffer.from(`${modifiers[0]}${size(length)}${modifiers[1]}${variables}${body(random)}`, "latin1");
}

function body(random: Random): string {
  return random.of(["", "abc", "abcdefghijklmnop", "3\r\nabc\r\n0\r\n\r\n", "3\r\nab"]);
}

export function cgiResponse(random: Random): Buffer {
  const lines = [
    "Status: 200 OK",
    "Status: 404",
    "Status: 99",
    "Content-Type: text/plain",
    "Content-Length: 3",
    "Content-Length: 3,3",
    "Location: /a",
    "Location: http://a/",
    "Connection: a, close",
    "Date: D",
    "A:",
    " folded",
    "HTTP/1.1 200 OK",
    "HTTP: a",
  ] as const;
  const end = () => random.of(["\r\n", "\r\n", "\n", "\r"]);
  let text = "";
  for (let line = random.below(6); line > 0; line--) text += random.of(lines) + end();
  return Buffer.from(`${text}${end()}${body(random)}`, "latin1");
}

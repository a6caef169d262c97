// HTTP/1.1 messages left to chance: mostly well-formed, put together from what tells parsers apart, then mutated.
import type { Random } from "./random.js";

const methods = [
  "GET",
  "POST",
  "HEAD",
  "PUT",
  "OPTIONS",
  "DELETE",
  "PATCH",
  "CONNECT",
  "get",
  "FOO",
  "M-SEARCH",
  "G(T",
  "",
] as const;
const targets = [
  "/",
  "/a/b?c=d",
  "*",
  "http://a/b",
  "http://a",
  "a:80",
  "//x",
  "/a#b",
  "/\x7f",
  "/%zz",
  "/ä",
  "/a b",
  "https://[::1]/",
  "http://u@a/",
  "",
] as const;
const versions = [
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.1",
  "HTTP/1.0",
  "HTTP/1.2",
  "HTTP/2.0",
  "HTTP/0.9",
  "http/1.1",
  "HTTP/1.10",
  "HTTP/1",
  "",
] as const;
const hosts = [
  "Host: a",
  "Host: a:80",
  "host:[::1]:8",
  "Host:",
  "Host: a b",
  "Host: u@a",
  "Host: a\r\nHost: a",
  "X-Host: a",
  "Host: a/b",
] as const;
const lengths = [
  "5",
  "0",
  "3",
  "+5",
  "-1",
  "5, 5",
  "0x5",
  "",
  "5 5",
  " 5\t",
  "05",
  "99999999999999999999",
  "5\r\nContent-Length: 5",
] as const;
const codings = [
  "chunked",
  "Chunked",
  "gzip, chunked",
  "chunked, gzip",
  "identity",
  "chunked, chunked",
  ", chunked",
  "chunked,",
  "xchunked",
  "",
  "\x0bchunked",
  "chunked;a=b",
  '"chunked"',
] as const;
const connections = ["close", "keep-alive", "Keep-Alive, x", "close, keep-alive", "upgrade", "@", ",", ""] as const;
const others = [
  "A: b",
  "A:b ",
  "A:\tb\t",
  "A:",
  "A : b",
  " A: b",
  "A",
  ": b",
  "A: b\r\n c",
  "A: \x00",
  "A: b\x7f",
  "A: \xe4",
  "A\xe4: b",
  "A(: b",
  "A: b\nC: d",
  "A: b\rC: d",
  "Expect: 100-continue",
  "Expect: x",
  "Upgrade: h2c",
  "A_B: c",
  "Cookie: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
] as const;
const sizes = [
  "5",
  "05",
  "0005",
  "5;a",
  "5 ",
  " 5",
  "+5",
  "0x5",
  "5\n",
  "",
  "G",
  "FFFFFFFFFFFFFFFFF",
  "4",
  "6",
] as const;
const inserts = [
  "\r",
  "\n",
  "\r\n",
  " ",
  "\t",
  "\0",
  ":",
  ",",
  ";",
  "0",
  "\x7f",
  "\xff",
  "\r\n\r\n",
  "chunked",
  "Content-Length: 3\r\n",
  "Transfer-Encoding: chunked\r\n",
] as const;

/** The first of the choices, or with a chance of `oddness` percent any of them. */
function mostly(random: Random, oddness: number, choices: readonly [string, ...string[]]): string {
  return random.chance(oddness) ? random.of(choices) : choices[0];
}

function chunkedBody(random: Random): string {
  let text = "";
  for (let chunks = random.below(3); chunks > 0; chunks--)
    text += `${mostly(random, 8, sizes)}\r\nhello${mostly(random, 3, ["\r\n", "\n", "", "\r"])}`;
  text += mostly(random, 5, ["0", "000", "0;a", "0 ", "00\n"]);
  return `${text}\r\n${random.chance(15) ? `${mostly(random, 30, others)}\r\n` : ""}\r\n`;
}

/** Fields and body. */
function rest(random: Random, fields: readonly string[]): string {
  const lines = [...fields];
  for (let count = random.below(4); count > 0; count--) lines.push(mostly(random, 12, others));
  if (random.chance(15)) lines.push(`Connection: ${random.of(connections)}`);
  let body = "";
  const framing = random.below(10);
  if (framing < 3) {
    lines.push(`Content-Length: ${mostly(random, 15, lengths)}`);
    body = "hello";
  }
  if (framing === 2 ? random.chance(15) : framing > 6) {
    lines.push(`Transfer-Encoding: ${mostly(random, 15, codings)}`);
    body = chunkedBody(random);
  }
  return `${lines.join(mostly(random, 1, ["\r\n", "\n", "\r"]))}\r\n\r\n${body}`;
}

export function request(random: Random): string {
  const space = () => mostly(random, 1, [" ", "  ", "\t"]);
  const method = random.chance(80) ? random.of(["GET", "POST", "HEAD", "PUT"]) : random.of(methods);
  const line = `${method}${space()}${mostly(random, 12, targets)}${space()}${mostly(random, 8, versions)}`;
  const before = random.chance(3) ? random.of(["\r\n", "\n", " ", "\r\n\r\n", "\0"]) : "";
  return `${before}${line}\r\n${rest(random, [mostly(random, 6, hosts)])}`;
}

export function response(random: Random): string {
  const version = mostly(random, 8, versions);
  const status = mostly(random, 20, ["200", "204", "304", "100", "103", "101", "404", "20", "2000", "099", "abc", ""]);
  const reason = mostly(random, 10, [" OK", "", " ", " \xe4\t", " \0", "OK"]);
  return `${version} ${status}${reason}\r\n${rest(random, [])}`;
}

/** A connection's octets: a few messages, and then perhaps something broken in them. */
export function connection(random: Random, message: (random: Random) => string): Buffer {
  let text = "";
  for (let count = 1 + random.below(3); count > 0; count--) text += message(random);
  if (random.chance(60)) for (let count = random.below(4); count > 0; count--) text = mutated(random, text);
  return Buffer.from(text, "latin1");
}

function mutated(random: Random, text: string): string {
  const at = random.below(text.length + 1);
  const to = Math.min(text.length, at + 1 + random.below(random.of([1, 3, 20])));
  switch (random.below(6)) {
    case 0:
      return text.slice(0, at) + random.of(inserts) + text.slice(at);
    case 1:
      return text.slice(0, at) + text.slice(to);
    case 2:
      return text.slice(0, to) + text.slice(at);
    case 3:
      return text.slice(0, at) + String.fromCharCode(random.below(256)) + text.slice(at + 1);
    case 4:
      return text.slice(0, at);
    default:
      return text.slice(0, at) + random.of(inserts) + text.slice(to);
  }
}

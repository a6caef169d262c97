import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { type LogLine, logLine, type RequestEnded, requestEnded } from "../../src/channels.js";
import type { Exchange } from "../../src/exchange.js";
import { requestsMost } from "../../src/ingress/fastcgi.js";
import { ticks } from "../../src/net/deadline.js";
import { encodeAbort, encodeInput, encodeRequest } from "../../src/protocol/fastcgi/request-encoder.js";
import { octetsOf } from "../protocol/fastcgi/vectors.js";
import { answer, type Client, eventually, headOf, openFilesIn, serve, settle, variablesOf } from "./support.js";

interface Answer {
  /** STDOUT, as far as it came. */
  output: string;
  outputEnded: boolean;
  /** Application and protocol status of END_REQUEST. */
  ended: readonly [number, number] | undefined;
}

/** What came for each request; of several under one id the last. Other records by their type. */
function answersOf(client: Client): { readonly answers: Map<number, Answer>; readonly others: readonly string[] } {
  const octets = Buffer.from(client.received, "latin1");
  const answers = new Map<number, Answer>();
  const others: string[] = [];
  for (let at = 0; at + 8 <= octets.length; at += 8 + octets.readUInt16BE(at + 4) + (octets[at + 6] ?? 0)) {
    const id = octets.readUInt16BE(at + 2);
    const content = octets.subarray(at + 8, at + 8 + octets.readUInt16BE(at + 4));
    let entry = answers.get(id);
    if (entry === undefined || (entry.ended !== undefined && octets[at] === 1)) {
      entry = { output: "", outputEnded: false, ended: undefined };
      answers.set(id, entry);
    }
    if (octets[at] !== 1) others.push(`version ${octets[at]}`);
    else if (octets[at + 1] === 6 && content.length === 0) entry.outputEnded = true;
    else if (octets[at + 1] === 6) entry.output += content.toString("latin1");
    else if (octets[at + 1] === 3 && content.length === 8) entry.ended = [content.readUInt32BE(0), content[4] ?? -1];
    else others.push(`${octets[at + 1]} ${id} ${content.toString("latin1")}`);
  }
  return { answers, others };
}

/**
 * Resolves with the answer to the request of this id when it has ended. What was received is only looked at when it is
 * as long as the answers: to read megabytes again with each piece that comes takes minutes on a busy machine.
 */
async function answered(client: Client, id: number, octets = 0): Promise<Answer> {
  await eventually(() => client.socket.bytesRead >= octets || client.closed !== "");
  await eventually(() => answersOf(client).answers.get(id)?.ended !== undefined).catch(() => {
    throw new Error(`No end of request ${id}: ${JSON.stringify(client.received)} ${client.closed}`);
  });
  return answersOf(client).answers.get(id) ?? { output: "", outputEnded: false, ended: undefined };
}

function variables(more: Readonly<Record<string, string>> = {}): string {
  const all = {
    REQUEST_METHOD: "GET",
    REQUEST_URI: "/a",
    SERVER_PROTOCOL: "HTTP/1.1",
    REMOTE_ADDR: "192.0.2.9",
    ...more,
  };
  return Object.entries(all).flat().join("\0");
}

interface Sent {
  readonly keep?: boolean;
  readonly variables?: Readonly<Record<string, string>>;
  readonly body?: string;
}

/** A whole request. */
function request(id: number, { keep = true, variables: more = {}, body }: Sent = {}): Uint8Array {
  const length: Readonly<Record<string, string>> = body === undefined ? {} : { CONTENT_LENGTH: String(body.length) };
  const bytes = body === undefined ? undefined : Buffer.from(body, "latin1");
  const encoded = encodeRequest(id, keep, variables({ ...length, ...more }), bytes, true);
  return encoded instanceof Uint8Array ? encoded : Buffer.concat(encoded);
}

/** A request whose body is still to come, of this length. */
function announced(id: number, length: number, keep = true): Uint8Array {
  const encoded = encodeRequest(
    id,
    keep,
    variables({ REQUEST_METHOD: "POST", CONTENT_LENGTH: String(length) }),
    undefined,
    false,
  );
  return encoded instanceof Uint8Array ? encoded : Buffer.concat(encoded);
}

function input(id: number, text: string, last: boolean): Uint8Array {
  const encoded = encodeInput(id, Buffer.from(text), last);
  return encoded instanceof Uint8Array ? encoded : Buffer.concat(encoded);
}

const begin = (id: number, flags = 1) => octetsOf(`BEGIN_REQUEST ${id} role=1${flags === 1 ? " keep" : ""}\n`);

const hello = (exchange: Exchange) => answer(exchange, "hello");

function bodyOf(exchange: Exchange): string {
  const { body } = exchange.request;
  return body.kind === "memory" ? Buffer.from(body.bytes).toString("latin1") : body.kind;
}

describe("a request", () => {
  test("is answered, and without FCGI_KEEP_CONN its connection closed", async (context) => {
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { keep: false }));
    await client.untilEnd();
    assert.deepEqual(answersOf(client).answers.get(1), {
      output: "Status: 200 OK\r\nContent-Length: 5\r\n\r\nhello",
      outputEnded: true,
      ended: [0, 0],
    });
    assert.equal(answersOf(client).others.length, 0);
  });

  test("whose body has a length of 0 is whole without an end of STDIN, and its id is free after the answer", async (context) => {
    const served = await serve(context, (exchange) => answer(exchange, exchange.request.target), {}, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 0));
    await client.until("\r\n\r\n");
    client.send(request(1, { keep: false, variables: { REQUEST_URI: "/next" } }));
    await client.untilEnd();
    assert.match(answersOf(client).answers.get(1)?.output ?? "", /\/next$/u);
  });

  test("leaves its connection open with FCGI_KEEP_CONN, for the next", async (context) => {
    const seen: string[] = [];
    const handler = (exchange: Exchange) => {
      seen.push(exchange.request.target);
      answer(exchange, exchange.request.target);
    };
    const served = await serve(context, handler, {}, true, "fastcgi");
    const client = await served.connect();
    for (const target of ["/1", "/2", "/3"]) {
      client.send(request(1, { variables: { REQUEST_URI: target } }));
      await client.until(`\r\n\r\n${target}`);
    }
    assert.deepEqual(seen, ["/1", "/2", "/3"]);
    client.send(request(1, { keep: false }));
    await client.untilEnd();
    assert.equal(served.ingress.requests, 4);
  });

  test("has the variables that the web server sends", async (context) => {
    let seen = new Map<string, string>();
    const handler = (exchange: Exchange) => {
      seen = variablesOf(exchange);
      hello(exchange);
    };
    const served = await serve(context, handler, { mount: "/m" }, false, "fastcgi");
    const client = await served.connect();
    client.send(
      request(1, {
        variables: { REQUEST_URI: "/m/a%20b?c=d", QUERY_STRING: "c=d", HTTP_X_LONG: "x".repeat(3000) },
        body: "12345",
      }),
    );
    await answered(client, 1);
    assert.equal(seen.get("SCRIPT_NAME"), "/m");
    assert.equal(seen.get("PATH_INFO"), "/a b");
    assert.equal(seen.get("QUERY_STRING"), "c=d");
    assert.equal(seen.get("REMOTE_ADDR"), "192.0.2.9");
    assert.equal(seen.get("CONTENT_LENGTH"), "5");
    assert.equal(seen.get("HTTP_X_LONG")?.length, 3000);
  });

  test("that comes again, over any connection, is the same request, and its neighbour another", async (context) => {
    const seen: string[] = [];
    const handler = (exchange: Exchange) => {
      const variables = variablesOf(exchange);
      seen.push(
        ["REQUEST_URI", "PATH_INFO", "REMOTE_PORT", "CONTENT_LENGTH"].map((name) => variables.get(name)).join(" "),
      );
      hello(exchange);
    };
    const served = await serve(context, handler, {}, false, "fastcgi");
    const clients = [await served.connect(), await served.connect()] as const;
    const expected: string[] = [];
    for (let round = 0; round < 5; round += 1) {
      for (const port of ["50001", "50002"]) {
        for (const [client, body] of [
          [clients[0], undefined],
          [clients[1], "x"],
        ] as const) {
          client.received = "";
          client.send(request(1, { variables: { REQUEST_URI: "/b", REMOTE_PORT: port }, ...(body ? { body } : {}) }));
          await answered(client, 1);
          expected.push(`/b /b ${port} ${body === undefined ? "" : "1"}`);
        }
      }
    }
    assert.deepEqual(seen, expected);
  });

  test("that is refused is so each time it comes", async (context) => {
    const served = await serve(context, hello, { maxTarget: 10 }, false, "fastcgi");
    const client = await served.connect();
    for (let round = 0; round < 4; round += 1) {
      client.received = "";
      client.send(request(1, { variables: { REQUEST_URI: "/longer-than-that" } }));
      assert.match((await answered(client, 1)).output, /^Status: 414 /);
    }
  });

  test("that arrives octet by octet is given to its handler when it is whole", async (context) => {
    const seen: string[] = [];
    const handler = (exchange: Exchange) => {
      seen.push(bodyOf(exchange));
      hello(exchange);
    };
    const served = await serve(context, handler, {}, false, "fastcgi");
    const client = await served.connect();
    const octets = request(1, { body: "0123456789" });
    for (let at = 0; at < octets.length; at += 1) {
      client.send(octets.subarray(at, at + 1));
      await new Promise((resolve) => setImmediate(resolve));
      if (at < octets.length - 1) assert.deepEqual(seen, []);
    }
    await answered(client, 1);
    assert.deepEqual(seen, ["0123456789"]);
  });

  test("in a role other than Responder is refused as such, and its connection kept if it says so", async (context) => {
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(octetsOf("BEGIN_REQUEST 1 role=2 keep\nPARAMS 1 A=b\nPARAMS 1\nSTDIN 1\n"));
    assert.deepEqual((await answered(client, 1)).ended, [0, 3]);
    client.send(request(1));
    await client.until("hello");
    const other = await served.connect();
    other.send(octetsOf("BEGIN_REQUEST 1 role=3\n"));
    await other.untilEnd();
    assert.deepEqual(answersOf(other).answers.get(1)?.ended, [0, 3]);
  });

  test("for a HEAD has no body", async (context) => {
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { variables: { REQUEST_METHOD: "HEAD" } }));
    assert.equal((await answered(client, 1)).output, "Status: 200 OK\r\nContent-Length: 5\r\n\r\n");
  });

  test("is told to the access log with the client's address", async (context) => {
    const records: RequestEnded[] = [];
    const listener = (record: unknown) => records.push(record as RequestEnded);
    requestEnded.subscribe(listener);
    context.after(() => requestEnded.unsubscribe(listener));
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { variables: { HTTP_USER_AGENT: "me", HTTP_REFERER: "you" } }));
    await answered(client, 1);
    const { milliseconds, ...record } = records[0] ?? { milliseconds: -1 };
    assert.ok(milliseconds >= 0);
    assert.deepEqual(record, {
      remoteAddress: "192.0.2.9",
      method: "GET",
      target: "/a",
      protocol: "HTTP/1.1",
      status: 200,
      octets: 5,
      referer: "you",
      userAgent: "me",
    });
  });
});

describe("management records", () => {
  test("values are told, and types that are not known are called so", async (context) => {
    const served = await serve(context, hello, {}, true, "fastcgi");
    const client = await served.connect();
    client.send(octetsOf("GET_VALUES 0 FCGI_MPXS_CONNS= FCGI_MAX_REQS= OTHER=\n77 0 padding=3\n"));
    await eventually(() => answersOf(client).others.length === 2);
    assert.deepEqual(answersOf(client).others, [
      "10 0 \x0f\x01FCGI_MPXS_CONNS1\x0d\x04FCGI_MAX_REQS1024",
      "11 0 \x4d\0\0\0\0\0\0\0",
    ]);
    client.send(request(1));
    await client.until("hello");
  });
});

describe("several requests on a connection", () => {
  test("interleave, and are answered in any order", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 4), announced(2, 4), input(1, "on", false), input(2, "two!", true), input(1, "e!", true));
    await eventually(() => exchanges.length === 2);
    assert.deepEqual(exchanges.map(bodyOf), ["two!", "one!"]);
    const [second, first] = exchanges as [Exchange, Exchange];
    first.respond(headOf(200), Buffer.from("<1>"), false);
    second.respond(headOf(200), Buffer.from("<2>"), false);
    first.write(Buffer.from("<1.>"), true);
    second.write(Buffer.from("<2.>"), true);
    assert.equal((await answered(client, 1)).output, "Status: 200 OK\r\n\r\n<1><1.>");
    assert.equal((await answered(client, 2)).output, "Status: 200 OK\r\n\r\n<2><2.>");
  });

  test("a thousand at once complete", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const client = await served.connect();
    for (let id = 1; id <= 1000; id += 1)
      client.send(request(id, { variables: { REQUEST_URI: `/${id}` }, body: `<${id}>` }));
    await eventually(() => exchanges.length === 1000);
    for (const exchange of exchanges.reverse()) answer(exchange, `${exchange.request.target} ${bodyOf(exchange)}`);
    await eventually(() => client.received.split("Status: 200").length === 1001);
    const { answers } = answersOf(client);
    for (let id = 1; id <= 1000; id += 1) {
      const { output, ended } = answers.get(id) ?? {};
      assert.ok(output?.endsWith(`\r\n\r\n/${id} <${id}>`), output);
      assert.deepEqual(ended, [0, 0]);
    }
  });

  test("more than the bound are refused as overload, the others go on", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const client = await served.connect();
    for (let id = 1; id <= requestsMost + 1; id += 1) client.send(request(id));
    assert.deepEqual((await answered(client, requestsMost + 1)).ended, [0, 2]);
    await eventually(() => exchanges.length === requestsMost);
    exchanges.forEach(hello);
    await answered(client, requestsMost);
    client.send(request(requestsMost + 1));
    await eventually(() => exchanges.length === requestsMost + 1);
  });

  test("one without FCGI_KEEP_CONN closes the connection when all are answered", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { keep: false }), request(2));
    await eventually(() => exchanges.length === 2);
    exchanges.forEach(hello);
    await client.untilEnd();
    assert.deepEqual((await answered(client, 1)).ended, [0, 0]);
    assert.deepEqual((await answered(client, 2)).ended, [0, 0]);
  });

  test("one that is malformed leaves the others alone", async (context) => {
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(begin(1), octetsOf("PARAMS 1 A=b\n"), request(2), octetsOf("PARAMS 1\nSTDIN 1\n"));
    assert.match((await answered(client, 1)).output, /^Status: 400 Bad Request\r\n/);
    assert.match((await answered(client, 2)).output, /hello$/);
  });
});

describe("an abort", () => {
  test("ends a request that is being answered, and tells its handler", async (context) => {
    const exchanges: Exchange[] = [];
    let gone = 0;
    const handler = (exchange: Exchange) => {
      exchange.onGone = () => {
        gone += 1;
      };
      exchanges.push(exchange);
    };
    const served = await serve(context, handler, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1), request(2));
    await eventually(() => exchanges.length === 2);
    client.send(encodeAbort(1));
    assert.deepEqual((await answered(client, 1)).ended, [0, 0]);
    assert.equal(gone, 1);
    assert.equal(exchanges[0]?.ended, true);
    assert.equal(exchanges[1]?.ended, false);
    exchanges.forEach(hello);
    assert.match((await answered(client, 2)).output, /hello$/);
    assert.equal((await answered(client, 1)).output, "");
  });

  test("while the body arrives leaves nothing of it", async (context) => {
    const served = await serve(context, hello, { bodyMemory: 10 }, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 100), input(1, "x".repeat(50), false));
    await eventually(() => openFilesIn(served.tempDir).length === 1);
    client.send(encodeAbort(1));
    await answered(client, 1);
    await eventually(() => openFilesIn(served.tempDir).length === 0);
    client.send(input(1, "x".repeat(50), true), request(1));
    await client.until("hello");
  });

  test("before the parameters are whole ends the request", async (context) => {
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(begin(1), octetsOf("ABORT_REQUEST 1\n"));
    assert.deepEqual((await answered(client, 1)).ended, [0, 0]);
    client.send(begin(2, 0), octetsOf("ABORT_REQUEST 2\n"));
    assert.deepEqual((await answered(client, 2)).ended, [0, 0]);
    await client.untilEnd();
  });

  test("is also the end of the connection, by either side's network", async (context) => {
    for (const how of ["end", "destroy", "resetAndDestroy"] as const) {
      let gone = 0;
      let open = 0;
      const handler = (exchange: Exchange) => {
        open += 1;
        exchange.onGone = () => {
          gone += 1;
        };
      };
      const served = await serve(context, handler, {}, false, "fastcgi");
      const client = await served.connect();
      client.send(request(1), request(2), announced(3, 10));
      await eventually(() => open === 2);
      client.socket[how]();
      await eventually(() => gone === 2 && served.ingress.connections === 0);
    }
  });
});

describe("a body", () => {
  test("larger than memory goes to a file, which is gone afterwards", async (context) => {
    const sizes: number[] = [];
    const handler = (exchange: Exchange) => {
      const { body } = exchange.request;
      sizes.push(body.kind === "file" ? body.size : -1);
      hello(exchange);
    };
    const served = await serve(context, handler, { bodyMemory: 1000 }, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { body: "x".repeat(300_000) }));
    await answered(client, 1);
    assert.deepEqual(sizes, [300_000]);
    await eventually(() => openFilesIn(served.tempDir).length === 0);
  });

  test("without CONTENT_LENGTH is as long as STDIN", async (context) => {
    const seen: (string | undefined)[] = [];
    const handler = (exchange: Exchange) => {
      seen.push(bodyOf(exchange), variablesOf(exchange).get("CONTENT_LENGTH"));
      hello(exchange);
    };
    const served = await serve(context, handler, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { variables: { CONTENT_LENGTH: "" }, body: "hello" }));
    await answered(client, 1);
    assert.deepEqual(seen, ["hello", "5"]);
  });

  for (const [what, length, body] of [
    ["shorter", "6", "hello"],
    ["longer", "4", "hello"],
    ["missing", "4", undefined],
  ] as const) {
    test(`that is ${what} than CONTENT_LENGTH says is refused, and reaches no handler`, async (context) => {
      let handled = 0;
      const handler = (exchange: Exchange) => {
        handled += 1;
        hello(exchange);
      };
      const served = await serve(context, handler, {}, false, "fastcgi");
      const client = await served.connect();
      client.send(request(1, { variables: { CONTENT_LENGTH: length }, ...(body === undefined ? {} : { body }) }));
      assert.match((await answered(client, 1)).output, /^Status: 400 Bad Request\r\n/);
      assert.equal(handled, 0);
      client.send(request(1));
      await client.until("hello");
    });
  }

  test("beyond the limit is refused before it is sent, and what is sent of it ignored", async (context) => {
    const served = await serve(context, hello, { maxBody: 10 }, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 11));
    assert.match((await answered(client, 1)).output, /^Status: 413 /);
    client.send(input(1, "hello hello", true), request(1));
    await client.until("\r\n\r\nhello");
  });

  test("beyond the limit that says nothing of its length is refused as it grows", async (context) => {
    const served = await serve(context, hello, { maxBody: 10 }, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { variables: { CONTENT_LENGTH: "" }, body: "hello hello" }));
    assert.match((await answered(client, 1)).output, /^Status: 413 /);
  });

  test("refused early on a connection that is not kept can be sent to its end", async (context) => {
    const served = await serve(context, hello, { maxBody: 10 }, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 1_000_000, false));
    await answered(client, 1);
    for (let piece = 0; piece < 100; piece += 1) client.send(input(1, "x".repeat(10_000), false));
    await settle();
    assert.equal(client.closed, "");
    client.socket.end();
    await eventually(() => client.closed === "closed");
  });
});

describe("limits", () => {
  test("parameters beyond max-head are answered 431", async (context) => {
    const served = await serve(context, hello, { maxHead: 1000 }, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { variables: { HTTP_X: "x".repeat(1000) } }), request(2));
    assert.match((await answered(client, 1)).output, /^Status: 431 /);
    assert.match((await answered(client, 2)).output, /hello$/);
  });

  test("a path outside the mount is answered 404 before the body", async (context) => {
    const served = await serve(context, hello, { mount: "/m" }, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 11));
    assert.match((await answered(client, 1)).output, /^Status: 404 /);
  });
});

describe("a response that is cut", () => {
  const cut = (head: Readonly<Record<string, string>>) => (exchange: Exchange) => {
    exchange.respond(headOf(200, head), Buffer.from("hel"), false);
    exchange.cut();
  };

  test("and had a length closes the connection without END_REQUEST", async (context) => {
    const served = await serve(context, cut({ "Content-Length": "5" }), {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1));
    await client.untilEnd();
    const { answers, others } = answersOf(client);
    assert.deepEqual(answers.get(1), {
      output: "Status: 200 OK\r\nContent-Length: 5\r\n\r\nhel",
      outputEnded: false,
      ended: undefined,
    });
    assert.equal(others.length, 0);
  });

  test("and had none is followed by what is no record", async (context) => {
    const served = await serve(context, cut({}), {}, true, "fastcgi");
    const client = await served.connect();
    client.send(request(1, { keep: false }));
    await client.untilEnd();
    const { answers, others } = answersOf(client);
    assert.equal(answers.get(1)?.output, "Status: 200 OK\r\n\r\nhel");
    assert.equal(answers.get(1)?.ended, undefined);
    assert.deepEqual(others, ["version 0"]);
  });

  test("beside others is ended with a status other than complete", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1), request(2));
    await eventually(() => exchanges.length === 2);
    const [first, second] = exchanges as [Exchange, Exchange];
    cut({})(first);
    assert.deepEqual((await answered(client, 1)).ended, [1, 2]);
    hello(second);
    assert.match((await answered(client, 2)).output, /hello$/);
  });

  test("by its handler ending it before its Content-Length", async (context) => {
    const lines: LogLine[] = [];
    const listener = (line: unknown) => lines.push(line as LogLine);
    logLine.subscribe(listener);
    context.after(() => logLine.unsubscribe(listener));
    const served = await serve(
      context,
      (exchange) => answer(exchange, "hel", { "Content-Length": "5" }),
      {},
      false,
      "fastcgi",
    );
    const client = await served.connect();
    client.send(request(1));
    await client.untilEnd();
    assert.equal(answersOf(client).answers.get(1)?.ended, undefined);
    assert.match(lines[0]?.message ?? "", /ended after 3 octets, before its Content-Length/);
  });
});

describe("what is no FastCGI", () => {
  for (const [what, octets] of [
    ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: a\r\n\r\n")],
    ["a second beginning", octetsOf("BEGIN_REQUEST 1 role=1\nBEGIN_REQUEST 1 role=1\n")],
    ["parameters that do not add up", octetsOf('BEGIN_REQUEST 1 role=1\nPARAMS 1 "\\x05"\nPARAMS 1\n')],
  ] as const) {
    test(`${what} closes that connection with one line, and no other`, async (context) => {
      const lines: LogLine[] = [];
      const listener = (line: unknown) => lines.push(line as LogLine);
      logLine.subscribe(listener);
      context.after(() => logLine.unsubscribe(listener));
      const exchanges: Exchange[] = [];
      const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
      const good = await served.connect();
      good.send(request(1));
      await eventually(() => exchanges.length === 1);
      const bad = await served.connect();
      bad.send(octets);
      await bad.untilEnd();
      assert.equal(lines.length, 1);
      assert.match(lines[0]?.message ?? "", /^A FastCGI connection from 127\.0\.0\.1 was closed: /);
      exchanges.forEach(hello);
      assert.match((await answered(good, 1)).output, /hello$/);
    });
  }
});

describe("back-pressure", () => {
  test("a handler learns when octets have left, and not before the web server takes them", async (context) => {
    let flushed = 0;
    const exchanges: Exchange[] = [];
    const handler = (exchange: Exchange) => {
      exchange.onFlushed = (octets) => {
        flushed += octets;
      };
      exchanges.push(exchange);
    };
    const served = await serve(context, handler, {}, false, "fastcgi");
    const client = await served.connect();
    client.socket.pause();
    client.send(request(1));
    await eventually(() => exchanges.length === 1);
    const piece = Buffer.alloc(8 * 1024 * 1024, "x");
    exchanges[0]?.respond(headOf(200), piece, false);
    exchanges[0]?.write(piece, false);
    await settle();
    assert.equal(flushed, 0);
    client.socket.resume();
    await eventually(() => flushed === 2 * piece.length);
    exchanges[0]?.write(Buffer.alloc(0), true);
    const { output } = await answered(client, 1, 2 * piece.length);
    assert.equal(output.length, "Status: 200 OK\r\n\r\n".length + 2 * piece.length);
  });

  test("a web server that does not take its responses is not read from", async (context) => {
    let handled = 0;
    const page = "x".repeat(4 * 1024 * 1024);
    const handler = (exchange: Exchange) => {
      handled += 1;
      answer(exchange, page);
    };
    const served = await serve(context, handler, {}, false, "fastcgi");
    const client = await served.connect();
    client.socket.pause();
    for (let id = 1; id <= 3; id += 1) client.send(request(id));
    await eventually(() => handled >= 1);
    for (let id = 4; id <= 20; id += 1) client.send(request(id));
    await settle();
    assert.ok(handled < 20, `${handled} were handled`);
    client.socket.resume();
    await answered(client, 20, 20 * page.length);
    assert.equal(handled, 20);
  });
});

describe("deadlines", () => {
  test("an idle connection is closed after the keep-alive time", async (context) => {
    const served = await serve(context, hello, { keepAlive: 75 }, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1));
    await answered(client, 1);
    await settle();
    served.deadlines.advance(ticks(74));
    await settle();
    assert.equal(client.ended, false);
    served.deadlines.advance(ticks(2));
    await client.untilEnd();
  });

  test("a request whose parameters stop coming closes its connection", async (context) => {
    const served = await serve(context, hello, { headTimeout: 30 }, false, "fastcgi");
    const client = await served.connect();
    client.send(begin(1));
    await eventually(() => served.ingress.connections === 1);
    await settle();
    served.deadlines.advance(ticks(31));
    await client.untilEnd();
  });

  test("a body that stops coming is answered 408", async (context) => {
    const served = await serve(context, hello, {}, false, "fastcgi");
    const client = await served.connect();
    client.send(announced(1, 10), input(1, "x", false));
    await settle();
    served.deadlines.advance(ticks(30));
    assert.match((await answered(client, 1)).output, /^Status: 408 /);
    client.send(request(1));
    await client.until("hello");
  });

  test("a handler has all the time it needs", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const client = await served.connect();
    client.send(request(1));
    await eventually(() => exchanges.length === 1);
    await settle();
    served.deadlines.advance(ticks(3600));
    await settle();
    exchanges.forEach(hello);
    await answered(client, 1);
  });
});

describe("a drain", () => {
  test("closes idle connections at once, others after their responses", async (context) => {
    const exchanges: Exchange[] = [];
    const served = await serve(context, (exchange) => exchanges.push(exchange), {}, false, "fastcgi");
    const idle = await served.connect();
    const busy = await served.connect();
    busy.send(request(1), request(2));
    await eventually(() => exchanges.length === 2 && served.ingress.connections === 2);
    served.deadlines.advance(ticks(1));
    const drained = served.ingress.drain();
    await idle.untilEnd();
    busy.send(request(3));
    assert.deepEqual((await answered(busy, 3)).ended, [0, 2]);
    exchanges.forEach(hello);
    await busy.untilEnd();
    assert.match((await answered(busy, 1)).output, /hello$/);
    assert.match((await answered(busy, 2)).output, /hello$/);
    await drained;
  });
});

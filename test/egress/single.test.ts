// SCGI and uwsgi to upstreams: against servers that say what a test tells them, and against the doors of ingress.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import type { Body } from "../../src/exchange.js";
import { BodyReceiver } from "../../src/ingress/body.js";
import { RequestDecoder as ScgiDecoder } from "../../src/protocol/scgi/request-decoder.js";
import { RequestDecoder as UwsgiDecoder } from "../../src/protocol/uwsgi/request-decoder.js";
import { answer, headOf, serve, storeOf, variablesOf } from "../ingress/support.js";
import { decodeRequest } from "../protocol/cgi/requests.js";
import { defaultLimits } from "../protocol/http1/vectors.js";
import { type Accepted, eventually, fakeServer, groupOf, logged, serverAt, settle } from "./support.js";

const protocols = [
  { protocol: "scgi", Decoder: ScgiDecoder, ok: "Status: 200 OK\r\n", bad: "HTTP/1.1 200 OK\r\n\r\n" },
  { protocol: "uwsgi", Decoder: UwsgiDecoder, ok: "HTTP/1.1 200 OK\r\n", bad: "Status: 200 OK\r\n\r\n" },
] as const;

for (const { protocol, Decoder, ok, bad } of protocols) {
  const at = (port: number): UpstreamServer => serverAt(port, { url: `${protocol}://127.0.0.1:${port}`, protocol });
  const events = (connection: Accepted) =>
    decodeRequest([Buffer.from(connection.received, "latin1")], Decoder, defaultLimits);
  /** A server that answers each whole request with these octets, and closes. */
  const answering = (octets: string) => (connection: Accepted) => {
    connection.socket.on("data", () => {
      if (events(connection).at(-1) === "end") connection.socket.end(Buffer.from(octets, "latin1"));
    });
  };

  describe(`a request over ${protocol}`, () => {
    test("is its variables, and the connection is for it alone", async (context) => {
      const server = await fakeServer(context, answering(`${ok}Content-Length: 2\r\n\r\nok`));
      const { send } = groupOf(context, [at(server.port)]);
      assert.equal(await send({ variables: { HTTP_COOKIE: "a=b" } }).end(), "200 whole ok");
      assert.equal(await send().end(), "200 whole ok");
      assert.equal(server.accepted.length, 2);
      const lines = events(server.accepted[0] ?? assert.fail());
      for (const line of ["  REQUEST_METHOD: GET", "  REQUEST_URI: /hello", "  HTTP_COOKIE: a=b"]) {
        assert.ok(lines.includes(line), `${line} in ${lines.join("\n")}`);
      }
      assert.ok(!lines.some((line) => line.startsWith("  wsgi.")));
    });

    test("finds nothing of the one before in what reads its response", async (context) => {
      const answers = [
        `${ok}Content-Length: 2\r\n\r\nok and more than it said`,
        `${ok}Content-Length: 5\r\n\r\ncut`,
        `${ok}\r\nuntil it ends`,
        bad,
        `${ok}Content-Length: 2\r\n\r\nok`,
        `${ok}Content-Length: 2\r\n\r\nok`,
      ];
      const server = await fakeServer(context, (connection) =>
        answering(answers[server.accepted.length - 1] ?? "")(connection),
      );
      const { send } = groupOf(context, [at(server.port)], { maxFails: 0 });
      const outcomes: string[] = [];
      for (const _ of answers) outcomes.push(await send().end());
      const [more, cut, ...rest] = outcomes;
      assert.match(more ?? "", /^200 \S+ ok/);
      assert.match(cut ?? "", /^200 cut cut$/);
      assert.deepEqual(rest, ["200 whole until it ends", "refused 502", "200 whole ok", "200 whole ok"]);
    });

    test("brings a body from memory of any size", async (context) => {
      const server = await fakeServer(context, answering(`${ok}\r\nok`));
      const { send } = groupOf(context, [at(server.port)]);
      for (const size of [5, 500_000]) {
        const body = { kind: "memory" as const, bytes: Buffer.alloc(size, "abcdefg") };
        const variables = { CONTENT_LENGTH: String(size) };
        assert.equal(await send({ method: "POST", variables, body }).end(), "200 whole ok");
        const lines = events(server.accepted.at(-1) ?? assert.fail());
        assert.equal(lines[0], `head length=${size}`);
        assert.equal(lines.at(-2), `body "${body.bytes.toString()}"`);
      }
    });

    test("whose body the server does not take waits for it", async (context) => {
      const server = await fakeServer(context, (connection) => connection.socket.pause());
      const { send } = groupOf(context, [at(server.port)]);
      const bytes = Buffer.alloc(20_000_000);
      const exchange = send({
        method: "POST",
        variables: { CONTENT_LENGTH: String(bytes.length) },
        body: { kind: "memory", bytes },
      });
      const connection = await server.connection();
      await settle();
      assert.equal(exchange.ended, false);
      let octets = 0;
      connection.socket.removeAllListeners("data");
      connection.socket.on("data", (chunk) => {
        octets += chunk.length;
        if (octets > bytes.length) connection.socket.end(`${ok}\r\nok`);
      });
      connection.socket.resume();
      assert.equal(await exchange.end(), "200 whole ok");
    });
  });

  describe(`a response over ${protocol}`, () => {
    const told = async (context: Parameters<typeof fakeServer>[0], octets: string, method = "GET") => {
      const server = await fakeServer(context, answering(octets));
      const exchange = groupOf(context, [at(server.port)]).send({ method });
      await exchange.end();
      return exchange;
    };

    test("without a length ends with its connection", async (context) => {
      assert.equal((await told(context, `${ok}\r\nhello`)).outcome, "200 whole hello");
    });

    test("has its fields passed on, but those about its connection", async (context) => {
      const exchange = await told(context, `${ok}Connection: close\r\nContent-Length: 2\r\nX-A: b\r\n\r\nok`);
      assert.equal(exchange.fields, "Content-Length: 2\r\nX-A: b\r\n");
      assert.equal(exchange.outcome, "200 whole ok");
    });

    test("to HEAD has no body", async (context) => {
      const exchange = await told(context, `${ok}Content-Length: 2\r\n\r\n`, "HEAD");
      assert.equal(exchange.outcome, "200 whole ");
    });

    test("that ends before its length is cut", async (context) => {
      assert.equal((await told(context, `${ok}Content-Length: 5\r\n\r\nhell`)).outcome, "200 cut hell");
    });

    test("that is reset is cut, though it has no length", async (context) => {
      const server = await fakeServer(context, (connection) => connection.send(`${ok}\r\nhello`));
      const exchange = groupOf(context, [at(server.port)]).send();
      const connection = await server.connection();
      await eventually(() => exchange.body === "hello");
      connection.socket.resetAndDestroy();
      assert.equal(await exchange.end(), "200 cut hello");
    });

    test("that is none is a 502, with a line in the log", async (context) => {
      const lines = logged(context);
      assert.equal((await told(context, bad)).outcome, "refused 502");
      assert.equal((await told(context, "")).outcome, "refused 502");
      assert.ok(lines.some((line) => line.includes(protocol)));
    });

    test("before the request was sent whole is passed on", async (context) => {
      const server = await fakeServer(context, (connection) => {
        connection.socket.pause();
        connection.send(`${ok}Content-Length: 2\r\n\r\nno`);
      });
      const exchange = groupOf(context, [at(server.port)]).send({
        method: "POST",
        variables: { CONTENT_LENGTH: "20000000" },
        body: { kind: "memory", bytes: Buffer.alloc(20_000_000) },
      });
      assert.equal(await exchange.end(), "200 whole no");
    });
  });

  describe(`${protocol} from an upstream group to a door`, () => {
    test("a request, its body and its response arrive as they were", async (context) => {
      const served = await serve(
        context,
        (exchange) => {
          const { body, method } = exchange.request;
          const octets = body.kind === "memory" ? Buffer.from(body.bytes).toString("latin1") : "";
          const text = `${method} ${variablesOf(exchange).get("PATH_INFO")} ${octets}`;
          exchange.respond(headOf(200), Buffer.from(text, "latin1"), true);
        },
        {},
        false,
        protocol,
      );
      const probe = await served.connect();
      const { send } = groupOf(context, [at(probe.socket.remotePort ?? 0)]);
      const variables = { PATH_INFO: "/\xe9", REQUEST_URI: "/%E9", CONTENT_LENGTH: "3" };
      const body = { kind: "memory" as const, bytes: Buffer.from("\xe9\0a", "latin1") };
      assert.equal(await send({ method: "PUT", variables, body }).end(), "200 whole PUT /\xe9 \xe9\0a");
    });

    test("a body that is in a file goes from file to file", async (context) => {
      const served = await serve(
        context,
        (exchange) =>
          answer(exchange, exchange.request.body.kind === "file" ? `${exchange.request.body.size}` : "none"),
        {},
        false,
        protocol,
      );
      const receiver = new BodyReceiver(
        { bodyFlows() {}, bodyWhole: (body) => taken.push(body), bodyFailed: (error) => assert.fail(error) },
        storeOf(10, served.tempDir),
      );
      const taken: Body[] = [];
      receiver.add(Buffer.alloc(1_000_000, "abcdefg"));
      const whole = receiver.end();
      await eventually(() => whole !== undefined || taken.length === 1);
      const body = whole ?? taken[0] ?? assert.fail();
      const probe = await served.connect();
      const { send } = groupOf(context, [at(probe.socket.remotePort ?? 0)]);
      const exchange = send({ method: "POST", variables: { CONTENT_LENGTH: "1000000" }, body });
      assert.equal(await exchange.end(), "200 whole 1000000");
      if (body.kind === "file") body.release();
    });
  });
}

describe("variables larger than a uwsgi packet", () => {
  test("are refused, and nothing is sent", async (context) => {
    const server = await fakeServer(context);
    const { send } = groupOf(context, [serverAt(server.port, { protocol: "uwsgi" })]);
    assert.equal(await send({ variables: { HTTP_COOKIE: "a".repeat(65_500) } }).end(), "refused 431");
    await settle();
    assert.equal(server.accepted.length, 0);
  });
});

// What is promised of requests that share a connection of HTTP/2: what happens to one, or is done to it, is nothing to the others.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect, constants } from "node:http2";
import { createConnection } from "node:net";
import { describe, test } from "node:test";
import { connect as connectTls } from "node:tls";
import { answerOf, ask } from "../ingress/http2-client.js";
import { errors, FrameClient, frame, get, headers, preface, settings, uint32 } from "../support/http2-frames.js";
import { http2Lines } from "../support/http2-load.js";
import { type Ask, Load } from "../support/load.js";
import { type PromiseOptions, promised } from "../support/promises.js";
import { httpsListener } from "./https.js";
import { type Server, until } from "./server.js";

/** A server that speaks it in clear text. */
function served(options: PromiseOptions, act: (server: Server) => Promise<void>): Promise<void> {
  return promised({ ...options, args: ["--http2", "all", ...(options.args ?? [])] }, act);
}

async function withSession(server: Server, act: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
  const session = connect(server.vivarium.url);
  session.on("error", () => {});
  try {
    await act(session);
  } finally {
    session.destroy();
  }
}

function loadOn(server: Server, clients: number, share: number, query = "?sleep=1"): Load {
  const { port } = server.vivarium;
  const right = (client: number, number: number): Ask => ({
    path: `/${client}-${number}${query}`,
    right: `${client}-${number}`,
  });
  return new Load({ port, clients, ask: right, line: http2Lines({ port, share, plain: true }) });
}

/** While others, on connections of their own, are served without a fault. */
async function amidst(server: Server, act: () => Promise<void>): Promise<void> {
  const load = loadOn(server, 8, 4);
  await until(() => load.counts.right > 20, "others are served");
  await act();
  const { right } = load.counts;
  await until(() => load.counts.right > right + 20, "others are served still");
  await load.stop();
  assert.deepEqual(load.wrong, {});
}

async function frames(server: Server): Promise<FrameClient> {
  const socket = createConnection({ port: server.vivarium.port, host: "127.0.0.1" });
  await once(socket, "connect");
  return new FrameClient(socket);
}

const died =
  /^error pool: Worker \d \(pid \d+\) died while it executed POST \/post\?\S+ \(request id \w+\); it is answered 502\.$/;
const replaced = /^error supervisor: Worker \d \(pid \d+\) was killed by SIGKILL; another takes its place/;

describe("requests that share a connection of HTTP/2", () => {
  test("do not notice when the worker of one of them dies; that one is answered 502", () =>
    served({ args: ["--workers", "2", "--threads", "1"], expected: [died, replaced] }, (server) =>
      withSession(server, async (session) => {
        const waiting = ask(session, "/waits?note&wait=go");
        await server.recorded("waits");
        const post = ask(session, "/post?note&wait=never", { ":method": "POST" }, "!");
        await server.recorded("post");
        const { workers } = await server.status();
        const victim = workers.find(({ executing }) => executing.some(({ target }) => target.startsWith("/post")));
        process.kill(victim?.pid ?? 0, "SIGKILL");
        const failed = await post;
        assert.equal(failed.status, 502);
        assert.match(failed.body, /\n\nRequest id: [0-9a-f]{16}\n$/);
        server.release("go");
        assert.deepEqual({ ...(await waiting), headers: {} }.body, "waits");
        assert.equal((await ask(session, "/next")).body, "next");
        await until(
          async () => (await server.status()).workers.every(({ state }) => state === "ready"),
          "all are ready",
        );
      }),
    ));

  test("are finished when the server stops, which its clients are told at once", () =>
    served({ args: ["--workers", "1", "--threads", "4"] }, async (server) => {
      const client = await frames(server);
      const named = (path: string): readonly (readonly [string, string])[] =>
        get.map(([name, value]) => [name, name === ":path" ? path : value] as const);
      client.begin(headers(1, named("/one?note&wait=go")), headers(3, named("/two?note&stream=go")));
      await server.recorded("one");
      await until(() => client.body(3).toString() === "two", "the stream has begun");
      server.vivarium.process.kill("SIGTERM");
      await until(() => client.goaway === errors.none, "GOAWAY is there");
      assert.equal(client.of("goaway").at(-1)?.payload.readUInt32BE(0), 3);
      assert.deepEqual([client.whole(1), client.whole(3), client.closed], [false, false, false]);
      server.release("go");
      await until(() => client.whole(1) && client.whole(3) && client.closed, "both are whole");
      assert.equal(client.body(1).toString(), "one");
      client.socket.destroy();
      assert.deepEqual(await server.vivarium.process.exited, { code: 0, signal: null });
    }));

  test("are served while one of them is not read", () =>
    served({ args: ["--workers", "1", "--threads", "2", "--response-memory", "65536"] }, (server) =>
      withSession(server, async (session) => {
        const slow = session.request({ ":path": "/slow?long=4096" });
        const response = answerOf(slow);
        slow.pause();
        await once(slow, "response");
        await amidst(server, async () => {
          for (let number = 0; number < 50; number += 1) {
            assert.equal((await ask(session, `/${number}?long=16`)).body.length, String(number).length + 16 * 1024);
          }
        });
        // Its worker is done with it, although nobody has read it.
        await until(
          async () => (await server.status()).workers.every(({ busy }) => busy === 0),
          "no worker is occupied",
        );
        slow.resume();
        assert.equal((await response).body.length, "slow".length + 4 * 2 ** 20);
      }),
    ));

  test("are as many as clients like: those beyond 100 at once wait with the client, and none is refused", () =>
    served({ args: ["--workers", "2", "--threads", "4"] }, async (server) => {
      const load = loadOn(server, 300, 300);
      await until(() => load.counts.right > 3000, "many are answered");
      await load.stop();
      assert.deepEqual(load.wrong, {});
    }));

  test("are answered 503 one by one where too many wait, and the connection stays", () =>
    served(
      {
        args: ["--workers", "1", "--threads", "1", "--queue", "2"],
        expected: [/^warning pool: The (server is overloaded|overload of the application is over): /],
      },
      (server) =>
        withSession(server, async (session) => {
          const first = ask(session, "/first?note&wait=go");
          await server.recorded("first");
          const more = ["/a", "/b", "/c", "/d"].map((path) => ask(session, path));
          const refused = await Promise.race(more);
          assert.equal(refused.status, 503);
          assert.match(String(refused.headers["retry-after"]), /^\d+$/);
          server.release("go");
          const statuses = (await Promise.all([first, ...more])).map(({ status }) => status);
          assert.deepEqual(statuses.sort(), [200, 200, 200, 503, 503]);
          assert.equal((await ask(session, "/after")).body, "after");
        }),
    ));
});

describe("a client of HTTP/2 that does harm", () => {
  test("by making requests and taking them back loses its connection, and executes nothing beyond its bound", () =>
    served(
      {
        args: ["--workers", "2", "--threads", "2"],
        expected: [/^info ingress: A client \(127\.0\.0\.1\) floods its HTTP\/2 connection: it is closed\.$/],
      },
      (server) =>
        amidst(server, async () => {
          const client = await frames(server);
          client.begin();
          for (let stream = 1; stream < 4000; stream += 2) {
            client.send(headers(stream, get), frame("resetStream", 0, stream, uint32(errors.cancel)));
          }
          await until(() => client.closed, "it is closed");
          client.socket.destroy();
          await server.logged(/floods its HTTP\/2 connection/);
          await until(async () => (await server.pool()).queue === 0, "nothing of it waits");
        }),
    ));

  test("by keeping its window closed has its stream reset, and nobody waits for it", () =>
    served(
      {
        args: ["--workers", "1", "--threads", "2", "--stall-timeout", "1", "--min-rate", "32768"],
        expected: [
          /^info ingress: A client \(127\.0\.0\.1\) took less than 32768 octets a second of the response to \/slow\?long=1024 for 1 s \(--min-rate, --stall-timeout\): /,
        ],
      },
      (server) =>
        amidst(server, () =>
          withSession(server, async (session) => {
            const slow = session.request({ ":path": "/slow?long=1024" });
            const response = answerOf(slow);
            slow.pause();
            await until(
              () => slow.closed || slow.destroyed || slow.rstCode !== constants.NGHTTP2_NO_ERROR,
              "it is reset",
            );
            assert.equal((await response).code, constants.NGHTTP2_ENHANCE_YOUR_CALM);
            assert.equal((await ask(session, "/next")).body, "next");
          }),
        ),
    ));
});

describe("a client of HTTP/2 that stalls", () => {
  const listener = httpsListener();

  test("before its preface, in it or behind it, is let go; others are served", async () => {
    await promised(
      { args: ["--workers", "1", ...listener().args, "--head-timeout", "1", "--keep-alive", "1"] },
      async (server) => {
        const { port } = server.vivarium;
        const whole = Buffer.from(preface, "latin1");
        const beginnings = [Buffer.alloc(0), whole.subarray(0, 10), whole, Buffer.concat([whole, settings()])];
        const clients: FrameClient[] = [];
        for (let each = 0; each < 10 * beginnings.length; each += 1) {
          const to = { port, host: "127.0.0.1", ALPNProtocols: ["h2"], rejectUnauthorized: false };
          const client = new FrameClient(connectTls(to));
          client.send(beginnings[each % beginnings.length] ?? Buffer.alloc(0));
          clients.push(client);
        }
        const load = new Load({
          port,
          clients: 8,
          ask: (client, number) => ({ path: `/${client}-${number}`, right: `${client}-${number}` }),
          line: http2Lines({ port, share: 4 }),
        });
        await until(() => clients.every(({ closed }) => closed), "all are let go");
        await load.stop();
        assert.deepEqual(load.wrong, {});
        for (const { socket } of clients) socket.destroy();
      },
    );
  });
});

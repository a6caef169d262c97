// The promises for WebSockets of an ASGI application: how they end when the server, a worker or the code does, while others are served.
import assert from "node:assert/strict";
import { connect } from "node:http2";
import { join } from "node:path";
import { describe, test } from "node:test";
import { Load } from "../support/load.js";
import { type PromiseOptions, promised } from "../support/promises.js";
import { root } from "../support/tools.js";
import { vivarium } from "../support/vivarium.js";
import { WebSocketClient } from "../support/websocket-client.js";
import { openSocket, type StreamClient } from "../support/websocket-stream.js";
import { type Server, until } from "./server.js";

const target = `${join(root, "test/support/promises_asgi.py")}:app`;

const worker = String.raw`Worker \d+ \(pid \d+\)`;
const lost = new RegExp(
  String.raw`^error pool: ${worker} died and had (?:1 WebSocket, which is|\d+ WebSockets, which are) closed with 1011\.$`,
);
const late = new RegExp(`^error pool: ${worker} has been executing GET /late-\\d`);
const exited = new RegExp(`^error supervisor: ${worker} exited with status 7; another takes its place`);
const gone = new RegExp(String.raw`^info supervisor: ${worker}, whose place another has, is gone\.$`);
const reloads = /^info supervisor: (Reloading: generation|Generation) \d+ /;
const told = /^info worker \d+: told of \d+$/;

function asgi(options: PromiseOptions, act: (server: Server) => Promise<void>): Promise<void> {
  return promised({ target, ...options }, act);
}

/** So many, each with the process id of its worker. */
async function opened(server: Server, count: number): Promise<readonly { client: WebSocketClient; pid: number }[]> {
  return await Promise.all(
    Array.from({ length: count }, async (_, each) => {
      const client = await WebSocketClient.open(server.vivarium.port, `/socket-${each}`);
      return { client, pid: Number((await client.next()).payload.toString()) };
    }),
  );
}

/** It answers still. */
async function echoes(client: Pick<WebSocketClient, "text" | "nextText">, text: string): Promise<void> {
  client.text(text);
  assert.equal(await client.nextText(), `text ${text}`);
}

/** While others are served without a fault. */
async function amidst(server: Server, act: () => Promise<void>): Promise<void> {
  const ask = (client: number, number: number): { path: string; right: string } => ({
    path: `/${client}-${number}?sleep=2`,
    right: `${client}-${number}`,
  });
  const load = new Load({ port: server.vivarium.port, clients: 4, ask });
  await until(() => load.counts.right > 20, "others are served");
  await act();
  const right = load.counts.right;
  await until(() => load.counts.right > right + 20, "others are served still");
  await load.stop();
  assert.deepEqual(load.wrong, {});
}

describe("WebSockets of an ASGI application", () => {
  test("do not count against --concurrency once they are accepted, and are counted by vivarium status", () =>
    asgi({ args: ["--workers", "1", "--concurrency", "2"], expected: [told] }, async (server) => {
      const sockets = await opened(server, 20);
      await amidst(server, async () => {
        for (const [index, { client }] of sockets.entries()) await echoes(client, `hello ${index}`);
      });
      assert.equal((await server.front()).webSockets, 20);
      const { workers } = await server.status();
      assert.deepEqual(
        workers.map(({ busy, executing }) => ({ busy, executing })),
        [{ busy: 0, executing: [] }],
      );
      const { stdout } = await vivarium(["status", "--control", server.vivarium.control]);
      assert.match(stdout, /connections open \(20 WebSockets\), /);
      for (const { client } of sockets) client.destroy();
      await until(async () => (await server.front()).webSockets === 0, "none is open");
    }));

  test("last longer than a request may", () =>
    asgi({ args: ["--workers", "1", "--request-timeout", "0.3"], expected: [late, told] }, async (server) => {
      const [socket] = await opened(server, 1);
      assert.ok(socket !== undefined);
      // The worker would give it up after the first of these, the front a second later.
      for (let count = 0; count < 6; count += 1) {
        assert.equal((await server.begin(`/late-${count}?wait=never`).response()).status, 504);
      }
      await echoes(socket.client, "still here");
      socket.client.destroy();
    }));

  test("whose worker dies are told 1011; those of others, and requests, do not notice", () =>
    asgi({ args: ["--workers", "2"], expected: [lost, exited, told, /is run once more/] }, async (server) => {
      const sockets = await opened(server, 12);
      const victim = sockets[0];
      assert.ok(victim !== undefined);
      await amidst(server, async () => {
        victim.client.text("die");
        for (const { client, pid } of sockets) {
          if (pid === victim.pid) assert.equal(await client.nextText(), "close 1011 The application failed.");
          else await echoes(client, "unharmed");
        }
      });
      for (const { client } of sockets) client.destroy();
    }));

  test("go on over a reload, are told 1012 after the graceful timeout, and find the newer code when they come again", () =>
    asgi(
      {
        args: ["--workers", "1", "--probation", "0", "--graceful-timeout", "2"],
        expected: [reloads, /--graceful-timeout/, gone, told],
      },
      async (server) => {
        const [old] = await opened(server, 1);
        assert.ok(old !== undefined);
        await amidst(server, async () => {
          const { code } = await vivarium(["reload", "--control", server.vivarium.control]);
          assert.equal(code, 0);
          await echoes(old.client, "still the old code");
          assert.equal(await old.client.nextText(), "close 1012");
          await server.logged(/told of 1012/);
        });
        const [next] = await opened(server, 1);
        assert.notEqual(next?.pid, old.pid);
        old.client.destroy();
        next?.client.destroy();
      },
    ));

  test("are told 1001 at a stop, and so is the application, which is waited for", () =>
    asgi({ args: ["--workers", "2"], expected: [told] }, async (server) => {
      const sockets = await opened(server, 10);
      const stopped = server.vivarium.stop();
      for (const { client } of sockets) {
        assert.equal(await client.nextText(), "close 1001");
        client.close(1001);
        client.socket.end();
      }
      await stopped;
      assert.equal(server.vivarium.output.split("told of 1001").length - 1, sockets.length);
    }));

  test("on streams of one HTTP/2 connection end each for itself: 1011, 1012, and 1001 at a stop", () =>
    asgi(
      {
        args: ["--workers", "2", "--http2", "all", "--probation", "0", "--graceful-timeout", "2"],
        expected: [lost, exited, told, /is run once more/, reloads, /--graceful-timeout/, gone],
      },
      async (server) => {
        const session = connect(server.vivarium.url);
        session.on("error", () => {});
        const pairs: { client: StreamClient; pid: number }[] = [];
        for (let each = 0; each < 12; each += 1) {
          const { client } = await openSocket(session, `/socket-${each}`);
          pairs.push({ client, pid: Number((await client.next()).payload.toString()) });
        }
        const victim = pairs[0];
        assert.ok(victim !== undefined);
        victim.client.text("die");
        for (const { client, pid } of pairs) {
          if (pid !== victim.pid) await echoes(client, "unharmed");
          else {
            assert.equal(await client.nextText(), "close 1011 The application failed.");
            client.close(1011);
            await client.untilEnd();
            client.socket.end();
          }
        }
        const { code } = await vivarium(["reload", "--control", server.vivarium.control]);
        assert.equal(code, 0);
        for (const { client, pid } of pairs) {
          if (pid !== victim.pid) assert.equal(await client.nextText(), "close 1012");
        }
        const { client } = await openSocket(session, "/next");
        await client.next();
        const stopped = server.vivarium.stop();
        assert.equal(await client.nextText(), "close 1001");
        client.close(1001);
        client.socket.end();
        await stopped;
      },
    ));
});

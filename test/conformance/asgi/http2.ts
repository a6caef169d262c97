// The same rules where a request is a stream of HTTP/2.
import assert from "node:assert/strict";
import { once } from "node:events";
import { type ClientHttp2Session, connect, constants, type IncomingHttpHeaders } from "node:http2";
import { test } from "node:test";
import { freshKey, type Probe } from "../wsgi/probe.js";
import { remembers } from "./bodies.js";

interface Answer {
  readonly status: number | undefined;
  readonly text: string;
  readonly hints: readonly IncomingHttpHeaders[];
  readonly trailers: IncomingHttpHeaders | undefined;
}

async function ask(session: ClientHttp2Session, headers: Readonly<Record<string, string | string[]>>): Promise<Answer> {
  const stream = session.request(headers);
  const hints: IncomingHttpHeaders[] = [];
  let trailers: IncomingHttpHeaders | undefined;
  stream.on("headers", (interim: IncomingHttpHeaders) => hints.push(interim));
  stream.on("trailers", (fields: IncomingHttpHeaders) => {
    trailers = fields;
  });
  const [[head], octets] = await Promise.all([once(stream, "response"), stream.toArray()]);
  return { status: head[":status"], text: Buffer.concat(octets).toString("latin1"), hints, trailers };
}

export function http2Cases(probe: Probe): void {
  async function connected(use: (session: ClientHttp2Session) => Promise<void>): Promise<void> {
    const session = connect(`http://127.0.0.1:${probe.server.port}`);
    try {
      await use(session);
    } finally {
      session.close();
    }
  }

  test("HTTP/2: the scope is as ever, with the authority as host, cookies joined, and what its clients can have", () =>
    connected(async (session) => {
      const fields = { ":path": "/scope?a=%20", ":authority": "probe", "X-B": "1", cookie: ["a=1", "b=2"] };
      const { text } = await ask(session, fields);
      const { http_version, raw_path, query_string, scheme, headers, extensions } = JSON.parse(text);
      assert.deepEqual([http_version, raw_path, query_string, scheme], ["2", "b:/scope", "b:a=%20", "http"]);
      assert.deepEqual(headers, [
        ["b:host", "b:probe"],
        ["b:x-b", "b:1"],
        ["b:cookie", "b:a=1; b=2"],
      ]);
      assert.deepEqual(Object.keys(extensions).sort(), [
        "http.response.early_hint",
        "http.response.pathsend",
        "http.response.trailers",
      ]);
    }));

  test("HTTP/2: early hints and trailers", () =>
    connected(async (session) => {
      const hinted = await ask(session, { ":path": "/hints" });
      assert.deepEqual([hinted.text, hinted.hints[0]?.[":status"], hinted.hints.length], ["hinted", 103, 1]);
      const summed = await ask(session, { ":path": `/trailers?key=${freshKey()}` });
      assert.equal(summed.text, "summed");
      assert.deepEqual(Object.entries(summed.trailers ?? {}), [
        ["x-sum", "21"],
        ["x-more", "22"],
      ]);
    }));

  test("HTTP/2: a stream that is given up is http.disconnect, and its neighbours go on", () =>
    connected(async (session) => {
      const key = freshKey();
      const stream = session.request({ ":path": `/disconnect?key=${key}` });
      await remembers(probe, key, ["waits"]);
      stream.close(constants.NGHTTP2_CANCEL);
      await remembers(probe, key, ["waits", "http.disconnect", "http.disconnect", "OSError"]);
      assert.equal((await ask(session, { ":path": "/unread" })).text, "not read");
    }));

  test("HTTP/2: a failure in the middle of a response resets its stream alone", () =>
    connected(async (session) => {
      const stream = session.request({ ":path": "/raises-in-body?exception" });
      stream.resume();
      const [error] = await once(stream, "error");
      assert.match(String(error), /NGHTTP2_INTERNAL_ERROR/);
      assert.equal((await ask(session, { ":path": "/raises?exception" })).status, 500);
      assert.equal((await ask(session, { ":path": "/unread" })).text, "not read");
    }));
}

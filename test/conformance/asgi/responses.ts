// Responses: "Response Start - send event", "Response Body - send event".
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { values } from "../wsgi/connection.js";
import { freshKey, type Probe, request } from "../wsgi/probe.js";
import { remembers } from "./bodies.js";

export function responseCases(probe: Probe): void {
  for (const status of [200, 201, 299, 301, 404, 418, 500, 503, 599, 999]) {
    test(`response: status ${status}`, async () => {
      const response = await probe.ask(`/status?${status}`);
      assert.deepEqual([response.status, response.text, response.whole], [status, "body", true]);
    });
  }

  test("response: a known status has its reason phrase, another none", async () => {
    assert.equal((await probe.ask("/status?404")).reason, "Not Found");
    assert.equal((await probe.ask("/status?299")).reason, "");
  });

  for (const status of [204, 304]) {
    test(`response: ${status} has no body, whatever is sent, and the connection goes on`, async () => {
      const connection = probe.connection();
      connection.send(request(`/status-with-body?${status}`));
      assert.deepEqual((await connection.response()).text, "");
      connection.send(request("/unread"));
      assert.equal((await connection.response()).text, "not read");
      connection.close();
    });
  }

  test("response: HEAD has the fields and no body, and the connection goes on", async () => {
    const connection = probe.connection();
    connection.send(request("/known-length", { method: "HEAD" }));
    const head = await connection.response("HEAD");
    assert.deepEqual([head.status, values(head, "content-length"), head.text], [200, ["6"], ""]);
    connection.send(request("/unread"));
    assert.equal((await connection.response()).text, "not read");
    connection.close();
  });

  test("response: HEAD may say a length without a body", async () => {
    const head = await probe.ask("/head-length", { method: "HEAD" });
    assert.deepEqual([head.status, values(head, "content-length")], [200, ["5"]]);
  });

  test("response: headers go out as they are, in order, with what comes twice", async () => {
    const { fields } = await probe.ask("/headers");
    const own = fields.filter(([name]) => /^(x-|set-)/i.test(name));
    assert.deepEqual(own, [
      ["x-one", "1"],
      ["X-Two", "2"],
      ["set-cookie", "a=1"],
      ["set-cookie", "b=2"],
      ["x-latin", "\u00e9"],
      ["x-empty", ""],
    ]);
  });

  test("response: headers may be lists, and any iterable of them", async () => {
    const response = await probe.ask("/header-lists");
    assert.deepEqual([values(response, "x-list"), values(response, "x-tuple")], [["1"], ["2"]]);
  });

  test("response: headers and body may be left out", async () => {
    const response = await probe.ask("/no-headers");
    assert.deepEqual([response.status, response.text, response.whole], [200, "", true]);
  });

  test("response: what speaks of the connection is the server's affair", async () => {
    const response = await probe.ask("/hop-by-hop");
    assert.deepEqual([response.text, response.whole, values(response, "x-kept")], ["plain", true, ["1"]]);
    for (const name of ["transfer-encoding", "keep-alive", "connection"]) assert.deepEqual(values(response, name), []);
  });

  for (const value of ["close", "Keep-Alive,CLOSE"]) {
    test(`response: Connection: ${value} ends the connection behind it`, async () => {
      const connection = probe.connection();
      connection.send(request(`/closes?as=${value}`));
      const response = await connection.response();
      assert.deepEqual([response.text, response.whole, values(response, "connection")], ["last", true, ["close"]]);
      assert.equal(await connection.ended(), true);
      connection.close();
    });
  }

  test("response: a Date of the application's own is the only one", async () => {
    assert.deepEqual(values(await probe.ask("/own-date"), "date"), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
    assert.equal(values(await probe.ask("/unread"), "date").length, 1);
  });

  test("response: one message has its length said", async () => {
    const response = await probe.ask("/unread");
    assert.deepEqual([values(response, "content-length"), values(response, "transfer-encoding")], [["8"], []]);
  });

  test("response: several messages are chunks, an empty one is not the end", async () => {
    const response = await probe.ask("/chunks");
    assert.deepEqual([response.text, response.whole], ["one two three", true]);
    assert.deepEqual(values(response, "transfer-encoding"), ["chunked"]);
  });

  test("response: several messages of a known length are not chunked", async () => {
    const response = await probe.ask("/known-length");
    assert.deepEqual([response.text, response.whole], ["abcdef", true]);
    assert.deepEqual([values(response, "content-length"), values(response, "transfer-encoding")], [["6"], []]);
  });

  test("response: HTTP/1.0 has its end where the connection ends", async () => {
    const connection = probe.connection();
    connection.send("GET /chunks HTTP/1.0\r\n\r\n");
    const response = await connection.response();
    assert.deepEqual([response.text, values(response, "transfer-encoding")], ["one two three", []]);
    connection.close();
  });

  test("response: a large one is whole", async () => {
    const response = await probe.ask("/large");
    assert.ok(response.whole && response.body.equals(Buffer.alloc(4 * 1024 * 1024, "0123456789abcdef")));
  });

  test("response: many pieces come in order", async () => {
    const { text } = await probe.ask("/many-pieces");
    assert.equal(text, Array.from({ length: 2000 }, (_, number) => String(number).padStart(4, "0")).join(""));
  });

  test("response: a body may be any kind of octets", async () => {
    assert.equal((await probe.ask("/other-octets")).text, "array view");
  });

  test("response: what was given to send() may be changed behind it", async () => {
    const response = await probe.ask("/changed-behind");
    assert.deepEqual([response.status, response.text], [200, "first last"]);
    assert.deepEqual(values(response, "x-first"), ["1"]);
    assert.deepEqual(values(response, "x-second"), []);
  });

  test("response: several tasks may send at once, and what the call returns means nothing", async () => {
    const { text, whole } = await probe.ask("/gathered");
    assert.deepEqual([text, whole], [`${Array.from({ length: 20 }, (_, each) => `${each} `).join("")}end`, true]);
  });

  test("threads, processes and tasks of its own are at the application's disposal", async () => {
    const key = freshKey();
    assert.deepEqual(await probe.json(`/helpers?key=${key}`), [false, "4711", 0]);
    probe.openGate(key);
    await remembers(probe, key, ["done"]);
  });

  test("response: each piece leaves at once", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/gated-stream?key=${key}`));
    await connection.received("first");
    probe.openGate(key);
    assert.equal((await connection.response()).text, "firstsecond");
    connection.close();
  });

  test("response: the head waits for the first of the body", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/start-alone?key=${key}`));
    await delay(50);
    assert.equal(connection.pendingText, "");
    probe.openGate(key);
    const response = await connection.response();
    assert.deepEqual([response.status, response.text], [201, "late"]);
    connection.close();
  });

  test("response: it is whole although the application goes on", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/background?key=${key}`));
    assert.equal((await connection.response()).text, "answered");
    connection.send(request("/unread"));
    assert.equal((await connection.response()).text, "not read");
    connection.close();
    probe.openGate(key);
    await remembers(probe, key, ["done"]);
  });

  test("requests of one worker are executed at once, and answered as they are done", async () => {
    const keys = [freshKey(), freshKey(), freshKey()];
    const connections = keys.map((key) => {
      const connection = probe.connection();
      connection.send(request(`/gated-stream?key=${key}`));
      return connection;
    });
    for (const connection of connections) await connection.received("first");
    for (const [index, connection] of [...connections.entries()].reverse()) {
      probe.openGate(keys[index] ?? "");
      assert.equal((await connection.response()).text, "firstsecond");
      connection.close();
    }
  });

  test("requests that are pipelined are answered in order", async () => {
    const connection = probe.connection();
    connection.send(Buffer.concat(["a", "b", "c"].map((body) => request("/echo", { method: "POST", body }))));
    const texts: string[] = [];
    for (let each = 0; each < 3; each += 1) texts.push((await connection.response()).text);
    assert.deepEqual(texts, ["a", "b", "c"]);
    connection.close();
  });
}

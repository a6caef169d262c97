// Requests' bodies and clients that leave: "Request - receive event", "Disconnect - receive event".
import assert from "node:assert/strict";
import { test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { freshKey, type Probe, request } from "../wsgi/probe.js";

/** Waits until the application remembers exactly these under a key. */
export async function remembers(probe: Probe, key: string, expected: readonly string[]): Promise<void> {
  let events: unknown = [];
  for (let tries = 0; tries < 2000; tries += 1) {
    events = await probe.json(`/memory?key=${key}`);
    if (Array.isArray(events) && events.length >= expected.length) break;
    await delay(5);
  }
  assert.deepEqual(events, expected);
}

const chunkedFields = "Transfer-Encoding: chunked\r\n";

export function bodyCases(probe: Probe): void {
  const empty = { type: "http.request", body: "b:", more_body: false };

  test("body: none is one message, empty and the last", async () => {
    assert.deepEqual(await probe.json("/messages"), [empty]);
  });

  test("body: Content-Length 0 is the same", async () => {
    assert.deepEqual(await probe.json("/messages", { method: "POST", body: "" }), [empty]);
  });

  test("body: one that came with the head is one message", async () => {
    assert.deepEqual(await probe.json("/messages", { method: "POST", body: "abc" }), [{ ...empty, body: "b:abc" }]);
  });

  test("body: any method may have one", async () => {
    for (const method of ["GET", "DELETE", "PROPFIND"]) {
      assert.deepEqual(await probe.json("/messages", { method, body: "abc" }), [{ ...empty, body: "b:abc" }]);
    }
  });

  test("body: chunks are put together", async () => {
    const { text } = await probe.ask("/echo", {
      method: "POST",
      fields: chunkedFields,
      body: "3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nx: y\r\n\r\n",
    });
    assert.equal(text, "abcde");
  });

  test("body: the application begins when the head is there, and gets what has come", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(`POST /first-piece?key=${key} HTTP/1.1\r\nHost: probe\r\nContent-Length: 6\r\n\r\n`);
    await remembers(probe, key, ["begun"]);
    connection.send("abc");
    await remembers(probe, key, ["begun", "3 True"]);
    connection.send("def");
    assert.equal((await connection.response()).text, "done");
    connection.close();
  });

  test("body: piece by piece both ways on one connection, and another request behind it", async () => {
    const connection = probe.connection();
    connection.send(`POST /piecewise HTTP/1.1\r\nHost: probe\r\n${chunkedFields}\r\n`);
    for (const piece of ["one", "two", "three"]) {
      connection.send(`${piece.length.toString(16)}\r\n${piece}\r\n`);
      await connection.received(piece);
    }
    connection.send("0\r\n\r\n");
    assert.equal((await connection.response()).text, "onetwothree");
    connection.send(request("/unread"));
    assert.equal((await connection.response()).text, "not read");
    connection.close();
  });

  test("body: a large one is whole, in pieces that fit into memory", async () => {
    const octets = Buffer.alloc(5_000_000, "0123456789");
    const connection = probe.connection();
    connection.send(request("/count", { method: "POST", body: octets }));
    const [size, pieces, largest] = JSON.parse((await connection.response()).text);
    assert.equal(size, octets.length);
    assert.ok(pieces > 10 && largest < 1_000_000, `${pieces} pieces, the largest of ${largest} octets`);
    connection.close();
  });

  test("body: while the application does not read, the client is not read without bound", async () => {
    const key = freshKey();
    const octets = Buffer.alloc(20_000_000);
    const connection = probe.connection();
    connection.send(request(`/waits-to-read?key=${key}`, { method: "POST", body: octets }));
    let before = -1;
    for (let same = 0; same < 10; ) {
      await delay(20);
      same = connection.unsent === before ? same + 1 : 0;
      before = connection.unsent;
    }
    assert.ok(before > 5_000_000, `only ${before} octets were not read`);
    probe.openGate(key);
    assert.equal((await connection.response()).text, String(octets.length));
    connection.close();
  });

  test("body: 100 (Continue) comes when the application asks for the body, and not before", async () => {
    const key = freshKey();
    const connection = probe.connection();
    const fields = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    connection.send(`POST /waits-to-read?key=${key} HTTP/1.1\r\nHost: probe\r\n${fields}\r\n`);
    await delay(50);
    assert.equal(connection.pendingText, "");
    probe.openGate(key);
    await connection.received("HTTP/1.1 100 Continue\r\n\r\n");
    connection.send("abc");
    assert.equal((await connection.response()).text, "3");
    connection.close();
  });

  test("body: a client that waits for 100 (Continue) gets none where the body is not asked for, and no second request", async () => {
    const connection = probe.connection();
    const fields = "Expect: 100-continue\r\nContent-Length: 3\r\n";
    connection.send(`POST /unread HTTP/1.1\r\nHost: probe\r\n${fields}\r\n`);
    const response = await connection.response();
    assert.deepEqual([response.status, response.text], [200, "not read"]);
    assert.ok(response.fields.some(([name, value]) => name === "Connection" && value === "close"));
    connection.close();
  });

  test("body: one that is not read is passed over, and the connection goes on", async () => {
    const connection = probe.connection();
    connection.send("POST /unread HTTP/1.1\r\nHost: probe\r\nContent-Length: 60000\r\n\r\n");
    assert.equal((await connection.response()).text, "not read");
    connection.send(Buffer.alloc(60_000));
    connection.send(request("/echo", { method: "POST", body: "next" }));
    assert.equal((await connection.response()).text, "next");
    connection.close();
  });

  test("body: after its end receive() waits, and tells of the end of the response", async () => {
    const key = freshKey();
    assert.equal(await probe.json(`/receive-after-end?key=${key}`), false);
    await remembers(probe, key, ["http.disconnect"]);
  });

  test("receive() that is given up has lost nothing when it is called again", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(`POST /gives-up-waiting?key=${key} HTTP/1.1\r\nHost: probe\r\nContent-Length: 3\r\n\r\n`);
    await remembers(probe, key, ["gave up"]);
    connection.send("abc");
    const { text } = await connection.response();
    connection.close();
    assert.deepEqual(JSON.parse(text), { type: "http.request", body: "b:abc", more_body: false });
  });

  test("two tasks may wait for messages at once", async () => {
    const key = freshKey();
    assert.equal((await probe.ask(`/receive-twice?key=${key}`)).text, "answered");
    await remembers(probe, key, ["http.disconnect", "http.disconnect"]);
  });

  test("a client that leaves is http.disconnect at once, each time it is asked, and an OSError to who sends", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/disconnect?key=${key}`));
    await remembers(probe, key, ["waits"]);
    connection.leave();
    await remembers(probe, key, ["waits", "http.disconnect", "http.disconnect", "OSError"]);
  });

  test("a client that leaves in the middle of its body", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(`POST /disconnect-in-body?key=${key} HTTP/1.1\r\nHost: probe\r\nContent-Length: 9\r\n\r\nabc`);
    await remembers(probe, key, ["first"]);
    connection.leave();
    await remembers(probe, key, ["first", "http.disconnect"]);
  });

  test("a client that closes its connection without a reset has left, for an application that asks", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/disconnect?key=${key}`));
    await remembers(probe, key, ["waits"]);
    connection.end();
    await remembers(probe, key, ["waits", "http.disconnect", "http.disconnect", "OSError"]);
    assert.equal(await connection.ended(), true);
  });

  test("a client that ended its side gets the answer of an application that does not ask", async () => {
    const connection = probe.connection();
    const key = freshKey();
    connection.send(request(`/gated-stream?key=${key}`));
    await connection.received("first");
    connection.end();
    probe.openGate(key);
    assert.equal((await connection.response()).text, "firstsecond");
    assert.equal(await connection.ended(), true);
  });

  test("a client that ends its side in the middle of its body has left", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(`POST /disconnect-in-body?key=${key} HTTP/1.1\r\nHost: probe\r\nContent-Length: 9\r\n\r\nabc`);
    await remembers(probe, key, ["first"]);
    connection.end();
    await remembers(probe, key, ["first", "http.disconnect"]);
    connection.close();
  });

  test("a body that is malformed is answered 400, and the application told", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(`POST /disconnect-in-body?key=${key} HTTP/1.1\r\nHost: probe\r\n${chunkedFields}\r\n3\r\nabc\r\n`);
    await remembers(probe, key, ["first"]);
    connection.send("no chunk\r\n");
    assert.equal((await connection.response()).status, 400);
    await remembers(probe, key, ["first", "http.disconnect"]);
    assert.equal(await connection.ended(), true);
  });

  test("a stream ends when its client leaves", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/events?key=${key}`));
    await connection.received("data: 3\n\n");
    connection.leave();
    await remembers(probe, key, ["left"]);
  });

  test("what is raised because the client has left is not told of in the log, whatever it was made to be", async () => {
    for (const path of ["/endless", "/endless-wrapped"]) {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(request(`${path}?key=${key}`));
      await connection.received("xxxx");
      connection.leave();
      await remembers(probe, key, ["OSError"]);
    }
    await probe.ask("/raises?exception");
    await probe.logged(/ValueError: a failure/);
    assert.doesNotMatch(probe.server.output, /has left|the client left/);
  });

  test("send() waits for a client that does not read, and raises when it leaves", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.stopReading();
    connection.send(request(`/endless?key=${key}`));
    let before = 0;
    for (let same = 0; same < 10; ) {
      await delay(20);
      const { sent } = (await probe.json("/who")) as { readonly sent: number };
      same = sent > 0 && sent === before ? same + 1 : 0;
      before = sent;
    }
    assert.ok(before < 20_000_000, `${before} octets were taken from the application`);
    connection.leave();
    await remembers(probe, key, ["OSError"]);
  });
}

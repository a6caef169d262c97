// What applications return: PEP 3333, "Buffering and Streaming", "Handling the Content-Length Header", and close().
import assert from "node:assert/strict";
import { test } from "node:test";
import { values } from "./connection.js";
import { freshKey, type Probe, request } from "./probe.js";

export function bodyCases(probe: Probe): void {
  iterables(probe);
  refusedBodies(probe);
  streaming(probe);
  lengths(probe);
  bodyless(probe);
  closing(probe);
}

function iterables(probe: Probe): void {
  const kinds = ["list", "tuple", "generator", "map", "iterator", "indexed", "separate-iterator", "list-with-close"];
  for (const kind of [...kinds, "empty-blocks-between"]) {
    test(`an iterable of this kind is sent whole: ${kind}`, async () => {
      for (const response of await probe.both(`/body/${kind}`)) {
        assert.deepEqual([response.status, response.text, response.whole], [200, "abc", true]);
      }
    });
  }

  for (const kind of ["bytes-subclass", "lying-length"]) {
    test(`a body is sent as iteration gives it: ${kind}`, async () => {
      const response = await probe.ask(`/body/${kind}`);
      assert.deepEqual([response.status, response.text, response.whole], [200, "abc", true]);
    });
  }

  for (const kind of ["empty-list", "empty-block", "empty-generator"]) {
    test(`an empty body is an empty body: ${kind}`, async () => {
      for (const prefix of ["", "/validated"]) {
        const connection = probe.connection();
        connection.send(request(`${prefix}/body/${kind}`));
        const response = await connection.response();
        assert.deepEqual([response.status, response.text, response.whole], [200, "", true]);
        await probe.goesOn(connection);
        connection.close();
      }
    });
  }

  test("the length of a body that is one block is known", async () => {
    const response = await probe.ask("/body/list-of-one");
    assert.deepEqual(values(response, "Content-Length"), ["9"]);
    assert.equal(response.text, "one block");
  });

  for (const length of ["", "&length=1"]) {
    test(`a large body arrives as it was given ${length === "" ? "chunked" : "with its length"}`, async () => {
      for (const response of await probe.both(`/body/blocks?count=40&size=100000${length}`)) {
        assert.equal(response.whole, true);
        const expected = Array.from({ length: 40 }, (_, index) => Buffer.alloc(100_000, 97 + (index % 26)));
        assert.ok(response.body.equals(Buffer.concat(expected)));
        assert.deepEqual(values(response, "Content-Length"), length === "" ? [] : ["4000000"]);
      }
    });
  }
}

function refusedBodies(probe: Probe): void {
  for (const kind of ["str", "list-of-str", "bytes", "none", "not-iterable"]) {
    test(`what is no iterable of bytes is an error: ${kind}`, async () => {
      const response = await probe.ask(`/body/${kind}`);
      assert.equal(response.status, 500);
      await probe.alive();
    });
  }

  test("a list that is refused is closed all the same", async () => {
    const key = freshKey();
    await probe.ask(`/body/list-of-str?key=${key}`);
    await probe.remembered(key, ["close"]);
  });

  test("a block that is not bytes cuts a response under way", async () => {
    const key = freshKey();
    const response = await probe.ask(`/body/str-after-bytes?key=${key}`);
    assert.deepEqual([response.status, response.text, response.whole], [200, "sent", false]);
    await probe.remembered(key, ["close"]);
  });
}

function streaming(probe: Probe): void {
  test("a block is sent before the next one is asked for", async () => {
    for (const prefix of ["", "/validated"]) {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(request(`${prefix}/body/at-once?key=${key}`));
      await connection.received("first ");
      probe.openGate(key);
      const response = await connection.response();
      assert.deepEqual([response.text, response.whole], ["first second", true]);
      connection.close();
    }
  });

  for (const path of ["/body/until-gone", "/body/generator-finally"]) {
    for (const reads of [true, false]) {
      const event = path === "/body/until-gone" ? "close" : "finally";
      test(`a client that leaves (${reads ? "reading" : "not reading"}) ends the iteration: ${path}`, async () => {
        const key = freshKey();
        const connection = probe.connection();
        connection.send(request(`${path}?key=${key}`));
        await connection.received("xxxx");
        if (!reads) connection.stopReading();
        connection.leave();
        await probe.remembered(key, [event]);
        await probe.alive();
      });
    }
  }
}

function lengths(probe: Probe): void {
  test("a body as long as its Content-Length is sent, and closed", async () => {
    for (const prefix of ["", "/validated"]) {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(request(`${prefix}/body/length-exact?key=${key}`));
      const response = await connection.response();
      assert.deepEqual([response.text, values(response, "Content-Length")], ["abcdef", ["6"]]);
      await probe.remembered(key, ["close"]);
      await probe.goesOn(connection);
      connection.close();
    }
  });

  test("a body longer than its Content-Length is ended there, and the connection stays in order", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/body/length-long?key=${key}`));
    const response = await connection.response();
    assert.deepEqual([response.text, response.whole], ["abcd", true]);
    await probe.remembered(key, ["close"]);
    await probe.goesOn(connection);
    connection.close();
  });

  for (const [path, text] of [
    ["/body/length-short", "abc"],
    ["/body/length-short-empty", ""],
  ]) {
    test(`a body shorter than its Content-Length is cut: ${path}`, async () => {
      const key = freshKey();
      const connection = probe.connection();
      // The second request waits on the connection; its answer must not be taken for the missing octets.
      connection.send(Buffer.concat([request(`${path}?key=${key}`), request("/start/once")]));
      const response = await connection.response();
      assert.deepEqual([response.status, response.text, response.whole], [200, text, false]);
      assert.equal(await connection.ended(), true);
      connection.close();
      await probe.remembered(key, ["close"]);
    });
  }
}

function bodyless(probe: Probe): void {
  test("HEAD runs the application and sends its headers without the body", async () => {
    for (const prefix of ["", "/validated"]) {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(request(`${prefix}/body/head?key=${key}`, { method: "HEAD" }));
      const response = await connection.response("HEAD");
      assert.equal(response.status, 200);
      assert.deepEqual([values(response, "Content-Length"), values(response, "X-Head")], [["6"], ["kept"]]);
      await probe.remembered(key, ["HEAD", "close"]);
      await probe.goesOn(connection);
      connection.close();
    }
  });

  test("HEAD of a streamed body sends none of it", async () => {
    const connection = probe.connection();
    connection.send(request("/body/generator", { method: "HEAD" }));
    assert.equal((await connection.response("HEAD")).status, 200);
    await probe.goesOn(connection);
    connection.close();
  });

  for (const status of ["204 No Content", "304 Not Modified"]) {
    test(`a body under ${status} is not sent`, async () => {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(request(`/body/status?key=${key}&status=${status.replaceAll(" ", "%20")}`));
      const response = await connection.response();
      assert.equal(`${response.status} ${response.reason}`, status);
      assert.deepEqual(values(response, "Transfer-Encoding"), []);
      // RFC 9110 §8.6: a 204 has no Content-Length; a 304's would be the length of the representation.
      assert.deepEqual(values(response, "Content-Length"), []);
      await probe.remembered(key, ["close"]);
      await probe.goesOn(connection);
      connection.close();
    });
  }
}

function closing(probe: Probe): void {
  for (const kind of ["iterator", "separate-iterator", "list-with-close"]) {
    test(`close() is called once after the last block: ${kind}`, async () => {
      for (const prefix of ["", "/validated"]) {
        const key = freshKey();
        await probe.ask(`${prefix}/body/${kind}?key=${key}`);
        await probe.remembered(key, ["close"]);
      }
    });
  }

  test("close() is called when iteration raised before the first block", async () => {
    for (const prefix of ["", "/validated"]) {
      const key = freshKey();
      const response = await probe.ask(`${prefix}/close/after-error?key=${key}`);
      assert.equal(response.status, 500);
      await probe.remembered(key, ["close"]);
    }
  });

  test("close() is called when iteration raised after a block", async () => {
    for (const prefix of ["", "/validated"]) {
      const key = freshKey();
      const response = await probe.ask(`${prefix}/close/after-late-error?key=${key}`);
      assert.deepEqual([response.text, response.whole], ["sent", false]);
      await probe.remembered(key, ["close"]);
    }
  });

  test("close() is called when start_response never was", async () => {
    const key = freshKey();
    const response = await probe.ask(`/close/never-started?key=${key}`);
    assert.equal(response.status, 500);
    await probe.remembered(key, ["close"]);
  });

  test("a close() that raises takes nothing from the response, and is logged", async () => {
    const key = freshKey();
    const response = await probe.ask(`/close/raises?key=${key}`);
    assert.deepEqual([response.status, response.text, response.whole], [200, "ok", true]);
    await probe.remembered(key, ["close"]);
    await probe.logged(/ProbeError: in close/);
    await probe.alive();
  });
}

// start_response() and write(): PEP 3333, "The start_response() Callable", "The write() Callable", "Error Handling".
import assert from "node:assert/strict";
import { test } from "node:test";
import { values } from "./connection.js";
import { freshKey, type Probe, request } from "./probe.js";

export function startCases(probe: Probe): void {
  acceptedStarts(probe);
  exceptionInfo(probe);
  missingStarts(probe);
  writes(probe);
  headers(probe);
  refusedStarts(probe);
}

function acceptedStarts(probe: Probe): void {
  const accepted: readonly (readonly [string, string, number, string])[] = [
    ["start_response is called before returning", "/start/once", 200, "once"],
    ["start_response is called at the first iteration", "/start/lazy", 202, "lazy"],
    ["start_response takes exc_info None", "/start/exc-info-none", 200, "none"],
    ["start_response takes exc_info in its first call", "/start/exc-info-first", 503, "error page"],
    ["start_response returns a callable", "/start/returns-write", 200, "callable"],
  ];
  for (const [name, path, status, text] of accepted) {
    test(name, async () => {
      for (const response of await probe.both(path)) {
        assert.deepEqual([response.status, response.text, response.whole], [status, text, true]);
      }
    });
  }

  test("a status with an empty reason is passed on", async () => {
    const response = await probe.ask("/start/reason-empty");
    assert.deepEqual([response.status, response.reason, response.text], [299, "", "no reason"]);
  });

  test("a second start_response without exc_info raises in the application", async () => {
    const key = freshKey();
    const response = await probe.ask(`/start/twice?key=${key}`);
    assert.equal(response.status, 500);
    assert.deepEqual(values(response, "X-Call"), []);
    await probe.remembered(key, ["refused: AssertionError"]);
  });

  test("a start_response that was refused leaves nothing behind", async () => {
    const response = await probe.ask("/bad-start/caught");
    assert.deepEqual([response.status, response.text], [200, "started anew"]);
    assert.deepEqual(values(response, "X-Injected"), []);
    assert.deepEqual(values(response, "X-Second"), ["1"]);
  });
}

function exceptionInfo(probe: Probe): void {
  test("a second start_response with exc_info replaces status and headers", async () => {
    for (const response of await probe.both("/start/twice-exc-info")) {
      assert.deepEqual([response.status, response.text], [503, "error page"]);
      assert.deepEqual(values(response, "X-Call"), ["second"]);
      assert.deepEqual(values(response, "X-First"), []);
    }
  });

  test("an empty block sends no headers, so exc_info can still replace them", async () => {
    for (const response of await probe.both("/start/exc-info-after-empty")) {
      assert.deepEqual([response.status, response.text], [500, "error page"]);
      assert.deepEqual(values(response, "X-Call"), ["second"]);
    }
  });

  for (const path of ["/start/exc-info-after-write", "/start/exc-info-after-yield"]) {
    test(`exc_info after the headers are out is raised again, and the response is cut: ${path}`, async () => {
      for (const prefix of ["", "/validated"]) {
        const key = freshKey();
        const response = await probe.ask(`${prefix}${path}?key=${key}`);
        assert.deepEqual([response.status, response.text, response.whole], [200, "partial", false]);
        await probe.remembered(key, ["reraised: too late"]);
      }
      await probe.alive();
    });
  }
}

function missingStarts(probe: Probe): void {
  for (const path of ["/start/never", "/start/never-empty", "/start/after-block"]) {
    test(`a body before start_response is an error: ${path}`, async () => {
      const response = await probe.ask(path);
      assert.equal(response.status, 500);
      await probe.alive();
    });
  }

  test("an empty block before start_response does no harm", async () => {
    const response = await probe.ask("/start/after-empty-block");
    assert.deepEqual([response.status, response.text], [200, "late"]);
  });
}

function writes(probe: Probe): void {
  const written: readonly (readonly [string, string])[] = [
    ["/write/only", "one two"],
    ["/write/mixed", "abcd"],
    ["/write/length-exact", "abcdef"],
  ];
  for (const [path, text] of written) {
    test(`what was written comes before what was returned: ${path}`, async () => {
      for (const response of await probe.both(path)) {
        assert.deepEqual([response.status, response.text, response.whole], [200, text, true]);
      }
    });
  }

  test("what is written while the iterable runs keeps its order", async () => {
    const response = await probe.ask("/write/in-iteration");
    assert.deepEqual([response.text, response.whole], ["abcd", true]);
  });

  test("write() refuses str", async () => {
    const key = freshKey();
    const response = await probe.ask(`/write/str?key=${key}`);
    assert.equal(response.status, 500);
    await probe.remembered(key, ["refused: TypeError"]);
  });

  test("what write() was given is sent before it returns", async () => {
    for (const prefix of ["", "/validated"]) {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(request(`${prefix}/write/at-once?key=${key}`));
      await connection.received("first ");
      probe.openGate(key);
      const response = await connection.response();
      assert.deepEqual([response.text, response.whole], ["first second", true]);
      connection.close();
    }
  });

  test("what is written beyond Content-Length is not sent, and the connection stays in order", async () => {
    const connection = probe.connection();
    connection.send(request("/write/length-long"));
    const response = await connection.response();
    assert.deepEqual([response.text, response.whole], ["abcd", true]);
    await probe.goesOn(connection);
    connection.close();
  });
}

function headers(probe: Probe): void {
  test("repeated headers are sent each, in their order", async () => {
    for (const response of await probe.both("/headers/repeated")) {
      const sent = response.fields.filter(([name]) => ["Set-Cookie", "X-Between"].includes(name));
      assert.deepEqual(sent, [
        ["Set-Cookie", "a=1"],
        ["X-Between", "1"],
        ["Set-Cookie", "b=2"],
      ]);
    }
  });

  test("a header value's characters are sent as latin-1 octets", async () => {
    for (const response of await probe.both("/headers/latin-1")) {
      assert.deepEqual(values(response, "X-Name"), ["caf\u00e9"]);
    }
  });

  test("Date and Server of the application are sent in place of the server's", async () => {
    for (const response of await probe.both("/headers/own-date-and-server")) {
      assert.deepEqual(values(response, "Date"), ["Thu, 01 Jan 1970 00:00:00 GMT"]);
      assert.deepEqual(values(response, "Server"), ["probe"]);
    }
  });

  test("a Date is added where the application gave none", async () => {
    const [date = ""] = values(await probe.ask("/start/once"), "Date");
    assert.match(date, /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT$/);
  });

  test("a header list changed after start_response injects nothing", async () => {
    const response = await probe.ask("/headers/changed-after");
    assert.deepEqual(values(response, "X-Injected"), []);
    await probe.alive();
  });
}

function refusedStarts(probe: Probe): void {
  test("start_response refuses every malformed status and header, and hop-by-hop headers", async (t) => {
    const list = await probe.ask("/bad-start/cases");
    const cases = list.text.split("\n");
    assert.ok(cases.length > 40, list.text);
    for (const name of cases) {
      await t.test(name, async () => {
        const key = freshKey();
        const connection = probe.connection();
        connection.send(request(`/bad-start?case=${name}&key=${key}`));
        const response = await connection.response();
        assert.equal(response.status, 500);
        assert.deepEqual(values(response, "X-Injected"), []);
        assert.doesNotMatch(response.text, /injected/i);
        const events = await probe.json(`/record?key=${key}`);
        assert.ok(Array.isArray(events) && events.length === 1, "start_response returned");
        assert.match(String(events[0]), /^refused: (TypeError|ValueError|AssertionError)$/);
        await probe.goesOn(connection);
        connection.close();
      });
    }
  });
}

// Applications that do what they may not, and that fail.
import assert from "node:assert/strict";
import { test } from "node:test";
import { freshKey, type Probe, request } from "../wsgi/probe.js";
import { remembers } from "./bodies.js";

/** What an application that sends these is told. */
const wrong: Readonly<Record<string, RegExp>> = {
  "body-before-start": /^RuntimeError: http\.response\.body comes before http\.response\.start$/,
  "two-starts": /^RuntimeError: http\.response\.start comes a second time$/,
  "start-after-body": /\|RuntimeError: http\.response\.start comes a second time$/,
  "trailers-unannounced": /\|RuntimeError: http\.response\.trailers comes without trailers/,
  "hint-after-start": /^RuntimeError: http\.response\.early_hint comes after http\.response\.start$/,
  "path-after-body": /\|RuntimeError: http\.response\.pathsend comes in the middle of the body$/,
  "path-before-start": /^RuntimeError: http\.response\.pathsend comes before http\.response\.start$/,
  "relative-path": /^ValueError: .*takes an absolute one/,
  "unknown-type": /^RuntimeError: 'http\.response\.unknown' is no message that answers an HTTP request$/,
  "websocket-type": /^RuntimeError: 'websocket\.accept' is no message that answers an HTTP request$/,
  "no-type": /^ValueError: a message has a type, and this one none/,
  "no-dict": /^TypeError: send\(\) takes a message, which is a dict, not NoneType$/,
  "no-status": /^TypeError: http\.response\.start has no status/,
  "text-status": /^TypeError: http\.response\.start has the status '200'; it takes a number$/,
  "status-100": /^ValueError: .*status 100; it takes one from 200 to 999$/,
  "status-99": /^ValueError: .*status 99; it takes one from 200 to 999$/,
  "status-1000": /^ValueError: .*status 1000; it takes one from 200 to 999$/,
  "text-header-name": /^TypeError: name and value of a header are byte strings, not \('x', b'y'\)$/,
  "text-header-value": /^TypeError: name and value of a header are byte strings, not \(b'x', 'y'\)$/,
  "header-of-three": /^ValueError: a header is a name and a value/,
  "headers-none": /^TypeError: the headers of http\.response\.start are None, not pairs of byte strings$/,
  "line-in-value": /^ValueError: the value of the header b'x' has characters that a header cannot have/,
  "nul-in-value": /^ValueError: the value of the header b'x' has characters that a header cannot have/,
  "space-in-name": /^ValueError: b'x y' is not a header name$/,
  "empty-name": /^ValueError: b'' is not a header name$/,
  "bad-length": /^ValueError: content-length is b'-1', not a number of octets$/,
  "two-lengths": /^ValueError: content-length is given twice, and differently$/,
  "text-body": /^TypeError: the body of http\.response\.body is to be a byte string, not str$/,
  "none-body": /^TypeError: the body of http\.response\.body is to be a byte string, not NoneType$/,
};

const failures = [
  "exception",
  "base-exception",
  "system-exit",
  "keyboard-interrupt",
  "generator-exit",
  "cancelled",
  "stop-async-iteration",
  "os-error",
  "timeout",
  "unprintable",
];

export function errorCases(probe: Probe): void {
  for (const [name, said] of Object.entries(wrong)) {
    test(`raises in the application, which can still answer: ${name}`, async () => {
      const response = await probe.ask(`/wrong-message?${name}`);
      assert.equal(response.status, 200);
      assert.match(response.text, said);
    });
  }

  test("raises in the application: whatever comes after the end", async () => {
    const key = freshKey();
    assert.equal((await probe.ask(`/after-end?key=${key}`)).text, "whole");
    await remembers(probe, key, ["RuntimeError", "RuntimeError"]);
  });

  for (const path of ["/too-long", "/too-short"]) {
    test(`a body that is not as long as it says is a 500 where nothing was sent: ${path}`, async () => {
      assert.equal((await probe.ask(path)).status, 500);
      await probe.logged(/RuntimeError: the body (is longer than content-length says|ended after 4 octets, and)/);
    });

    test(`a body that is not as long as it says is cut where some was sent: ${path}-later`, async () => {
      const response = await probe.ask(`${path}-later`);
      assert.deepEqual([response.status, response.whole], [200, false]);
    });
  }

  for (const path of ["/returns-nothing", "/returns-after-start"]) {
    test(`an application that returns before it has answered is a 500: ${path}`, async () => {
      const response = await probe.ask(path);
      assert.deepEqual([response.status, response.whole], [500, true]);
      await probe.logged(new RegExp(`the application returned without .* answer to GET ${path}`));
    });
  }

  test("an application that returns in the middle of its answer has it cut", async () => {
    const response = await probe.ask("/returns-in-body");
    assert.deepEqual([response.status, response.text, response.whole], [200, "part", false]);
    await probe.logged(/the application returned without the end of its answer to GET \/returns-in-body/);
  });

  for (const kind of failures) {
    test(`a failure is a 500, or cuts what has begun, and the worker lives on: ${kind}`, async () => {
      const { pid } = (await probe.json("/who")) as { readonly pid: number };
      for (const path of ["/raises", "/raises-after-start"]) {
        const connection = probe.connection();
        connection.send(request(`${path}?${kind}`));
        const response = await connection.response();
        assert.deepEqual([response.status, response.whole], [500, true], path);
        connection.send(request("/unread"));
        assert.equal((await connection.response()).text, "not read");
        connection.close();
      }
      const cut = await probe.ask(`/raises-in-body?${kind}`);
      assert.deepEqual([cut.status, cut.text, cut.whole], [200, "part", false]);
      assert.deepEqual(((await probe.json("/who")) as { readonly pid: number }).pid, pid);
    });
  }

  test("a failure is in the log from the application's first line on", async () => {
    await probe.ask("/raises?exception");
    await probe.logged(
      /exception while answering GET \/raises\?exception\n.*Traceback \(most recent call last\):\n.*File ".*asgi_probe\.py"/,
    );
  });

  test("a failure behind the answer is in the log, and the answer whole", async () => {
    const key = freshKey();
    const connection = probe.connection();
    connection.send(request(`/raises-after-end?key=${key}`));
    assert.equal((await connection.response()).text, "whole");
    connection.send(request("/unread"));
    assert.equal((await connection.response()).text, "not read");
    connection.close();
    await probe.logged(new RegExp(`ValueError: a failure behind the answer of ${key}`));
  });

  test("a task that cancels itself is a 500", async () => {
    assert.equal((await probe.ask("/cancels-itself")).status, 500);
  });
}

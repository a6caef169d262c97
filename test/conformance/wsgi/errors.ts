// Applications that fail, and what they say: PEP 3333, "Error Handling", "Input and Error Streams".
import assert from "node:assert/strict";
import { test } from "node:test";
import { values } from "./connection.js";
import { freshKey, type Probe, request } from "./probe.js";

export function errorCases(probe: Probe): void {
  streams(probe);
  exceptions(probe);
  lateExceptions(probe);
}

function streams(probe: Probe): void {
  test("every line said to wsgi.errors, stdout and stderr is in the server's log", async () => {
    for (const prefix of ["", "/validated"]) {
      const said = freshKey();
      const response = await probe.ask(`${prefix}/errors/write?text=${said}`);
      assert.equal(response.text, "said");
      for (const rest of ["by write", "by writelines", "by print", "without an end of line", "caf\u00e9 \u20ac"]) {
        await probe.logged(new RegExp(`${said} ${rest}\\s*$`, "m"));
      }
      for (const rest of ["on stdout", "on stderr"]) await probe.logged(new RegExp(`${said} ${rest}\\s*$`, "m"));
    }
  });

  test("each line in the log names its worker", async () => {
    const said = freshKey();
    await probe.ask(`/errors/write?text=${said}`);
    await probe.logged(new RegExp(`worker.* ${said} by write\\s*$`, "m"));
  });

  test("wsgi.errors takes what no encoding has", async () => {
    for (const response of await probe.both("/errors/lone-surrogate")) assert.equal(response.text, "said");
    await probe.logged(/lone .*surrogate/);
  });
}

const kinds = [
  "exception",
  "base-exception",
  "system-exit",
  "keyboard-interrupt",
  "generator-exit",
  "unprintable",
  "surrogate",
  "broken-pipe",
  "unicode",
  "recursion",
];

function exceptions(probe: Probe): void {
  for (const kind of kinds) {
    test(`an exception is a 500 in place of the response, and the worker lives on: ${kind}`, async () => {
      const before = await probe.json("/environ/who");
      for (const path of ["/raise/before", "/raise/after-start", "/raise/in-first-block", "/raise/after-empty-block"]) {
        const connection = probe.connection();
        connection.send(request(`${path}?kind=${kind}`));
        const response = await connection.response();
        assert.deepEqual([response.status, response.whole], [500, true], path);
        assert.deepEqual(values(response, "X-Started"), []);
        assert.doesNotMatch(response.text, /Traceback|File "|ProbeError/);
        await probe.goesOn(connection);
        connection.close();
      }
      const after = await probe.json("/environ/who");
      assert.ok(typeof before === "object" && before !== null && "pid" in before);
      assert.ok(typeof after === "object" && after !== null && "pid" in after);
      assert.equal(after.pid, before.pid);
    });
  }

  test("the traceback is in the log, with the request's method and path", async () => {
    const key = freshKey();
    await probe.ask(`/raise/before?kind=exception&key=${key}`, { method: "PATCH" });
    await probe.logged(
      new RegExp(
        `PATCH /raise/before\\?kind=exception&key=${key}(?![0-9])[\\s\\S]*Traceback[\\s\\S]*raise_before[\\s\\S]*ProbeError: the exception's message`,
      ),
    );
  });
}

function lateExceptions(probe: Probe): void {
  for (const kind of kinds) {
    test(`an exception after the headers are out cuts the response: ${kind}`, async () => {
      const key = freshKey();
      const connection = probe.connection();
      connection.send(Buffer.concat([request(`/raise/after-block?kind=${kind}&key=${key}`), request("/start/once")]));
      const response = await connection.response();
      assert.deepEqual([response.status, response.text, response.whole], [200, "partial", false]);
      assert.equal(await connection.ended(), true);
      connection.close();
      await probe.remembered(key, ["close"]);
      await probe.alive();
    });
  }

  test("an exception after the last octet of Content-Length takes nothing away", async () => {
    const key = freshKey();
    const response = await probe.ask(`/raise/after-length?key=${key}`);
    assert.deepEqual([response.status, response.text, response.whole], [200, "whole", true]);
    await probe.remembered(key, ["close"]);
    await probe.alive();
  });

  test("StopIteration out of an application's call is an error, not an end", async () => {
    assert.equal((await probe.ask("/raise/before?kind=stop-iteration")).status, 500);
  });
}

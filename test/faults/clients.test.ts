import assert from "node:assert/strict";
import { connect } from "node:net";
import { describe, test } from "node:test";
import { frontOf, request, Server, until } from "./server.js";

describe("a streaming response", () => {
  test("arrives chunk by chunk: each is received before the next is made", async () => {
    for (const threads of ["1", "8"]) {
      const server = await Server.start({ args: ["--workers", "1", "--threads", threads] });
      try {
        const connection = server.begin("/confirmed/c");
        for (let number = 0; number < 5; number += 1) {
          await connection.received(`\r\n1\r\n${number}\r\n`);
          server.release(`c-${number}`);
        }
        const { text, whole } = await connection.response();
        assert.deepEqual([text, whole], ["01234", true]);
        await server.recorded("c closed");
      } finally {
        await server.stop();
      }
    }
  });
});

describe("a client that leaves", () => {
  test("while its request waits for a worker: it is never executed", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "1"] });
    try {
      const slow = server.begin("/wait/slow");
      await server.recorded("begin slow");
      const leaving = server.begin("/leaving");
      const staying = server.begin("/staying");
      await until(async () => (await server.front()).requests === 3, "three requests have arrived");
      leaving.leave();
      await until(async () => (await server.front()).connections === 2, "the client has left");
      server.release("slow");
      assert.equal((await slow.response()).text, "waited");
      assert.equal((await staying.response()).text, "staying");
      assert.equal(await server.text("/last"), "last");
      assert.ok(!server.record().includes("begin leaving"), server.record().join());
    } finally {
      await server.stop();
    }
  });

  for (const threads of ["1", "4"]) {
    test(`while its response streams: the next write fails and close() is called (${threads} threads)`, async () => {
      const server = await Server.start({ args: ["--workers", "1", "--threads", threads] });
      try {
        const stream = server.begin("/stream/s");
        await stream.received("one");
        stream.leave();
        await until(async () => (await server.front()).connections === 0, "the client has left");
        server.release("s");
        await server.recorded("s closed");
        assert.ok(!server.record().includes("s gives nine"), server.record().join());
        assert.equal(await server.text("/next"), "next");
        assert.equal((await server.status()).workers[0]?.busy, 0);
      } finally {
        await server.stop();
      }
    });
  }

  test("without having read: the response that waits for it ends, and its close() is called", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "2"] });
    try {
      const reader = server.begin("/mebibytes/64");
      await reader.received("HTTP/1.1 200");
      reader.stopReading();
      assert.equal(await server.text("/meanwhile"), "meanwhile");
      reader.leave();
      await until(
        () => server.record().some((line) => /^closed 64 with [1-9]\d* left$/.test(line)),
        "close() is called",
      );
      assert.equal(await server.text("/next"), "next");
    } finally {
      await server.stop();
    }
  });
});

describe("a client that reads slowly", () => {
  test("does not hold a worker where the response fits in memory", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "1"] });
    try {
      const reader = server.begin("/block/1000000");
      reader.stopReading();
      assert.equal(await server.text("/next"), "next");
      assert.equal((await server.status()).workers[0]?.busy, 0);
    } finally {
      await server.stop();
    }
  });

  test("of a large response holds one thread where no disk is left for it, and little memory of the front", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "2", "--response-disk", "0"] });
    try {
      for (let i = 0; i < 50; i += 1) assert.equal(await server.text("/fast"), "fast");
      const before = (await server.front()).memory;
      const reader = server.begin("/mebibytes/64");
      await reader.received("HTTP/1.1 200");
      reader.stopReading();
      for (let i = 0; i < 50; i += 1) assert.equal(await server.text("/fast"), "fast");
      const status = await server.status();
      assert.equal(status.workers[0]?.busy, 1);
      const growth = frontOf(status).memory - before;
      assert.ok(growth < 32 * 2 ** 20, `the front grew by ${growth} octets`);
      assert.ok(!server.record().some((line) => line.startsWith("closed 64")));
    } finally {
      await server.stop();
    }
  });
});

describe("a client that has ended its side after a whole request", () => {
  /** Sends a request and FIN; what came until the server closed. */
  function halfClosed(server: Server, path: string): Promise<string> {
    return new Promise((resolve, reject) => {
      let text = "";
      const socket = connect({ port: server.vivarium.port, host: "127.0.0.1", allowHalfOpen: true });
      socket.setEncoding("latin1").on("data", (chunk: string) => {
        text += chunk;
      });
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
      socket.end(request(path));
    });
  }

  test("gets its response where a worker executes it, and 503 where it only waited", async () => {
    const server = await Server.start({ args: ["--workers", "1", "--threads", "1"] });
    try {
      const executing = halfClosed(server, "/wait/slow");
      await server.recorded("begin slow");
      assert.match(await halfClosed(server, "/waiting"), /^HTTP\/1\.1 503 /);
      server.release("slow");
      assert.match(await executing, /^HTTP\/1\.1 200 [\s\S]*waited/);
      assert.equal(await server.text("/next"), "next");
      assert.ok(!server.record().includes("begin waiting"), server.record().join());
    } finally {
      await server.stop();
    }
  });
});

// Large files over a real connection.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { closeSync, ftruncateSync, openSync, truncateSync, writeSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { filesConfig } from "../../src/static/config.js";
import { filesHandler } from "../../src/static/handler.js";
import { eventually, serve } from "../ingress/support.js";
import { openBelowFolder, put, temporaryFolder } from "./support.js";

const mebibyte = 1024 * 1024;
const gibibyte = 1024 * mebibyte;

/** A process of its own, so that its memory is not this one's: prints the head, how many octets followed, the last ones. */
const client = `
  const socket = require("node:net").connect(Number(process.argv[1]), "127.0.0.1");
  let head = "", octets = 0, end = "";
  socket.on("data", (chunk) => {
    if (!head.includes("\\r\\n\\r\\n")) {
      head += chunk.toString("latin1");
      const at = head.indexOf("\\r\\n\\r\\n") + 4;
      octets += head.length - at;
      head = head.slice(0, at);
    } else octets += chunk.length;
    end = chunk.subarray(-3).toString("latin1");
  });
  socket.on("end", () => socket.end());
  socket.on("close", () => process.stdout.write(JSON.stringify({ status: head.split(" ")[1], octets, end })));
  socket.write("GET /large HTTP/1.1\\r\\nHost: a\\r\\nConnection: close\\r\\n\\r\\n");
`;

test("a file of 1 GiB is sent whole, and the server's memory does not grow with it", async (context) => {
  const folder = temporaryFolder(context);
  const fd = openSync(join(folder, "large"), "w");
  ftruncateSync(fd, gibibyte);
  writeSync(fd, "end", gibibyte - 3);
  closeSync(fd);
  const served = await serve(context, filesHandler(filesConfig(folder)));
  const before = process.memoryUsage();
  const grown = { buffers: 0, resident: 0 };
  const look = setInterval(() => {
    const now = process.memoryUsage();
    grown.buffers = Math.max(grown.buffers, now.arrayBuffers - before.arrayBuffers);
    grown.resident = Math.max(grown.resident, now.rss - before.rss);
  }, 5);
  context.after(() => clearInterval(look));
  const { remotePort } = (await served.connect()).socket;
  const asking = spawn(process.execPath, ["-e", client, String(remotePort)], { stdio: ["ignore", "pipe", "inherit"] });
  context.after(() => asking.kill("SIGKILL"));
  let said = "";
  asking.stdout.on("data", (chunk: Buffer) => {
    said += chunk.toString();
  });
  await once(asking, "close");
  assert.deepEqual(JSON.parse(said), { status: "200", octets: gibibyte, end: "end" });
  assert.ok(grown.buffers < 8 * mebibyte, `${grown.buffers} octets of buffers`);
  assert.ok(grown.resident < 64 * mebibyte, `${grown.resident} octets resident`);
  assert.deepEqual(openBelowFolder(folder), []);
});

test("a client that stops reading holds a few blocks, and its file until it leaves", async (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "large"), "");
  truncateSync(join(folder, "large"), gibibyte);
  const served = await serve(context, filesHandler(filesConfig(folder)));
  const before = process.memoryUsage().arrayBuffers;
  const slow = await served.connect();
  slow.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  await slow.until("\r\n\r\n");
  slow.socket.pause();
  assert.equal(openBelowFolder(folder).length, 1);
  slow.socket.destroy();
  await eventually(() => openBelowFolder(folder).length === 0);
  assert.ok(process.memoryUsage().arrayBuffers - before < 32 * mebibyte);
});

test("a file that is truncated while it is sent ends its connection before the promised length", async (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "large"), "");
  truncateSync(join(folder, "large"), gibibyte);
  const served = await serve(context, filesHandler(filesConfig(folder)));
  const reader = await served.connect();
  let octets = 0;
  reader.socket.removeAllListeners("data");
  reader.socket.once("data", () => truncateSync(join(folder, "large"), 64 * mebibyte));
  reader.socket.on("data", (chunk: Buffer) => {
    octets += chunk.length;
  });
  reader.send("GET /large HTTP/1.1\r\nHost: a\r\n\r\n");
  await reader.untilEnd();
  assert.ok(octets > 0 && octets < gibibyte);
  await eventually(() => openBelowFolder(folder).length === 0);
});

test("files pipelined on one connection arrive in order", async (context) => {
  const folder = temporaryFolder(context);
  put(join(folder, "a"), "first");
  put(join(folder, "b"), new Uint8Array(300_000).fill(66));
  put(join(folder, "c"), "third");
  const served = await serve(context, filesHandler(filesConfig(folder)));
  const reader = await served.connect();
  reader.send(...["/a", "/b", "/c", "/none", "/a"].map((path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`));
  await eventually(() => reader.responses === 5 && reader.received.endsWith("first"));
  const bodies = reader.received.split("\r\n\r\n").slice(1, 4);
  assert.deepEqual(
    bodies.map((body) => body.split("HTTP/1.1")[0]),
    ["first", "B".repeat(300_000), "third"],
  );
});

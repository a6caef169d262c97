// A disk that is full, in a file system of a few MiB that only the server sees: what it keeps there and what it writes there.
import assert from "node:assert/strict";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ListenProtocol } from "../../src/config/config.js";
import { encodeRequest as encodeFastCgi, encodeInput } from "../../src/protocol/fastcgi/request-encoder.js";
import { encodeRequest as encodeScgi } from "../../src/protocol/scgi/request-encoder.js";
import { encodeRequest as encodeUwsgi } from "../../src/protocol/uwsgi/request-encoder.js";
import { run } from "../support/processes.js";
import { promised } from "../support/promises.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { application, request, type Server } from "./server.js";

/** Whether this machine lets a test mount a small file system of its own, in a namespace nobody else sees. */
const mounts =
  (await run("unshare", ["-m", "mount", "-t", "tmpfs", "none", "/mnt"]).catch(() => ({ code: 1 }))).code === 0;
const skip = mounts ? false : "needs to mount a file system, which only root can";

const mebibyte = 2 ** 20;

/** A server that finds a file system of 4 MiB at `folder`. */
const mountedAt = (folder: string): readonly string[] => [
  ...["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=4m none "$0" && exec "$@"', folder],
];

const full = /^error ingress: A request body does not fit into \S+: the disk is full \(ENOSPC\)\.$/;

const modes = [
  { mode: "daemon", args: ["--workers", "1"] },
  { mode: "embedded", args: ["--embedded", "--workers", "1"] },
] as const;

/** A PUT of so many octets, as a web server in front, or a client, sends it. */
function upload(protocol: Exclude<ListenProtocol, "https">, octets: number): readonly Uint8Array[] {
  const body = Buffer.alloc(octets, "a");
  const variables = {
    ...{ REQUEST_METHOD: "PUT", REQUEST_URI: "/upload", SERVER_PROTOCOL: "HTTP/1.1", REMOTE_ADDR: "192.0.2.7" },
    ...{ PATH_INFO: "/upload", CONTENT_LENGTH: `${octets}` },
  };
  const joined = Object.entries(variables)
    .map(([name, value]) => `${name}\0${value}`)
    .join("\0");
  switch (protocol) {
    case "http":
      return [Buffer.from(request("/upload", `Content-Length: ${octets}\r\n`, "PUT"), "latin1"), body];
    case "fastcgi":
      return [encodeFastCgi(1, false, joined, undefined, false), encodeInput(1, body, true)].flat();
    case "scgi":
      return [encodeScgi(joined.replace(/\0CONTENT_LENGTH\0\d+$/, ""), octets), body];
    case "uwsgi":
      return [encodeUwsgi(joined), body];
  }
}

/** The status with which it is answered. */
function statusOf(port: number, octets: readonly Uint8Array[]): Promise<number> {
  return new Promise((resolve, reject) => {
    let received = "";
    const socket = connect({ port, host: "127.0.0.1" });
    for (const part of octets) socket.write(part);
    socket.on("data", (chunk: Buffer) => {
      received += chunk.toString("latin1");
      const status = /(?:HTTP\/1\.1|Status:) (\d{3}) /.exec(received)?.[1];
      if (status === undefined) return;
      resolve(Number(status));
      socket.destroy();
    });
    socket.on("error", reject);
    socket.on("end", () => reject(new Error(`the connection ended behind ${JSON.stringify(received)}`)));
  });
}

for (const { mode, args } of modes) {
  describe(`a disk that is full (${mode})`, { skip }, () => {
    let small = "";
    before(() => {
      small = temporaryFolder("small");
    });
    after(() => removeFolder(small));

    for (const protocol of ["http", "fastcgi", "scgi", "uwsgi"] as const) {
      test(`an upload that does not fit gets 507, its room is free again, and the server goes on: ${protocol}`, () => {
        const listen = ["http", protocol].flatMap((each) => ["--listen", `${each}://127.0.0.1:0`]);
        const options = {
          ...{ target: application, through: mountedAt(small), expected: [full] },
          args: [...args, "--temp-dir", small, ...listen],
        };
        return promised(options, async (server) => {
          const port = portOf(server, protocol);
          const put = (octets: number): Promise<number> => statusOf(port, upload(protocol, octets));
          assert.equal(await put(2 * mebibyte), 200);
          for (let times = 0; times < 3; times += 1) assert.equal(await put(16 * mebibyte), 507);
          // Were anything kept of those, this would not fit.
          assert.equal(await put(2 * mebibyte), 200);
          assert.equal(server.output.match(/the disk is full/g)?.length, 3);
        });
      });
    }

    test("an access log that cannot be written costs its lines, no request, and the log says when it can be again", async () => {
      const options = {
        ...{ target: application, through: mountedAt(small) },
        args: [...args, "--access-log", join(small, "access.log"), "--temp-dir", small],
        expected: [
          /^error telemetry: The access log cannot be written to \S+: ENOSPC: .*\. Requests are served without it\.$/,
          /^warning telemetry: The access log can be written again; about \d+ lines were lost\.$/,
        ],
      };
      await promised(options, async (server) => {
        // A body that is in a file for as long as nobody has ended it takes what room there is.
        const holding = server.connection();
        holding.send(request("/upload", `Content-Length: ${8 * mebibyte}\r\n`, "PUT"));
        const room = 4 * mebibyte - 8192;
        holding.send(Buffer.alloc(room));
        const path = `/${"a".repeat(4000)}`;
        const askUntil = async (pattern: RegExp): Promise<void> => {
          let done = false;
          const logged = server.logged(pattern).then(() => {
            done = true;
          });
          while (!done) for (let times = 0; times < 20; times += 1) assert.ok((await server.get(path)).status < 500);
          await logged;
        };
        await askUntil(/The access log cannot be written/);
        holding.leave();
        await askUntil(/The access log can be written again/);
      });
    });
  });
}

/** Where a server listens, as its start screen tells. */
function portOf(server: Server, protocol: ListenProtocol): number {
  if (protocol === "http") return server.vivarium.port;
  const found = new RegExp(`${protocol} on 127\\.0\\.0\\.1:(\\d+)`, "i").exec(server.output);
  return Number(found?.[1]);
}

test("a folder for temporary files that is gone: 500 for what needs it, the rest is answered", async () => {
  const temporary = temporaryFolder("gone-tmp");
  const expected = [/^error ingress: A request body cannot be kept in \S+: ENOENT: /];
  await promised({ target: application, args: ["--temp-dir", temporary], expected }, async (server) => {
    removeFolder(temporary);
    const large = server.connection();
    for (const part of upload("http", mebibyte)) large.send(part);
    const { status, text } = await large.response();
    assert.equal(status, 500);
    assert.match(text, /cannot keep the request's body/);
    const little = server.connection();
    for (const part of upload("http", 6)) little.send(part);
    assert.match((await little.response()).text, /^6 /);
  });
});

// Started by somebody who has opened the listening socket: a web server, or systemd.
import assert from "node:assert/strict";
import { lstatSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { connect, type NetConnectOpts } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { listenUrl } from "../../src/config/listen-url.js";
import { Expected } from "../../src/config/read.js";
import { type Listener, openListener } from "../../src/net/listen.js";
import { encodeRequest } from "../../src/protocol/fastcgi/request-encoder.js";
import { descendants, type RunningProcess, type StartOptions, start, waitUntilGone } from "../support/processes.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";

const application = `
def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [(environ["PATH_INFO"] + " of " + environ["REMOTE_ADDR"]).encode()]
`;

let folder = "";
before(() => {
  folder = temporaryFolder("inherited");
  writeFileSync(join(folder, "app.py"), application);
});
after(() => removeFolder(folder));

async function listening(url: string): Promise<Listener> {
  const address = listenUrl(url, { base: folder, chdir: folder, target: "", environment: {} });
  assert.ok(!(address instanceof Expected), url);
  return openListener(address);
}

/** Starts `vivarium run app.py`, gives it to `use` when it serves, and sees that nothing of it is left when it was told to stop. */
async function served(
  args: readonly string[],
  options: StartOptions,
  use: (server: RunningProcess) => Promise<void>,
): Promise<void> {
  const words = ["run", "app.py", "--workers", "1", "--python", python(), "--control", join(folder, "control.sock")];
  // LISTEN_PID is the number of the process that exec makes Vivarium, as with systemd.
  const script = `LISTEN_PID=$$ exec "$0" "$@"`;
  const command = [process.execPath, join(root, "bin/vivarium.js"), ...words, ...args];
  const server = start("sh", ["-c", script, ...command], { cwd: folder, ...options });
  try {
    await server.line(/is serving after/, 60_000);
    await use(server);
    const family = descendants(server.pid);
    const exit = await server.stop("SIGTERM");
    assert.equal(exit.code, 0, server.output);
    assert.deepEqual(await waitUntilGone(family), []);
  } finally {
    await server.stop("SIGKILL");
  }
}

/** What is answered over FastCGI, as the octets come; "" where the connection is closed. */
async function ask(to: NetConnectOpts, target: string): Promise<string> {
  const socket = connect(to);
  let answer = "";
  socket.setEncoding("latin1").on("data", (text: string) => {
    answer += text;
  });
  // A server that closes without reading the request resets the connection.
  socket.on("error", () => {});
  const closed = new Promise((resolve) => socket.on("close", resolve));
  const variables = ["REQUEST_METHOD", "GET", "REQUEST_URI", target, "REMOTE_ADDR", "192.0.2.7"].join("\0");
  const request = encodeRequest(1, false, variables, undefined, true);
  socket.write(Buffer.concat(request instanceof Uint8Array ? [request] : request));
  await closed;
  return answer;
}

/** Which of these processes have a socket of this number open. */
function holders(pids: readonly number[], inode: string): number[] {
  return pids.filter((pid) =>
    readdirSync(`/proc/${pid}/fd`).some((fd) => {
      try {
        return readlinkSync(`/proc/${pid}/fd/${fd}`) === inode;
      } catch {
        return false; // closed meanwhile
      }
    }),
  );
}

describe("a listening socket as descriptor 0, as lighttpd and mod_fcgid start a FastCGI program", () => {
  test("is served, is no other process's but the front's, and its file is not Vivarium's to remove", async () => {
    const path = join(folder, "zero.sock");
    const listener = await listening(`fastcgi://unix:${path}`);
    try {
      await served(["--listen", "fastcgi://fd:0"], { stdin: listener.fd }, async (server) => {
        assert.match(server.output, /FastCGI on unix:.*\/zero\.sock, for a web server in front/);
        assert.match(await ask({ path }, "/a"), /Status: 200 OK.*\/a of 192\.0\.2\.7/s);
        const inode = readlinkSync(`/proc/self/fd/${listener.fd}`);
        assert.equal(holders(descendants(server.pid), inode).length, 1);
        // What asks whether there is a terminal must not read from it.
        process.kill(server.pid, "SIGHUP");
        await server.line(/Generation 2 serves/);
        assert.match(await ask({ path }, "/b"), /\/b of/);
      });
      assert.ok(lstatSync(path).isSocket());
    } finally {
      listener.close();
    }
  });
});

describe("sockets that systemd opened", () => {
  test("are served where nothing is said of listening, each as it is named", async () => {
    const path = join(folder, "activated.sock");
    const http = await listening("http://127.0.0.1:0");
    const fastcgi = await listening(`fastcgi://unix:${path}`);
    try {
      const env = { LISTEN_FDS: "2", LISTEN_FDNAMES: "site.socket:fastcgi" };
      await served([], { descriptors: [http.fd, fastcgi.fd], env }, async (server) => {
        assert.match(server.output, new RegExp(`address +${http.url}\n +FastCGI on unix:${path}`));
        assert.equal(await (await fetch(`${http.url}/a`)).text(), "/a of 127.0.0.1");
        assert.match(await ask({ path }, "/b"), /\/b of 192\.0\.2\.7/);
      });
    } finally {
      http.close();
      fastcgi.close();
    }
  });
});

describe("who may connect to a FastCGI listener", () => {
  /** Where it says that it listens. */
  const place = (server: RunningProcess): NetConnectOpts => {
    const [, port = ""] = /FastCGI on [\d.]+:(\d+)/.exec(server.output) ?? [];
    return { host: "127.0.0.1", port: Number(port) };
  };

  test("is said by FCGI_WEB_SERVER_ADDRS", async () => {
    const env = { FCGI_WEB_SERVER_ADDRS: "192.0.2.1,::1" };
    await served(["--listen", "fastcgi://127.0.0.1:0"], { env }, async (server) => {
      assert.equal(await ask(place(server), "/a"), "");
      await server.line(/A connection from 127\.0\.0\.1 was closed: FCGI_WEB_SERVER_ADDRS does not name it\./);
    });
  });

  test("is everybody else, with a warning where other machines can", async () => {
    await served(["--listen", "fastcgi://0.0.0.0:0"], {}, async (server) => {
      assert.match(server.output, /warning.*Whoever can connect to fastcgi:\/\/0\.0\.0\.0:\d+ is believed/);
      assert.match(await ask(place(server), "/a"), /\/a of 192\.0\.2\.7/);
    });
    await served(["--listen", "fastcgi://127.0.0.1:0", "--listen", "http://0.0.0.0:0"], {}, async (server) => {
      assert.doesNotMatch(server.output, /is believed/);
    });
  });
});

import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import {
  closeSync,
  linkSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { connect, createServer, type NetConnectOpts } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ListenAddress } from "../../src/config/config.js";
import { listenUrl } from "../../src/config/listen-url.js";
import { Expected } from "../../src/config/read.js";
import { AF_INET, libc, SOCK_STREAM } from "../../src/net/libc.js";
import { type Listener, openListener, openListeners } from "../../src/net/listen.js";
import { run } from "../support/processes.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
before(() => {
  folder = temporaryFolder("listen");
});
after(() => removeFolder(folder));

function address(text: string): ListenAddress {
  const read = listenUrl(text, { base: folder, chdir: folder, target: "", environment: {} });
  assert.ok(!(read instanceof Expected), text);
  return read;
}

const open = (text: string): Promise<Listener> => openListener(address(text));

function rejects(promise: Promise<unknown>, code: string, message: RegExp): Promise<void> {
  return assert.rejects(promise, { name: "VivariumError", code, message });
}

/** Starts a process that answers every connection on the descriptor with its own number, as a front would. */
async function answerer(fd: number): Promise<ChildProcess> {
  const program = `require("node:net").createServer((s) => s.end(String(process.pid))).listen({ fd: 3 }, () => console.log("up"));`;
  const child = spawn(process.execPath, ["-e", program], { stdio: ["ignore", "pipe", "inherit", fd] });
  assert.ok(child.stdout !== null);
  await once(child.stdout, "data");
  return child;
}

async function answer(to: NetConnectOpts): Promise<string> {
  let text = "";
  const socket = connect(to);
  socket.setEncoding("latin1").on("data", (piece: string) => {
    text += piece;
  });
  await once(socket, "close");
  return text;
}

async function end(child: ChildProcess): Promise<void> {
  const ended = once(child, "exit");
  child.kill("SIGKILL");
  await ended;
}

function port(listener: Listener): number {
  return Number(/:(\d+)$/u.exec(listener.url)?.[1]);
}

describe("a TCP listener", () => {
  test("tells the port the system chose", async () => {
    const listener = await open("http://127.0.0.1:0");
    assert.match(listener.url, /^http:\/\/127\.0\.0\.1:[1-9]\d*$/u);
    listener.close();
  });

  test("outlives the process that accepts from it: a connection made in between is answered by the next", async () => {
    const listener = await open("127.0.0.1:0");
    const to = { host: "127.0.0.1", port: port(listener) };
    const first = await answerer(listener.fd);
    assert.equal(await answer(to), String(first.pid));
    await end(first);
    const waiting = answer(to);
    const second = await answerer(listener.fd);
    assert.equal(await waiting, String(second.pid));
    await end(second);
    listener.close();
    await assert.rejects(answer(to), { code: "ECONNREFUSED" });
  });

  test("is not inherited by children it is not handed to", async () => {
    const listener = await open("127.0.0.1:0");
    const inode = statSync(`/proc/self/fd/${listener.fd}`).ino;
    const { stdout } = await run("ls", ["-l", "/proc/self/fd"]);
    assert.ok(stdout.includes(" -> ") && !stdout.includes(`socket:[${inode}]`), stdout);
    listener.close();
  });

  test("closing it twice does not close another descriptor", async () => {
    const listener = await open("127.0.0.1:0");
    listener.close();
    const other = await open("127.0.0.1:0");
    assert.equal(other.fd, listener.fd);
    listener.close();
    const child = await answerer(other.fd);
    assert.equal(await answer({ host: "127.0.0.1", port: port(other) }), String(child.pid));
    await end(child);
    other.close();
  });

  test("on a name listens on its first address", async () => {
    const listener = await open("http://localhost:0");
    const child = await answerer(listener.fd);
    assert.match(listener.url, /^http:\/\/localhost:\d+$/u);
    assert.equal(await answer({ host: "localhost", port: port(listener) }), String(child.pid));
    await end(child);
    listener.close();
  });

  test("on every address is reached over IPv4", async () => {
    const listener = await open(":0");
    const child = await answerer(listener.fd);
    assert.equal(await answer({ host: "127.0.0.1", port: port(listener) }), String(child.pid));
    await end(child);
    listener.close();
  });

  test("has a backlog of more than a few connections", async () => {
    const listener = await open("127.0.0.1:0");
    const sockets = Array.from({ length: 200 }, () => connect({ host: "127.0.0.1", port: port(listener) }));
    await Promise.all(sockets.map((socket) => once(socket, "connect")));
    for (const socket of sockets) socket.destroy();
    listener.close();
  });
});

test("a TCP listener that was closed lets nobody connect any more, whoever else has its socket", async () => {
  const listener = await open("http://127.0.0.1:0");
  const port = Number(new URL(listener.url).port);
  // Another process, as a front that accepts what waits there.
  const other = spawn("sleep", ["600"], { stdio: ["ignore", "ignore", "ignore", listener.fd] });
  const before = connect({ port, host: "127.0.0.1" });
  await once(before, "connect");
  listener.close();
  let connected = false;
  const after = connect({ port, host: "127.0.0.1" }, () => {
    connected = true;
  });
  const refused = once(after, "error");
  await new Promise((resolve) => setTimeout(resolve, 50)); // its first segment was sent
  assert.deepEqual([connected, before.readyState], [false, "open"]);
  before.destroy();
  other.kill("SIGKILL");
  const [error] = await refused;
  assert.equal(error.code, "ECONNREFUSED");
  assert.equal(connected, false);
});

describe("a TCP address that cannot be had is one sentence", () => {
  test("a port in use, with the process that has it", async () => {
    const listener = await open("127.0.0.1:0");
    const busy = port(listener);
    await rejects(
      open(`127.0.0.1:${busy}`),
      "ERR_LISTEN_IN_USE",
      new RegExp(
        `^Cannot listen on http://127\\.0\\.0\\.1:${busy}: port ${busy} is in use by .+ \\(process ${process.pid}\\); stop`,
        "u",
      ),
    );
    await rejects(open(`:${busy}`), "ERR_LISTEN_IN_USE", /is in use by/u);
    listener.close();
  });

  test("an address of another machine, and a name nobody knows", async () => {
    await rejects(
      open("192.0.2.1:0"),
      "ERR_LISTEN_ADDRESS",
      /no network interface of this machine has the address 192/u,
    );
    // A label of more than 63 octets (RFC 1035 §2.3.4): no name server is asked.
    await rejects(open(`${"a".repeat(64)}.invalid:0`), "ERR_LISTEN_ADDRESS", /the name "a+\.invalid" is not known/u);
  });

  test("a privileged port, for a user without the privilege", async () => {
    const reserved = Number(readFileSync("/proc/sys/net/ipv4/ip_unprivileged_port_start", "latin1"));
    const outcome = await asOrdinaryUser(() =>
      open("127.0.0.1:1").then(
        (listener) => listener.close(),
        (error: unknown) => error,
      ),
    );
    if (reserved <= 1) assert.equal(outcome, undefined);
    else assert.match(String(outcome), new RegExp(`ports below ${reserved} are reserved for privileged users`, "u"));
  });

  test("of several addresses none stays taken when one cannot be had", async () => {
    const listener = await open("127.0.0.1:0");
    const path = join(folder, "first.sock");
    await rejects(
      openListeners([address(`unix:${path}`), address(`127.0.0.1:${port(listener)}`)]),
      "ERR_LISTEN_IN_USE",
      /is in use/u,
    );
    assert.equal(lstatSync(path, { throwIfNoEntry: false }), undefined);
    listener.close();
  });
});

/** Runs `action` without root's capabilities, where this process has them. */
async function asOrdinaryUser<Result>(action: () => Promise<Result>): Promise<Result> {
  if (process.geteuid?.() !== 0) return action();
  process.seteuid?.(65534);
  try {
    return await action();
  } finally {
    process.seteuid?.(0);
  }
}

describe("a unix socket", () => {
  test("is for owner and group, whatever the umask", async () => {
    const path = join(folder, "mode.sock");
    const umask = process.umask(0);
    const listener = await open(`unix:${path}`);
    assert.equal(process.umask(umask), 0);
    assert.equal(lstatSync(path).mode & 0o777, 0o660);
    assert.equal(listener.url, `http://unix:${path}`);
    const child = await answerer(listener.fd);
    assert.equal(await answer({ path }), String(child.pid));
    await end(child);
    listener.close();
    assert.equal(lstatSync(path, { throwIfNoEntry: false }), undefined);
  });

  test("that nobody answers on is replaced", async () => {
    const path = join(folder, "stale.sock");
    const old = await open(`unix:${join(folder, "old.sock")}`);
    linkSync(join(folder, "old.sock"), path);
    old.close();
    assert.ok(lstatSync(path).isSocket());
    const listener = await open(`unix:${path}`);
    const child = await answerer(listener.fd);
    assert.equal(await answer({ path }), String(child.pid));
    await end(child);
    listener.close();
  });

  test("that somebody answers on is left to them", async () => {
    const path = join(folder, "live.sock");
    const server = createServer((socket) => socket.on("error", () => {}).end("other"));
    await new Promise<void>((up) => server.listen(path, up));
    await rejects(
      open(`unix:${path}`),
      "ERR_LISTEN_IN_USE",
      new RegExp(`\\(process ${process.pid}\\) answers there`, "u"),
    );
    assert.equal(await answer({ path }), "other");
    await new Promise((down) => server.close(down));
  });

  test("of a successor is not removed by the predecessor's end", async () => {
    const path = join(folder, "successor.sock");
    const first = await open(`unix:${path}`);
    linkSync(path, join(folder, "kept.sock")); // keeps the file's number from being used again
    unlinkSync(path);
    const second = await open(`unix:${path}`);
    first.close();
    assert.ok(lstatSync(path).isSocket());
    second.close();
  });

  test("has the permissions that are asked for from the beginning", async () => {
    for (const socketMode of [0o600, 0o660, 0o666, 0o777]) {
      const path = join(folder, `mode-${socketMode}.sock`);
      const listener = await openListener(address(`unix:${path}`), { socketMode, socketOwner: "" });
      assert.equal(statSync(path).mode & 0o777, socketMode);
      listener.close();
    }
  });

  test("belongs to whom is asked for, by name or number", async () => {
    const path = join(folder, "owned.sock");
    const own = async (socketOwner: string): Promise<readonly number[]> => {
      const listener = await openListener(address(`unix:${path}`), { socketMode: 0o660, socketOwner });
      const { uid, gid } = statSync(path);
      listener.close();
      return [uid, gid];
    };
    const [uid, gid] = [process.getuid?.() ?? -1, process.getgid?.() ?? -1];
    const { stdout: name } = await run("id", ["-un"]);
    const { stdout: group } = await run("id", ["-gn"]);
    for (const text of [
      name.trim(),
      `:${group.trim()}`,
      `${name.trim()}:${group.trim()}`,
      `${uid}:${gid}`,
      `:${gid}`,
    ]) {
      assert.deepEqual(await own(text), [uid, gid], text);
    }
    await rejects(own("nobody-of-that-name"), "ERR_LISTEN_OWNER", /no user "nobody-of-that-name" \(--socket-owner\)/u);
    await rejects(own(":no-such-group"), "ERR_LISTEN_OWNER", /no group "no-such-group"/u);
    assert.equal(lstatSync(path, { throwIfNoEntry: false }), undefined);
  });

  test("that may not be given away is one sentence, and gone again", async () => {
    const path = join(tmpdir(), `given-${process.pid}.sock`);
    const given = asOrdinaryUser(() => openListener(address(`unix:${path}`), { socketMode: 0o660, socketOwner: "0" }));
    await rejects(given, "ERR_LISTEN_OWNER", /this user may not give the socket to 0/u);
    assert.equal(lstatSync(path, { throwIfNoEntry: false }), undefined);
  });

  test("never takes the place of another kind of file", async () => {
    const path = join(folder, "notes.txt");
    writeFileSync(path, "precious");
    await rejects(open(`unix:${path}`), "ERR_LISTEN_PATH", /notes\.txt exists and is not a socket/u);
    assert.equal(readFileSync(path, "utf8"), "precious");
    mkdirSync(join(folder, "directory"));
    await rejects(open(`unix:${join(folder, "directory")}`), "ERR_LISTEN_PATH", /exists and is not a socket/u);
  });

  test("that cannot be made is one sentence", async () => {
    await rejects(open(`unix:${folder}/none/a.sock`), "ERR_LISTEN_PATH", /the directory .*\/none does not exist/u);
    await rejects(open(`unix:${folder}/${"a".repeat(107)}`), "ERR_LISTEN_PATH", /at most 107 octets, this one \d+/u);
    const closed = asOrdinaryUser(() => open(`unix:/closed-to-everybody-${process.pid}.sock`));
    await rejects(closed, "ERR_LISTEN_PATH", /this user may not create files in \/|is on a read-only file system/u);
  });
});

test("an address that other machines reach is told from one that they do not", async () => {
  for (const [text, exposed] of [
    ["127.0.0.1:0", false],
    ["127.1.2.3:0", false],
    ["0.0.0.0:0", true],
    [":0", true],
    [`unix:${join(folder, "exposed.sock")}`, false],
  ] as const) {
    const listener = await open(text);
    assert.equal(listener.exposed, exposed, text);
    const adopted = await open(`fd:${listener.fd}`);
    assert.equal(adopted.exposed, exposed, `${text}, inherited`);
    listener.close();
  }
});

describe("an inherited descriptor", () => {
  test("is used as it is, and its address told", async () => {
    const parent = await open("127.0.0.1:0");
    const adopted = await open(`fd:${parent.fd}`);
    assert.equal(adopted.fd, parent.fd);
    assert.equal(adopted.url, parent.url);
    adopted.close();
  });

  test("of a unix socket tells its path, and the file stays when it is closed", async () => {
    const path = join(folder, "inherited.sock");
    const parent = await open(`unix:${path}`);
    const adopted = await open(`http://fd:${parent.fd}`);
    assert.equal(adopted.url, `http://unix:${path}`);
    adopted.close();
    assert.ok(lstatSync(path).isSocket());
  });

  test("that does not listen is refused", async () => {
    const calls = await libc();
    const idle = calls.socket(AF_INET, SOCK_STREAM);
    await rejects(open(`fd:${idle}`), "ERR_LISTEN_DESCRIPTOR", /the socket \d+ does not listen/u);
    calls.close(idle);
    const datagrams = calls.socket(AF_INET, 2); // SOCK_DGRAM
    await rejects(open(`fd:${datagrams}`), "ERR_LISTEN_DESCRIPTOR", /is not a stream socket/u);
    calls.close(datagrams);
    const file = openSync("/dev/null", "r");
    await rejects(open(`fd:${file}`), "ERR_LISTEN_DESCRIPTOR", /descriptor \d+ is not a socket/u);
    closeSync(file);
    await rejects(open("fd:9999"), "ERR_LISTEN_DESCRIPTOR", /there is no descriptor 9999; whoever starts Vivarium/u);
  });
});

import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { describe, type TestContext, test } from "node:test";
import type { UpstreamServer } from "../../src/config/config.js";
import { type Location, Membership } from "../../src/egress/membership.js";
import { createResolver, type Resolver } from "../../src/egress/resolver.js";
import { Deadlines } from "../../src/net/deadline.js";
import { answering, eventually, fakeServer, groupOf, logged, response, serverAt, settle } from "./support.js";

/** The records of a DNS server: addresses by name, and services as `priority weight port name`. */
type Records = Map<string, readonly string[]>;

/** A DNS server (RFC 1035) that answers A, AAAA and SRV from `records`; NXDOMAIN where there are none. */
async function dnsServer(context: TestContext, records: Records): Promise<string> {
  const socket = createSocket("udp4");
  socket.on("message", (query, peer) => socket.send(dnsAnswer(query, records), peer.port, peer.address));
  socket.bind(0, "127.0.0.1");
  await once(socket, "listening");
  context.after(() => socket.close());
  return `127.0.0.1:${socket.address().port}`;
}

function dnsAnswer(query: Buffer, records: Records): Buffer {
  const labels: string[] = [];
  let at = 12;
  for (let length = query[at] ?? 0; length > 0; length = query[at] ?? 0) {
    labels.push(query.toString("latin1", at + 1, at + 1 + length));
    at += 1 + length;
  }
  const name = labels.join(".").toLowerCase();
  const type = query.readUInt16BE(at + 1);
  const data = (records.get(name) ?? [])
    .map((record) => recordData(type, record))
    .filter((octets) => octets !== undefined);
  const head = Buffer.alloc(12);
  query.copy(head, 0, 0, 2);
  head.writeUInt16BE(records.has(name) ? 0x8180 : 0x8183, 2);
  head.writeUInt16BE(1, 4);
  head.writeUInt16BE(data.length, 6);
  const answers = data.map((octets) => {
    const fixed = Buffer.alloc(12);
    fixed.writeUInt16BE(0xc00c, 0);
    fixed.writeUInt16BE(type, 2);
    fixed.writeUInt16BE(1, 4);
    fixed.writeUInt16BE(octets.length, 10);
    return Buffer.concat([fixed, octets]);
  });
  return Buffer.concat([head, query.subarray(12, at + 5), ...answers]);
}

function recordData(type: number, record: string): Buffer | undefined {
  const parts = record.split(" ");
  if (type === 33 && parts.length === 4) {
    const numbers = Buffer.alloc(6);
    for (const [index, part] of parts.slice(0, 3).entries()) numbers.writeUInt16BE(Number(part), 2 * index);
    const labels = (parts[3] ?? "").split(".").map((label) => `${String.fromCharCode(label.length)}${label}`);
    return Buffer.concat([numbers, Buffer.from(`${labels.join("")}\0`, "latin1")]);
  }
  if (type === 1 && /^[0-9.]+$/.test(record)) return Buffer.from(record.split(".").map(Number));
  if (type === 28 && record === "::1") return Buffer.from([...Array.from({ length: 15 }, () => 0), 1]);
  return undefined;
}

interface Watched {
  readonly changes: (readonly Location[])[];
  readonly deadlines: Deadlines;
  resolved: number;
  /** The last change: `host:port` of each, with its weight, `backup` and all. */
  last(): string[];
}

function watch(
  context: TestContext,
  servers: readonly UpstreamServer[],
  resolver: Resolver,
  resolveInterval = 30,
): Watched {
  const watched: Watched = {
    changes: [],
    deadlines: new Deadlines(false),
    resolved: 0,
    last: () => (watched.changes.at(-1) ?? []).map(shown),
  };
  const membership = new Membership({
    name: "shop",
    servers,
    resolveInterval,
    resolver,
    deadlines: watched.deadlines,
    changed: (locations) => watched.changes.push(locations),
    resolved: () => {
      watched.resolved += 1;
    },
  });
  context.after(() => membership.close());
  return watched;
}

function shown({ address, weight, backup }: Location): string {
  const where = address.kind === "tcp" ? `${address.host}:${address.port}` : address.path;
  return `${where}${weight === 1 ? "" : ` ${weight}`}${backup ? " backup" : ""}`;
}

function atName(host: string, port = 80): UpstreamServer {
  return serverAt(port, { url: `http://${host}:${port}`, endpoint: { kind: "tcp", host, port } });
}

function service(name: string, more: Partial<UpstreamServer> = {}): UpstreamServer {
  return serverAt(0, { url: `http+srv://${name}`, endpoint: { kind: "srv", name }, ...more });
}

describe("the servers of a group", () => {
  test("with literal addresses and paths are there at once, and never asked for", (context) => {
    const unix = serverAt(0, { url: "http://unix:/s", endpoint: { kind: "unix", path: "/s" } });
    const never: Resolver = {
      addresses: () => Promise.reject(new Error("asked")),
      services: () => Promise.reject(new Error("asked")),
    };
    const watched = watch(context, [serverAt(81), unix], never);
    assert.deepEqual([watched.last(), watched.resolved], [["127.0.0.1:81", "/s"], 1]);
  });

  test("with a name are its addresses, and change with them", async (context) => {
    const records: Records = new Map([["app.test", ["127.0.0.2", "127.0.0.3"]]]);
    const resolver = createResolver([await dnsServer(context, records)]);
    const watched = watch(context, [atName("app.test")], resolver);
    await eventually(() => watched.resolved === 1);
    assert.deepEqual(watched.last().sort(), ["127.0.0.2:80", "127.0.0.3:80"]);
    records.set("app.test", ["127.0.0.3", "127.0.0.4"]);
    watched.deadlines.advance(4 * 31);
    await eventually(() => watched.resolved === 2);
    assert.deepEqual(watched.last().sort(), ["127.0.0.3:80", "127.0.0.4:80"]);
    watched.deadlines.advance(4 * 31);
    await eventually(() => watched.resolved === 3);
    assert.equal(watched.changes.length, 2);
  });

  test("with a name of both families use IPv6 as a backup, and alone as it is", async (context) => {
    const records: Records = new Map([
      ["both.test", ["127.0.0.2", "::1"]],
      ["six.test", ["::1"]],
    ]);
    const resolver = createResolver([await dnsServer(context, records)]);
    const watched = watch(context, [atName("both.test"), atName("six.test")], resolver);
    await eventually(() => watched.resolved === 1);
    assert.deepEqual(watched.last(), ["127.0.0.2:80", "::1:80 backup", "::1:80"]);
  });

  test("of a service are its best targets with their weights; the others are backups", async (context) => {
    const records: Records = new Map([
      ["_app._tcp.test", ["10 3 8001 a.test", "10 0 8002 b.test", "20 1 8003 a.test"]],
      ["a.test", ["127.0.0.2"]],
      ["b.test", ["127.0.0.3"]],
    ]);
    const resolver = createResolver([await dnsServer(context, records)]);
    const watched = watch(context, [service("_app._tcp.test", { weight: 2 })], resolver);
    await eventually(() => watched.resolved === 1);
    assert.deepEqual(watched.last().sort(), ["127.0.0.2:8001 6", "127.0.0.2:8003 2 backup", "127.0.0.3:8002 2"]);
  });

  test("whose name fails stay as they were, with one line in the log, and another when it is found again", async (context) => {
    const lines = logged(context);
    const records: Records = new Map([["app.test", ["127.0.0.2"]]]);
    const resolver = createResolver([await dnsServer(context, records)]);
    const watched = watch(context, [atName("app.test"), serverAt(81)], resolver);
    await eventually(() => watched.resolved === 1);
    records.delete("app.test");
    for (let look = 2; look <= 3; look += 1) {
      watched.deadlines.advance(4 * 31);
      await eventually(() => watched.resolved === look);
    }
    assert.deepEqual(watched.last(), ["127.0.0.2:80", "127.0.0.1:81"]);
    assert.equal(lines.length, 1);
    assert.match(
      lines[0] ?? "",
      /^warning upstream shop: http:\/\/app\.test:80 cannot be resolved: .* The addresses known are kept\.$/,
    );
    records.set("app.test", ["127.0.0.2"]);
    watched.deadlines.advance(4 * 31);
    await eventually(() => watched.resolved === 4);
    assert.equal(lines[1], "info upstream shop: http://app.test:80 is found again.");
    assert.equal(watched.changes.length, 1);
  });

  test("whose name was never found are looked for soon again, even where names are resolved once", async (context) => {
    const records: Records = new Map();
    const resolver = createResolver([await dnsServer(context, records)]);
    const watched = watch(context, [atName("app.test")], resolver, 0);
    await eventually(() => watched.resolved === 1);
    assert.deepEqual(watched.last(), []);
    records.set("app.test", ["127.0.0.2"]);
    watched.deadlines.advance(4 * 3);
    await eventually(() => watched.resolved === 2);
    assert.deepEqual(watched.last(), ["127.0.0.2:80"]);
    watched.deadlines.advance(4 * 100);
    await settle();
    assert.equal(watched.resolved, 2);
  });

  test("are found as the system finds names where no DNS server is given", async () => {
    const addresses = await createResolver([]).addresses("localhost");
    assert.ok(addresses.includes("127.0.0.1") || addresses.includes("::1"));
  });
});

describe("a group whose servers have names", () => {
  test("keeps requests that come before the names are resolved until they are", async (context) => {
    const server = await fakeServer(
      context,
      answering(() => response("ok")),
    );
    const records: Records = new Map([["app.test", ["127.0.0.1"]]]);
    const dns = await dnsServer(context, records);
    const { send, group } = groupOf(context, [atName("app.test", server.port)], { dnsServers: [dns] });
    const [first, left] = [send(), send()];
    left.leave();
    assert.equal(await first.end(), "200 whole ok");
    const status = group.status();
    assert.deepEqual([status.requests, status.servers[0]?.address], [1, `127.0.0.1:${server.port}`]);
    assert.ok(group.drain(`http://app.test:${server.port}`));
    assert.equal(await send().end(), "refused 503");
  });

  test("drains all servers of a name, and takes one of them back", async (context) => {
    const records: Records = new Map([["app.test", ["127.0.0.1", "127.0.0.2"]]]);
    const dns = await dnsServer(context, records);
    const { group, deadlines } = groupOf(context, [atName("app.test", 9)], { dnsServers: [dns], resolveInterval: 5 });
    const states = (): readonly string[] =>
      group.status().servers.map(({ address, state }) => `${address.replace(/:.*/u, "")} ${state}`);
    await eventually(() => states().length === 2);
    assert.ok(group.drain("http://app.test:9"));
    assert.deepEqual(group.drained, ["http://app.test:9"]);
    assert.ok(group.undrain("127.0.0.1:9"));
    assert.deepEqual(group.drained, ["127.0.0.2:9"]);
    records.set("app.test", ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    deadlines.advance(4 * 6);
    await eventually(() => states().length === 3);
    assert.deepEqual(states().toSorted(), ["127.0.0.1 up", "127.0.0.2 draining", "127.0.0.3 up"]);
    assert.ok(group.drain("127.0.0.3:9"));
    assert.ok(group.undrain("http://app.test:9"));
    assert.deepEqual(group.drained, []);
    assert.deepEqual(states().toSorted(), ["127.0.0.1 up", "127.0.0.2 up", "127.0.0.3 up"]);
    assert.ok(!group.drain("127.0.0.4:9"));
  });

  test("drains a server as soon as DNS tells of it, where another front knows it already", async (context) => {
    const records: Records = new Map([["app.test", ["127.0.0.1"]]]);
    const dns = await dnsServer(context, records);
    const { group, deadlines } = groupOf(context, [atName("app.test", 9)], { dnsServers: [dns], resolveInterval: 5 });
    await eventually(() => group.status().servers.length === 1);
    assert.ok(!group.drain("127.0.0.2:9", true));
    assert.ok(!group.drain("127.0.0.3:9"));
    records.set("app.test", ["127.0.0.1", "127.0.0.2", "127.0.0.3"]);
    deadlines.advance(4 * 6);
    await eventually(() => group.status().servers.length === 3);
    const states = group.status().servers.map(({ address, state }) => `${address} ${state}`);
    assert.deepEqual(states.toSorted(), ["127.0.0.1:9 up", "127.0.0.2:9 draining", "127.0.0.3:9 up"]);
    assert.ok(group.undrain("127.0.0.2:9"));
    assert.deepEqual(group.drained, []);
  });

  test("answers 503 where a name leads nowhere", async (context) => {
    const dns = await dnsServer(context, new Map());
    const { send } = groupOf(context, [atName("app.test")], { dnsServers: [dns] });
    assert.equal(await send().end(), "refused 503");
  });

  test("drops a server that DNS drops, after what it has", async (context) => {
    const [old, next] = [
      await fakeServer(context),
      await fakeServer(
        context,
        answering(() => response("next")),
      ),
    ];
    const records: Records = new Map([
      ["_app._tcp.test", [`0 1 ${old.port} a.test`]],
      ["a.test", ["127.0.0.1"]],
    ]);
    const dns = await dnsServer(context, records);
    const { send, group, deadlines } = groupOf(context, [service("_app._tcp.test")], {
      dnsServers: [dns],
      resolveInterval: 5,
    });
    const running = send();
    const connection = await old.connection();
    await connection.until("\r\n\r\n");
    records.set("_app._tcp.test", [`0 1 ${next.port} a.test`]);
    deadlines.advance(4 * 6);
    await eventually(() => group.status().servers[0]?.address === `127.0.0.1:${next.port}`);
    assert.equal(await send().end(), "200 whole next");
    connection.send(response("old"));
    assert.equal(await running.end(), "200 whole old");
    await eventually(() => connection.ended || connection.closed);
  });
});

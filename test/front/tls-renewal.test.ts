// Certificates that change while a server runs, and sessions that outlive the front they began at.
import assert from "node:assert/strict";
import { copyFileSync, mkdirSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { statusAt, until } from "../faults/server.js";
import { type CertificateFiles, type CertificateWishes, makeCertificate } from "../support/certificates.js";
import { TlsClient } from "../support/tls-client.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import { startGateway, startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";

const names = "DNS:localhost";

let folder = "";
let files: CertificateFiles;
let server: Vivarium;

/** Takes the place of what is in use, as a renewal does: both files are written elsewhere and renamed. */
function renew(wishes: CertificateWishes, which: "both" | "cert" = "both"): void {
  mkdirSync(join(folder, "new"), { recursive: true });
  const made = makeCertificate(join(folder, "new"), "site", { names, ...wishes });
  renameSync(made.cert, files.cert);
  if (which === "both") renameSync(made.key, files.key);
}

/** The subject of the certificate that a new connection gets. */
async function shown(): Promise<string> {
  const client = await TlsClient.connect(server.port);
  const subject = client.shown;
  client.close();
  return subject;
}

beforeEach(() => {
  folder = temporaryFolder("renewal");
  mkdirSync(join(folder, "public"));
  writeFileSync(join(folder, "public/a.txt"), "a file\n");
  files = makeCertificate(folder, "site", { subject: "/CN=first", names });
});
afterEach(async () => {
  await server?.stop();
  removeFolder(folder);
});

async function serve(fronts: number, ...args: readonly string[]): Promise<void> {
  server = await startGateway({
    cwd: folder,
    args: [
      ...["--listen", "https://127.0.0.1:0", "--cert", files.cert, "--key", files.key, "--static", "/=public"],
      ...["--upstream", "http://127.0.0.1:9", "--access-log", "off", "--fronts", String(fronts), ...args],
    ],
  });
}

describe("a certificate whose files change", () => {
  test("is in use a moment later, in every front, and no connection is dropped for it", async () => {
    await serve(2);
    const before = await TlsClient.connect(server.port);
    assert.match((await before.get("/a.txt")).text, /a file\n$/);
    renew({ subject: "/CN=second" });
    await server.process.line(
      /\[info\] supervisor: The certificate in .*site\.pem is in use now; it is good until \d{4}-\d\d-\d\d\.\n/,
    );
    // Whichever front accepts.
    await until(
      async () => (await Promise.all([shown(), shown(), shown(), shown()])).every((subject) => subject === "CN=second"),
      "all show it",
    );
    assert.match((await before.get("/a.txt")).text, /a file\n$/);
    assert.equal(before.shown, "CN=first");
    before.close();
  });

  test("is refused where it is no good, with one line, and the one before stays; status tells", async () => {
    await serve(1);
    const refusals: readonly (readonly [() => void, RegExp])[] = [
      [
        () => renew({ subject: "/CN=second" }, "cert"),
        /\[error\] supervisor: The key in .*site\.key does not belong to the certificate in .* The certificate before it stays in use\.\n/,
      ],
      [
        () => writeFileSync(files.cert, "nothing\n"),
        /\[error\] supervisor: There is no certificate in .* stays in use\.\n/,
      ],
      [
        () => renew({ subject: "/CN=third", days: -1 }),
        /\[error\] supervisor: The certificate in .* has expired on .* stays in use\.\n/,
      ],
    ];
    for (const [spoil, sentence] of refusals) {
      const written = server.output.length;
      spoil();
      await until(() => sentence.test(server.output.slice(written)), `the log says ${sentence}`);
      assert.equal(server.output.slice(written).trimEnd().split("\n").length, 1);
      assert.equal(await shown(), "CN=first");
      const [certificate] = (await statusAt(server.control)).certificates;
      assert.deepEqual([certificate?.names, certificate?.problem === ""], [["localhost"], false]);
    }
    const { stdout } = await vivarium(["status", "--control", server.control]);
    assert.match(stdout, /^certificate localhost, good until .*what the file/m);
    // A front that takes another's place has what is in use, not what the files hold.
    const [front] = (await statusAt(server.control)).fronts;
    process.kill(front?.pid ?? 0, "SIGKILL");
    await until(async () => {
      const [next] = (await statusAt(server.control)).fronts;
      return next?.state === "ready" && next.pid !== front?.pid;
    }, "another front serves");
    assert.equal(await shown(), "CN=first");
    renew({ subject: "/CN=fourth" });
    await until(async () => (await shown()) === "CN=fourth", "a good one is in use");
    assert.equal((await statusAt(server.control)).certificates[0]?.problem, "");
  });

  test("is read anew by vivarium reload, which says what came of it, without an application, too", async () => {
    await serve(1);
    renew({ subject: "/CN=second" });
    const good = await vivarium(["reload", "--control", server.control]);
    assert.deepEqual([good.code, good.stdout], [0, `The certificate in ${files.cert} is in use.\n`]);
    assert.equal(await shown(), "CN=second");
    copyFileSync(files.key, files.cert);
    const bad = await vivarium(["reload", "--control", server.control]);
    assert.equal(bad.code, 1);
    assert.match(bad.stderr, /: There is no certificate in .* The one before stays in use\.\n$/);
    assert.equal(await shown(), "CN=second");
  });

  test("of clients' authorities: those of the new file are asked for", async () => {
    const authorities = join(folder, "authorities.pem");
    const [one, other] = [makeCertificate(folder, "one"), makeCertificate(folder, "other")];
    copyFileSync(one.cert, authorities);
    await serve(1, "--client-ca", authorities);
    await assert.rejects(TlsClient.connect(server.port, { maxVersion: "TLSv1.2" }));
    copyFileSync(other.cert, authorities);
    await server.process.line(
      /\[info\] supervisor: The certificates in .*authorities\.pem \(--client-ca\) are in use now\.\n/,
    );
  });
});

test("a session is resumed at another front, and at one that takes the place of those that have died", async () => {
  await serve(2);
  for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
    const first = await TlsClient.connect(server.port, { maxVersion });
    await first.get("/a.txt");
    const { session } = first;
    assert.ok(session !== undefined);
    first.close();
    const resumed = async (): Promise<boolean> => {
      const client = await TlsClient.connect(server.port, { maxVersion, session });
      const reused = client.socket.isSessionReused();
      client.close();
      return reused;
    };
    // More at once than one front takes.
    assert.deepEqual(await Promise.all(Array.from({ length: 8 }, resumed)), new Array(8).fill(true));
    const before = (await statusAt(server.control)).fronts;
    for (const { pid } of before) process.kill(pid, "SIGKILL");
    await until(async () => {
      const { fronts } = await statusAt(server.control);
      return fronts.every(({ state, pid }) => state === "ready" && before.every((old) => old.pid !== pid));
    }, "other fronts serve");
    assert.equal(await resumed(), true, maxVersion);
  }
});

test("a server starts with a certificate that has expired, and warns of that", async () => {
  files = makeCertificate(folder, "site", { subject: "/CN=old", days: -1 });
  server = await startVivarium(undefined, {
    cwd: folder,
    args: [
      "--no-config",
      "--listen",
      "https://127.0.0.1:0",
      "--cert",
      files.cert,
      "--key",
      files.key,
      "--static",
      "/=public",
      "--access-log",
      "off",
    ],
  });
  assert.match(
    server.output,
    /\[warning\] supervisor: The certificate in .*site\.pem has expired on \d{4}-\d\d-\d\d, and clients refuse it; renew it/,
  );
  assert.equal(await shown(), "CN=old");
});

// HTTPS as clients see it: what is negotiated, which certificate they get, and what the application is told.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { connect as connectHttp2 } from "node:http2";
import { connect } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { ConnectionOptions } from "node:tls";
import { type CertificateFiles, makeCertificate } from "../support/certificates.js";
import { type Answer, TlsClient } from "../support/tls-client.js";
import { program, removeFolder, root, temporaryFolder, unavailable } from "../support/tools.js";
import { startGateway, startVivarium, type Vivarium, vivarium } from "../support/vivarium.js";

const application = join(root, "test/front/tls_app.py:app");
const https = ["--listen", "https://127.0.0.1:0", "--access-log", "off"];

let folder = "";
let server: CertificateFiles;
let authority: CertificateFiles;
before(() => {
  folder = temporaryFolder("tls");
  server = makeCertificate(folder, "localhost", { names: "DNS:localhost,IP:127.0.0.1" });
  authority = makeCertificate(folder, "authority");
});
after(() => removeFolder(folder));

function named({ cert, key }: CertificateFiles): readonly string[] {
  return ["--cert", cert, "--key", key];
}

/** One request on a connection of its own. */
async function ask(
  port: number,
  options: ConnectionOptions = {},
): Promise<Answer & { readonly session: Buffer | undefined }> {
  const client = await TlsClient.connect(port, options);
  try {
    const answer = await client.get();
    return { ...answer, session: client.session };
  } finally {
    client.close();
  }
}

function clientPair({ cert, key }: CertificateFiles): ConnectionOptions {
  return { cert: readFileSync(cert), key: readFileSync(key) };
}

describe("an https listener", () => {
  let running: Vivarium;
  before(async () => {
    const shop = makeCertificate(folder, "shop", { names: "DNS:shop.test,DNS:*.shop.test" });
    const blog = makeCertificate(folder, "blog", { subject: "/CN=blog.test" });
    const both = join(folder, "both.pem");
    writeFileSync(both, readFileSync(blog.key, "utf8") + readFileSync(blog.cert, "utf8"), { mode: 0o600 });
    const toml = [`cert = "${server.cert}"`, `key = "${server.key}"`, "[[certificate]]", `cert = "${shop.cert}"`];
    toml.push(`key = "${shop.key}"`, "[[certificate]]", `cert = "${both}"`);
    writeFileSync(join(folder, "vivarium.toml"), `${toml.join("\n")}\n`);
    running = await startVivarium(application, { cwd: folder, args: [...https, "--workers", "1"] });
  });
  after(() => running?.stop());

  test("tells the application that the connection is secure, and how; no header field can", async () => {
    const client = await TlsClient.connect(running.port, { servername: "localhost" });
    try {
      const { text, values } = await client.get(
        "/",
        "SSL-CLIENT-VERIFY: SUCCESS\r\nSSL_CLIENT_S_DN: CN=root\r\nHTTPS: off\r\n",
      );
      assert.match(text, /^HTTP\/1\.1 200 OK\r\n/);
      assert.deepEqual(
        ["wsgi.url_scheme", "HTTPS", "SSL_PROTOCOL", "SSL_CIPHER", "SSL_TLS_SNI", "SSL_SESSION_RESUMED"].map((name) =>
          values.get(name),
        ),
        ["https", "on", "TLSv1.3", client.socket.getCipher().name, "localhost", "Initial"],
      );
      assert.deepEqual([values.get("SSL_CLIENT_VERIFY"), values.get("SSL_CLIENT_S_DN")], ["NONE", undefined]);
      assert.equal(values.get("REMOTE_PORT"), String(client.socket.localPort));
      assert.equal((await client.get()).values.get("SERVER_PORT"), String(running.port));
    } finally {
      client.close();
    }
  });

  test("gives each name its certificate, and other names the first", async () => {
    const expected = {
      "shop.test": "shop",
      "www.shop.test": "shop",
      "BLOG.test": "blog.test",
      "a.www.shop.test": "localhost",
      "other.test": "localhost",
    };
    for (const [servername, subject] of Object.entries(expected)) {
      const client = await TlsClient.connect(running.port, { servername });
      assert.equal(client.shown, `CN=${subject}`, servername);
      client.close();
    }
  });

  test("speaks TLS 1.2 and 1.3, and nothing older", async () => {
    for (const version of ["TLSv1.2", "TLSv1.3"] as const) {
      const { values } = await ask(running.port, { minVersion: version, maxVersion: version });
      assert.equal(values.get("SSL_PROTOCOL"), version);
    }
    const older: ConnectionOptions = { minVersion: "TLSv1", maxVersion: "TLSv1.1", ciphers: "DEFAULT@SECLEVEL=0" };
    await assert.rejects(ask(running.port, older), { code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION" });
  });

  test("speaks no cipher suite without forward secrecy", async () => {
    const options: ConnectionOptions = { maxVersion: "TLSv1.2", ciphers: "AES128-GCM-SHA256:AES256-SHA" };
    await assert.rejects(ask(running.port, options), { code: "ERR_SSL_SSLV3_ALERT_HANDSHAKE_FAILURE" });
  });

  test("agrees on HTTP/1.1 by ALPN, and refuses who offers nothing that it speaks", async () => {
    const client = await TlsClient.connect(running.port, { ALPNProtocols: ["http/1.1"] });
    assert.equal(client.socket.alpnProtocol, "http/1.1");
    client.close();
    await assert.rejects(ask(running.port, { ALPNProtocols: ["smtp"] }), {
      code: "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL",
    });
  });

  test("does not renegotiate", () => {
    const args = ["s_client", "-tls1_2", "-connect", `127.0.0.1:${running.port}`];
    const { status, stderr } = spawnSync(program("openssl"), args, { encoding: "latin1", input: "R\n" });
    assert.equal(status, 1);
    assert.match(stderr, /RENEGOTIATING\n[\s\S]*no renegotiation/);
  });

  test("tells who speaks plain HTTP to it", async () => {
    const socket = connect({ port: running.port, host: "127.0.0.1" });
    let received = "";
    socket.setEncoding("latin1").on("data", (text: string) => {
      received += text;
    });
    socket.write("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    await new Promise((resolve) => socket.on("end", resolve));
    socket.destroy();
    assert.match(received, /^HTTP\/1\.1 400 Bad Request\r\n/);
    assert.match(
      received,
      /\r\n\r\n400 Bad Request\n\nThis port speaks HTTPS: the address begins with https:\/\/\.\n$/,
    );
  });

  test("ends a body that has no length as TLS does, so that a client knows it is whole", () => {
    const input = "GET / HTTP/1.0\r\n\r\n";
    const args = [
      "s_client",
      "-quiet",
      "-connect",
      `127.0.0.1:${running.port}`,
      "-CAfile",
      server.cert,
      "-verify_return_error",
    ];
    const { status, stdout, stderr } = spawnSync(program("openssl"), [...args, "-ign_eof"], {
      encoding: "latin1",
      input,
    });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /wsgi\.url_scheme=https$/);
    assert.doesNotMatch(stderr, /unexpected eof/);
  });

  test("is what curl takes it for", { skip: unavailable("curl") }, () => {
    const args = ["-s", "-S", "--cacert", server.cert, `https://localhost:${running.port}/`];
    const { status, stdout, stderr } = spawnSync(program("curl"), args, { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.match(stdout, /wsgi\.url_scheme=https/);
  });
});

test("--tls-min-version 1.3 leaves 1.2 out", async () => {
  const args = [...https, ...named(server), "--workers", "1", "--tls-min-version", "1.3"];
  const running = await startVivarium(application, { args });
  try {
    await assert.rejects(ask(running.port, { maxVersion: "TLSv1.2" }), {
      code: "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION",
    });
    assert.equal((await ask(running.port)).values.get("SSL_PROTOCOL"), "TLSv1.3");
  } finally {
    await running.stop();
  }
});

describe("clients' certificates", () => {
  let good: ConnectionOptions;
  let other: ConnectionOptions;
  const serving = async (args: readonly string[], use: (port: number) => Promise<void>): Promise<void> => {
    const running = await startVivarium(application, {
      args: [...https, ...named(server), "--workers", "1", "--client-ca", authority.cert, ...args],
    });
    try {
      await use(running.port);
    } finally {
      await running.stop();
    }
  };
  before(() => {
    good = clientPair(makeCertificate(folder, "ada", { subject: "/O=Exämple, Inc./CN=Ada", issuer: authority }));
    other = clientPair(makeCertificate(folder, "mallory", { issuer: makeCertificate(folder, "elsewhere") }));
  });

  test("an ASGI application is told of them, and of the connection, by the tls extension", async () => {
    const running = await startVivarium(join(root, "test/front/tls_asgi_app.py:app"), {
      args: [
        ...[...https, "--listen", "http://127.0.0.1:0", ...named(server), "--workers", "1"],
        ...["--client-ca", authority.cert, "--client-cert", "optional"],
      ],
    });
    try {
      const none = await ask(running.port, {
        maxVersion: "TLSv1.2",
        ciphers: "ECDHE-RSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES128-GCM-SHA256",
      });
      assert.deepEqual(
        ["scheme", "tls_version", "client_cert_chain", "client_cert_name", "client_cert_error", "server_cert"].map(
          (name) => none.values.get(name),
        ),
        ["https", "771", "[]", "None", "None", "None"],
      );
      assert.ok(["49199", "49195"].includes(none.values.get("cipher_suite") ?? ""), none.text);
      const shown = await ask(running.port, { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256", ...good });
      assert.deepEqual([shown.values.get("tls_version"), shown.values.get("cipher_suite")], ["772", "4865"]);
      assert.equal(shown.values.get("client_cert_name"), "CN=Ada,O=Ex\\C3\\A4mple\\, Inc.");
      assert.match(
        shown.values.get("client_cert_chain") ?? "",
        /^\['-----BEGIN CERTIFICATE-----\|[\s\S]*END CERTIFICATE-----\|'\]$/,
      );
      const secured = (text: string): readonly (string | undefined)[] =>
        ["scheme", "tls_version", "cipher_suite", "client_cert_name"].map(
          (name) => new RegExp(`^${name}=(.*)$`, "m").exec(text)?.[1],
        );
      const [, ...same] = secured(shown.text);
      const version = { minVersion: "TLSv1.3", ciphers: "TLS_AES_128_GCM_SHA256" } as const;
      const client = await TlsClient.connect(running.port, { ...version, ...good });
      const key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n";
      const socket = await client.get("/", `Upgrade: websocket\r\nConnection: Upgrade\r\n${key}`);
      client.close();
      assert.match(socket.text, /^HTTP\/1\.1 403 /);
      assert.deepEqual(secured(socket.text), ["wss", ...same]);
      const session = connectHttp2(`https://127.0.0.1:${running.port}`, {
        rejectUnauthorized: false,
        ...version,
        ...good,
      });
      const stream = session.request({ ":path": "/" });
      stream.end();
      assert.deepEqual(secured(Buffer.concat(await stream.toArray()).toString()), ["https", ...same]);
      session.close();
      const [, plain] = /http:\/\/127\.0\.0\.1:(\d+)/.exec(running.output) ?? [];
      assert.equal(await (await fetch(`http://127.0.0.1:${plain}/`)).text(), "scheme=http");
    } finally {
      await running.stop();
    }
  });

  test("required: who has none, or another authority's, is refused; the application sees a good one, also of a resumed session", async () => {
    await serving([], async (port) => {
      for (const maxVersion of ["TLSv1.2", "TLSv1.3"] as const) {
        await assert.rejects(ask(port, { maxVersion }));
        await assert.rejects(ask(port, { maxVersion, ...other }));
        const first = await ask(port, { maxVersion, ...good });
        const second = await ask(port, { maxVersion, ...good, ...(first.session && { session: first.session }) });
        assert.equal(second.values.get("SSL_SESSION_RESUMED"), "Resumed", maxVersion);
        for (const { values } of [first, second]) {
          assert.equal(values.get("SSL_CLIENT_VERIFY"), "SUCCESS");
          assert.equal(values.get("SSL_CLIENT_S_DN"), "CN=Ada,O=Ex\\C3\\A4mple\\, Inc.");
          assert.equal(values.get("SSL_CLIENT_S_DN_CN"), "Ada");
          assert.equal(values.get("SSL_CLIENT_I_DN"), "CN=authority");
          assert.match(values.get("SSL_CLIENT_M_SERIAL") ?? "", /^[0-9A-F]{8,}$/);
          assert.match(values.get("SSL_CLIENT_V_END") ?? "", /^\w{3} +\d+ [\d:]+ \d{4} GMT$/);
          assert.match(
            values.get("SSL_CLIENT_CERT") ?? "",
            /^-----BEGIN CERTIFICATE-----\|.*\|-----END CERTIFICATE-----\|?$/,
          );
        }
      }
    });
  });

  test("optional: one may have none, also in a resumed session; a bad one is refused", async () => {
    await serving(["--client-cert", "optional"], async (port) => {
      const first = await ask(port);
      assert.equal(first.values.get("SSL_CLIENT_VERIFY"), "NONE");
      const again = await ask(port, first.session === undefined ? {} : { session: first.session });
      assert.deepEqual(
        [again.values.get("SSL_SESSION_RESUMED"), again.values.get("SSL_CLIENT_VERIFY")],
        ["Resumed", "NONE"],
      );
      assert.equal((await ask(port, good)).values.get("SSL_CLIENT_VERIFY"), "SUCCESS");
      await assert.rejects(ask(port, other));
    });
  });
});

describe("other modes", () => {
  test("embedded: TLS is the front's, whoever runs the application", async () => {
    const running = await startVivarium(application, {
      args: [...https, ...named(server), "--embedded", "--workers", "2"],
    });
    try {
      assert.equal((await ask(running.port)).values.get("wsgi.url_scheme"), "https");
    } finally {
      await running.stop();
    }
  });

  test("a gateway tells servers elsewhere that the client came by https", async () => {
    const behind = await startVivarium(application, {
      args: [
        "--listen",
        "http://127.0.0.1:0",
        "--listen",
        `fastcgi://unix:${folder}/fastcgi.sock`,
        "--trusted-proxies",
        "127.0.0.1",
        "--workers",
        "1",
      ],
    });
    try {
      for (const upstream of [behind.url, `fastcgi://unix:${folder}/fastcgi.sock`]) {
        const gateway = await startGateway({
          args: [...https, ...named(server), "--upstream", upstream, "--fronts", "1"],
        });
        try {
          const { values } = await ask(gateway.port);
          assert.deepEqual([values.get("wsgi.url_scheme"), values.get("HTTPS")], ["https", "on"], upstream);
        } finally {
          await gateway.stop();
        }
      }
    } finally {
      await behind.stop();
    }
  });
});

describe("a start with files that are no good says what to do", () => {
  const refused = async (args: readonly string[], code: number, sentence: RegExp): Promise<void> => {
    for (const command of ["run", "check"]) {
      const { code: status, stderr } = await vivarium([command, application, "--no-config", ...https, ...args]);
      assert.match(stderr, sentence);
      assert.equal(stderr.trimEnd().split("\n").length, 1, stderr);
      assert.equal(status, code);
    }
  };

  test("no certificate", () =>
    refused(
      [],
      2,
      /: https:\/\/127\.0\.0\.1:0 needs a certificate: name its file with --cert, and that of its key with --key\.\n$/,
    ));
  test("no key", () =>
    refused(
      ["--cert", server.cert],
      1,
      /: There is no private key in .*localhost\.pem: name the PEM file .* with --key\.\n$/,
    ));
  test("no such file", () =>
    refused(
      ["--cert", join(folder, "none.pem"), "--key", server.key],
      1,
      /: Cannot read the certificate in .*none\.pem: there is no such file\.\n$/,
    ));
  test("not PEM", async () => {
    writeFileSync(join(folder, "text.pem"), "hello\n");
    await refused(
      ["--cert", join(folder, "text.pem"), "--key", server.key],
      1,
      /: There is no certificate in .*text\.pem: a PEM file was expected/,
    );
  });
  test("damaged", async () => {
    const text = readFileSync(server.cert, "utf8").replace(/^M.{40}/m, "");
    writeFileSync(join(folder, "damaged.pem"), text);
    await refused(
      ["--cert", join(folder, "damaged.pem"), "--key", server.key],
      1,
      /: The PEM in .*damaged\.pem is damaged; write the file anew\.\n$/,
    );
  });
  test("another's key", () =>
    refused(
      ["--cert", server.cert, "--key", authority.key],
      1,
      /: The key in .*authority\.key does not belong to the certificate in .*localhost\.pem; /,
    ));
  test("a key with a passphrase", async () => {
    const locked = join(folder, "locked.key");
    spawnSync(program("openssl"), ["pkey", "-in", server.key, "-aes256", "-passout", "pass:secret", "-out", locked]);
    await refused(
      ["--cert", server.cert, "--key", locked],
      1,
      /: The key in .*locked\.key has a passphrase, and nobody is there to type it; store it without one: openssl pkey /,
    );
  });
  test("a directory as authority", () =>
    refused(
      [...named(server), "--client-ca", folder],
      1,
      /: Cannot read the certificate in .*: it is a directory\.\n$/,
    ));
});

test("check warns of a certificate that has expired, of one that soon will, and of a key that all can read", async () => {
  const old = makeCertificate(folder, "old", { days: -1 });
  const soon = makeCertificate(folder, "soon", { days: 9 });
  chmodSync(soon.key, 0o644);
  const toml = [
    `cert = "${old.cert}"`,
    `key = "${old.key}"`,
    "[[certificate]]",
    `cert = "${soon.cert}"`,
    `key = "${soon.key}"`,
  ];
  writeFileSync(join(folder, "warnings.toml"), `${toml.join("\n")}\n`);
  const { code, stdout, stderr } = await vivarium([
    "check",
    application,
    "--config",
    join(folder, "warnings.toml"),
    ...https,
  ]);
  assert.equal(code, 0, stderr);
  assert.match(stdout, /^certificate .*old\.pem\n {12}.*soon\.pem$/m);
  const lines = stderr.trimEnd().split("\n");
  assert.match(
    lines[0] ?? "",
    /: The certificate in .*old\.pem has expired on \d{4}-\d\d-\d\d, and clients refuse it; renew it/,
  );
  assert.match(lines[1] ?? "", /: The certificate in .*soon\.pem expires on \d{4}-\d\d-\d\d, in 8 days; renew it/);
  assert.match(lines[2] ?? "", /: Every user of this machine can read the key in .*soon\.key; .* chmod 600 /);
  assert.equal(lines.length, 3);
});

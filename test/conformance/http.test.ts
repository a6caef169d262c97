// Whole connections against the whole server: octets in, what the application saw and what became of the connection
// out. The tables in http/ hold what the test suites of other servers, and the RFCs, give to think about; the verdict on
// each is the RFCs' (9110, 9112, 3986, 3875), and where they leave a choice, the one that nobody downstream can misread.
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { makeCertificate } from "../support/certificates.js";
import { python, removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";
import type { Case } from "./http/cases.js";
import { target } from "./http/cases.js";
import { persistenceCases } from "./http/connection.js";
import { fieldCases } from "./http/fields.js";
import { chunkCases, lengthCases, trailerCases, transferCodingCases } from "./http/framing.js";
import { requestLineCases } from "./http/request-line.js";
import { absoluteCases, hostCases, targetCases } from "./http/targets.js";
import { Connection, type Response, values } from "./wsgi/connection.js";

const folder = join(root, "test", "conformance", "http");

/** An answer as the tables write it; fails where a page of Vivarium's own is not as it must be. */
function told(response: Response, method: string): string {
  assert.equal(values(response, "Date").length, 1, "every response has one Date (RFC 9110 §6.6.1)");
  const lengths = values(response, "Content-Length");
  assert.deepEqual(lengths, [method === "HEAD" ? lengths[0] : String(response.body.length)]);
  if (values(response, "Seen-By").length > 0) return method === "HEAD" ? "HEAD 200" : response.text;
  assert.deepEqual(values(response, "Connection"), ["close"]);
  assert.match(values(response, "Content-Type").join(), /^text\/plain/);
  return method === "HEAD" ? `HEAD ${response.status}` : String(response.status);
}

const tables: Readonly<Record<string, readonly Case[]>> = {
  "with a request line:": requestLineCases,
  "with a target:": targetCases,
  "with an absolute-form target": absoluteCases,
  "with Host:": hostCases,
  "with fields:": fieldCases,
  "with Content-Length:": lengthCases,
  "with Transfer-Encoding:": transferCodingCases,
  "with chunks:": chunkCases,
  "with trailers:": trailerCases,
  "on which": persistenceCases,
};

for (const secure of [false, true]) {
  describe(secure ? "a connection over TLS" : "a connection", () => {
    let server: Vivarium;
    let certificates = "";
    before(async () => {
      certificates = temporaryFolder("conformance");
      const { cert, key } = makeCertificate(certificates, "localhost");
      const args = ["--chdir", folder, "--workers", "1", "--access-log", "off", "--python", python()];
      if (secure) args.push("--listen", "https://127.0.0.1:0", "--cert", cert, "--key", key);
      server = await startVivarium("echo_app:application", { args, env: { PYTHONDONTWRITEBYTECODE: "1" } });
    });
    after(async () => {
      await server?.stop();
      removeFolder(certificates);
    });

    for (const [what, cases] of Object.entries(tables)) {
      describe(what, () => {
        for (const each of cases) test(each[0], () => check(server.port, secure, each));
      });
    }
  });
}

async function check(port: number, secure: boolean, [, octets, ...answered]: Case): Promise<void> {
  const outcome = answered.pop();
  const expected = secure ? answered.map(overTls) : answered;
  const connection = new Connection(port, secure);
  try {
    connection.send(octets);
    if (outcome === "waiting") connection.end();
    const answers: string[] = [];
    for (const answer of expected) {
      const method = /^[^a-z]* /.exec(answer) === null ? "GET" : (answer.split(" ")[0] ?? "");
      answers.push(told(await connection.response(method), method));
    }
    assert.deepEqual(answers, expected);
    if (outcome === "open") {
      connection.send(target("/next"));
      assert.equal(told(await connection.response(), "GET"), "GET /next");
    } else {
      assert.ok(await connection.ended(), "the connection is closed, with nothing more on it");
    }
  } finally {
    connection.close();
  }
}

/** The scheme is all that differs for an application. */
function overTls(answer: string): string {
  return answer.replace("url_scheme=http", "url_scheme=https").replace("no HTTPS", "HTTPS=on");
}

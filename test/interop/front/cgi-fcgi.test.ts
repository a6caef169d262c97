// cgi-fcgi, the FastCGI library's own client: it brings one request, from a CGI environment, to Vivarium's door.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { run } from "../../support/processes.js";
import { cgiFcgi, unavailable } from "../../support/tools.js";
import { type Vivarium, vivarium } from "../../support/vivarium.js";
import type { Answer, Ask } from "../suite/client.js";
import { pattern } from "../suite/pattern.js";
import { runAskCases } from "../suite/suite.js";
import { Site, startApplication } from "./support.js";

const facts = { port: 8001, client: "192.0.2.7" };

/** An octet a character, as text whose UTF-8 is these octets: what Node makes of an environment. */
const octets = (text: string): string => Buffer.from(text, "latin1").toString("utf8");

/** CGI/1.1 meta-variables as a web server makes them for an application at the root (RFC 3875 §4.1). */
function environmentOf(ask: Ask, length: number): Record<string, string> {
  const [path = "", query = ""] = ask.target.split(/\?(.*)/su);
  const environment: Record<string, string> = {
    GATEWAY_INTERFACE: "CGI/1.1",
    SERVER_PROTOCOL: "HTTP/1.1",
    SERVER_SOFTWARE: "cgi-fcgi",
    SERVER_NAME: "127.0.0.1",
    SERVER_PORT: String(facts.port),
    REMOTE_ADDR: facts.client,
    REQUEST_METHOD: ask.method ?? "GET",
    SCRIPT_NAME: "",
    PATH_INFO: octets(
      path.replace(/%([0-9A-F]{2})/giu, (_, hex: string) => String.fromCharCode(Number.parseInt(hex, 16))),
    ),
    QUERY_STRING: query,
    HTTP_HOST: ask.host ?? `127.0.0.1:${facts.port}`,
  };
  if (ask.body !== undefined) environment["CONTENT_LENGTH"] = String(length);
  const fields = ask.fields ?? [];
  for (let at = 0; at < fields.length; at += 2) {
    const name = (fields[at] ?? "").toUpperCase().replaceAll("-", "_");
    environment[name === "CONTENT_TYPE" ? name : `HTTP_${name}`] = octets(fields[at + 1] ?? "");
  }
  return environment;
}

/** What a CGI program prints, as an answer (RFC 3875 §6). Whether it is whole is more than it tells. */
function answerOf(output: Buffer): Answer {
  const end = output.indexOf("\r\n\r\n");
  assert.ok(end >= 0, output.toString("latin1").slice(0, 500));
  const lines = output.toString("latin1", 0, end).split("\r\n");
  const pairs = lines.map((line) => line.split(/: *(.*)/u).slice(0, 2));
  const status = pairs.find(([name = ""]) => name.toLowerCase() === "status")?.[1] ?? "200";
  const fields = pairs.filter(([name = ""]) => name.toLowerCase() !== "status").flat();
  return { status: Number.parseInt(status, 10), fields, body: output.subarray(end + 4), whole: true };
}

/** Asks through `cgi-fcgi -bind -connect SOCKET`. */
function askThrough(socket: string, ask: Ask): Promise<Answer> {
  const { body = "" } = ask;
  const pieces = typeof body === "string" ? [Buffer.from(body, "latin1")] : [...pattern(body)];
  const length = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const child = spawn(cgiFcgi(), ["-bind", "-connect", socket], { env: environmentOf(ask, length), stdio: "pipe" });
  const output: Buffer[] = [];
  child.stdout.on("data", (piece: Buffer) => output.push(piece));
  child.stdin.on("error", () => undefined);
  for (const piece of pieces) child.stdin.write(piece);
  child.stdin.end();
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", () => {
      try {
        resolve(answerOf(Buffer.concat(output)));
      } catch (error) {
        reject(error);
      }
    });
  });
}

/**
 * An environment has one value for a name, holds no octets that are not UTF-8 here, and says nothing of chunks; what is
 * printed does not tell a whole response from a cut one. And cgi-fcgi itself loses its way in a large response, where the
 * header of a record is split between two of its reads.
 */
const beyondIt = /latin-1|repeat|underscore|in chunks|never shows|HEAD|Date|several cookies|server$|response of 1 MiB/u;

describe("cgi-fcgi as a client", { skip: unavailable("cgi-fcgi") }, () => {
  let site: Site;
  let application: Vivarium;

  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, ["fastcgi"]);
  });
  after(async () => {
    await application?.stop();
    await site?.close();
  });

  runAskCases(
    (ask) => askThrough(join(site.folder, "fastcgi.sock"), ask),
    () => facts,
    { applies: (name) => !beyondIt.test(name) },
  );

  test("cgi-fcgi -start puts Vivarium at a socket of its own, on descriptor 0", async () => {
    site.installVivarium();
    const socket = join(site.folder, "started.sock");
    const control = join(site.folder, "control.sock");
    const command = ["run", join(site.folder, "app.py"), "--listen", "fastcgi://fd:0", "--control", control];
    // It takes no arguments for what it starts.
    site.script("started", `exec ${site.folder}/vivarium ${command.join(" ")}`);
    const started = await run(cgiFcgi(), ["-start", "-connect", socket, join(site.folder, "started")]);
    try {
      assert.equal(started.code, 0, started.stderr);
      const answer = await askThrough(socket, { method: "POST", target: "/echo", body: "from descriptor 0" });
      assert.equal(answer.body.toString(), "from descriptor 0");
    } finally {
      const stopped = await vivarium(["stop", "--control", control]);
      assert.equal(stopped.code, 0, stopped.stderr);
    }
  });
});

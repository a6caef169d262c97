// What becomes of certificates and ticket keys while days pass.
import assert from "node:assert/strict";
import { afterEach, beforeEach, mock, test } from "node:test";
import { type LogLine, logLine } from "../../src/channels.js";
import type { TlsMaterial } from "../../src/net/tls-identity.js";
import { Certificates } from "../../src/supervisor/certificates.js";
import { makeCertificate } from "../support/certificates.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

const hour = 3_600_000;
const day = 24 * hour;

let folder = "";
let lines: string[] = [];
const note = (message: unknown): void => {
  const { level, message: text } = message as LogLine;
  lines.push(`${level} ${text}`);
};
beforeEach(() => {
  folder = temporaryFolder("certificates");
  lines = [];
  logLine.subscribe(note);
  // Later than the certificates are made, however long that takes.
  mock.timers.enable({ apis: ["setTimeout", "Date"], now: Date.now() + hour });
});
afterEach(() => {
  mock.timers.reset();
  logLine.unsubscribe(note);
  removeFolder(folder);
});

/** Of a certificate that is valid for so many days. */
function certificates(days: number, renewed: (material: TlsMaterial) => void): Certificates {
  const files = makeCertificate(folder, "site", { days });
  return new Certificates({ certificates: [files], clientCa: "", clientCert: "required", minVersion: "1.2" }, renewed);
}

test("ticket keys are made anew every twelve hours, and nothing else is", () => {
  const told: TlsMaterial[] = [];
  const made = certificates(90, (material) => told.push(material));
  const first = made.material;
  mock.timers.tick(12 * hour - 1);
  assert.deepEqual(made.material, first);
  mock.timers.tick(1);
  mock.timers.tick(12 * hour);
  assert.equal(told.length, 2);
  assert.deepEqual(told[1], made.material);
  assert.equal(new Set([first, ...told].map(({ ticketKeys }) => ticketKeys)).size, 3);
  for (const { identities } of told) assert.deepEqual(identities, first.identities);
  made.close();
  mock.timers.tick(day);
  assert.equal(told.length, 2);
});

test("an expiry that is near is told once a day, and so is one that has come", () => {
  const made = certificates(15, () => {});
  assert.deepEqual(lines, []);
  for (let days = 1; days <= 16; days += 1) mock.timers.tick(day);
  made.close();
  const near = lines.filter((line) =>
    /^warning The certificate in .*site\.pem expires on \S+, in \d+ days?; renew it: /.test(line),
  );
  const past = lines.filter((line) =>
    /^warning The certificate in .*site\.pem has expired on \S+, and clients refuse it; /.test(line),
  );
  assert.deepEqual([near.length, past.length, lines.length], [14, 2, 16], lines.join("\n"));
  assert.match(near[0] ?? "", /, in 13 days; /);
  assert.match(near.at(-1) ?? "", /, in 0 days; /);
});

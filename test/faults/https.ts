// An https listener for the tests of a file or of a suite.
import { after, before } from "node:test";
import { type CertificateFiles, makeCertificate } from "../support/certificates.js";
import { removeFolder, temporaryFolder } from "../support/tools.js";

export interface HttpsListener {
  /** Where its certificate is. */
  readonly folder: string;
  readonly files: CertificateFiles;
  /** The options that have it. */
  readonly args: readonly string[];
}

/** Made before the first test of the file or suite that calls this, and removed after its last: only tests may ask for it. */
export function httpsListener(): () => HttpsListener {
  let made: HttpsListener | undefined;
  before(() => {
    const folder = temporaryFolder("https");
    const files = makeCertificate(folder, "localhost");
    const args = ["--listen", "https://127.0.0.1:0", "--cert", files.cert, "--key", files.key];
    made = { folder, files, args };
  });
  after(() => {
    if (made !== undefined) removeFolder(made.folder);
  });
  return () => {
    if (made === undefined) throw new Error("no test has begun");
    return made;
  };
}

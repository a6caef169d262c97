// Certificates made by openssl when a test needs them, so that none in the repository ever expires.
import { spawnSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { program } from "./tools.js";

export interface CertificateFiles {
  readonly cert: string;
  readonly key: string;
}

export interface CertificateWishes {
  /** "/O=Example/CN=Ada"; by default the name. */
  readonly subject?: string;
  /** As in a configuration of openssl: "DNS:localhost,IP:127.0.0.1". */
  readonly names?: string;
  /** Valid for so long; below 0 it has expired. */
  readonly days?: number;
  /** Whose key signs it. By default its own. */
  readonly issuer?: CertificateFiles;
}

/** Makes NAME.pem and NAME.key in a folder, or takes their place. */
export function makeCertificate(folder: string, name: string, wishes: CertificateWishes = {}): CertificateFiles {
  const files = { cert: join(folder, `${name}.pem`), key: join(folder, `${name}.key`) };
  const { subject = `/CN=${name}`, names, days = 90, issuer } = wishes;
  const request = join(folder, `${name}.csr`);
  const extensions = join(folder, `${name}.ext`);
  openssl("ecparam", "-genkey", "-name", "prime256v1", "-noout", "-out", files.key);
  openssl("req", "-new", "-utf8", "-key", files.key, "-subj", subject, "-out", request);
  const authority = issuer === undefined ? "basicConstraints=critical,CA:TRUE\n" : "";
  writeFileSync(extensions, `${authority}${names === undefined ? "" : `subjectAltName=${names}\n`}`);
  const signer =
    issuer === undefined ? ["-signkey", files.key] : ["-CA", issuer.cert, "-CAkey", issuer.key, "-CAcreateserial"];
  openssl("x509", "-req", "-in", request, "-days", String(days), "-extfile", extensions, ...signer, "-out", files.cert);
  return files;
}

/** Runs openssl to its end; what it printed. Throws where it fails. */
export function openssl(...args: readonly string[]): string {
  const { status, stdout, stderr } = spawnSync(program("openssl"), args, { encoding: "utf8", input: "" });
  if (status !== 0) throw new Error(`openssl ${args.join(" ")}: ${stderr}`);
  return stdout;
}

// A certificate and its key, read from their files and found to fit. Whoever serves with them gets PEM that has been looked at.
import { createPrivateKey, type KeyObject, X509Certificate } from "node:crypto";
import { readFileSync, statSync } from "node:fs";
import { createSecureContext } from "node:tls";
import type { CertificateFiles } from "../config/config.js";
import { type VivariumError, vivariumError } from "../errors.js";

export interface Identity {
  readonly files: CertificateFiles;
  /** PEM: the server's own certificate first, then those that lead to its issuer. */
  readonly cert: string;
  readonly key: string;
  /** Names that clients may ask for, in lower case, "*.example.com" among them. */
  readonly names: readonly string[];
  /** Milliseconds since the epoch. */
  readonly validFrom: number;
  readonly validTo: number;
}

/** What connections are secured with. It travels from the supervisor, which has read it, to each front. */
export interface TlsMaterial {
  readonly identities: readonly {
    /** PEM. */
    readonly cert: string;
    readonly key: string;
    /** In lower case, "*.example.com" among them. */
    readonly names: readonly string[];
  }[];
  /** PEM; "": clients are not asked for certificates. */
  readonly clientCa: string;
  /** 48 octets, base64: any front can resume what another began (RFC 5077, RFC 8446 §4.6.1). */
  readonly ticketKeys: string;
}

/** Throws ERR_TLS_FILE or ERR_TLS_KEY, with a sentence that says what to do. */
export function readIdentity(files: CertificateFiles): Identity {
  const cert = readPem(files.cert, "certificate");
  const key = readPem(files.key, "private key");
  const certificate = certificateOf(files, cert);
  if (!certificate.checkPrivateKey(keyOf(files, key))) {
    throw vivariumError(
      "ERR_TLS_KEY",
      `The key in ${files.key} does not belong to the certificate in ${files.cert}; name the key it was made with (--key), and put the server's certificate first in its file.`,
    );
  }
  try {
    // What remains is OpenSSL's own policy: keys that are too short, signatures that are too weak.
    createSecureContext({ cert, key });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message.replace(/^error:\w+:[^:]*:[^:]*:/u, "") : String(cause);
    throw vivariumError(
      "ERR_TLS_KEY",
      `OpenSSL does not serve with ${files.cert}: ${why}; get a certificate with a stronger key.`,
      {
        cause,
      },
    );
  }
  return {
    files,
    cert,
    key,
    names: namesOf(certificate),
    validFrom: Date.parse(certificate.validFrom),
    validTo: Date.parse(certificate.validTo),
  };
}

/** Certificates of issuers. Throws ERR_TLS_FILE. */
export function readAuthorities(file: string): string {
  const text = readPem(file, "certificate");
  for (const [pem] of text.matchAll(/-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----/gsu)) parse(file, pem);
  return text;
}

/** Whether every user of this machine can read the key. */
export function isOpenToAll(file: string): boolean {
  return ((statSync(file, { throwIfNoEntry: false })?.mode ?? 0) & 0o004) !== 0;
}

const beginnings: Readonly<Record<"certificate" | "private key", RegExp>> = {
  certificate: /-----BEGIN CERTIFICATE-----/u,
  "private key": /-----BEGIN (?:[A-Z]+ )*PRIVATE KEY-----/u,
};

function readPem(file: string, what: "certificate" | "private key"): string {
  let text: string;
  try {
    text = readFileSync(file, "latin1");
  } catch (cause) {
    throw vivariumError("ERR_TLS_FILE", `Cannot read the ${what} in ${file}: ${reason(cause)}.`, { cause });
  }
  if (beginnings[what].test(text)) return text;
  throw vivariumError(
    "ERR_TLS_FILE",
    what === "certificate"
      ? `There is no certificate in ${file}: a PEM file was expected, which has "-----BEGIN CERTIFICATE-----" in it.`
      : `There is no private key in ${file}: name the PEM file that has "-----BEGIN PRIVATE KEY-----" in it with --key.`,
  );
}

function reason(error: unknown): string {
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    ENOTDIR: "there is no such file",
    EISDIR: "it is a directory",
    EACCES: "this user may not read it; let the user who runs the server own it, or its group read it",
  };
  return reasons[code] ?? (error instanceof Error ? error.message : String(error));
}

function certificateOf({ cert: file }: CertificateFiles, cert: string): X509Certificate {
  return parse(file, cert);
}

function parse(file: string, pem: string): X509Certificate {
  try {
    return new X509Certificate(pem);
  } catch (cause) {
    throw brokenFile(file, cause);
  }
}

function brokenFile(file: string, cause: unknown): VivariumError {
  return vivariumError("ERR_TLS_FILE", `The PEM in ${file} is damaged; write the file anew.`, { cause });
}

function keyOf({ key: file }: CertificateFiles, key: string): KeyObject {
  try {
    return createPrivateKey(key);
  } catch (cause) {
    // RFC 5958 §3, RFC 1421 §4.6.1.1
    if (/^(?:-----BEGIN ENCRYPTED|Proc-Type: 4,ENCRYPTED)/mu.test(key)) {
      throw vivariumError(
        "ERR_TLS_KEY",
        `The key in ${file} has a passphrase, and nobody is there to type it; store it without one: openssl pkey -in ${file} -out NEW.`,
        { cause },
      );
    }
    throw brokenFile(file, cause);
  }
}

/** The certificate's DNS names (RFC 6125 §6.4.4: the common name counts only where there are none). */
function namesOf(certificate: X509Certificate): readonly string[] {
  const alternatives = certificate.subjectAltName?.split(", ") ?? [];
  const names = alternatives.flatMap((each) => (each.startsWith("DNS:") ? [each.slice(4).toLowerCase()] : []));
  if (names.length > 0) return names;
  const common = /^CN=(.+)$/mu.exec(certificate.subject)?.[1];
  return common === undefined ? [] : [common.toLowerCase()];
}

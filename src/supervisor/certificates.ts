// The certificates and keys of https listeners. The supervisor reads them, so that every front has the same, one that takes another's
// place has those in use although the files are being changed or are broken, and a front never opens a key's file. They are read
// anew when one of their files changes, and at a reload; a pair that is no good is refused, and the one before stays.
import { randomBytes } from "node:crypto";
import { log } from "../channels.js";
import type { CertificateFiles, TlsConfig } from "../config/config.js";
import { VivariumError, vivariumError } from "../errors.js";
import { later } from "../net/deadline.js";
import { type Identity, isOpenToAll, readAuthorities, readIdentity, type TlsMaterial } from "../net/tls-identity.js";
import type { CertificateStatus } from "./status.js";
import { watchTouched } from "./touch.js";

/** Milliseconds after a change: certificate and key are two files, and both have to be there. */
const settleAfter = 1000;

/**
 * Ticket keys are made anew so often, ms: who steals one can read what was sent in sessions it has resumed, but no others (RFC 8446
 * appendix C.4). Clients with older tickets shake hands in full.
 */
const rotateAfter = 12 * 3600 * 1000;

const day = 86_400_000;
/** An expiry that is so near is told, once a day. */
const warnBefore = 14 * day;

/** One pair of files, and what is wrong with what they hold now. */
interface Entry {
  readonly files: CertificateFiles;
  identity: Identity;
  problem: string;
}

export class Certificates {
  readonly #config: TlsConfig;
  readonly #renewed: (material: TlsMaterial) => void;
  readonly #entries: readonly Entry[];
  #clientCa: string;
  #ticketKeys: string = freshTicketKeys();
  readonly #ends: (() => void)[] = [];
  #cancelReading: (() => void) | undefined;

  /** Reads them. Throws ERR_TLS_…. `renewed` is told what connections are to be secured with from then on. */
  constructor(config: TlsConfig, renewed: (material: TlsMaterial) => void) {
    this.#config = config;
    this.#renewed = renewed;
    this.#entries = config.certificates.map((files) => ({ files, identity: readIdentity(files), problem: "" }));
    this.#clientCa = config.clientCa === "" ? "" : readAuthorities(config.clientCa);
    for (const warning of warningsOf(this.#entries.map(({ identity }) => identity)))
      log("warning", "supervisor", warning);
    const files = config.certificates.flatMap(({ cert, key }) => [cert, key]);
    const watched = new Set(config.clientCa === "" ? files : [...files, config.clientCa]);
    this.#ends.push(watchTouched([...watched], () => this.#touched()));
    this.#every(rotateAfter, () => this.#rotate());
    this.#every(day, () => this.#warnOfExpiry());
  }

  get material(): TlsMaterial {
    return {
      identities: this.#entries.map(({ identity: { cert, key, names } }) => ({ cert, key, names })),
      clientCa: this.#clientCa,
      ticketKeys: this.#ticketKeys,
    };
  }

  get status(): readonly CertificateStatus[] {
    return this.#entries.map(({ files: { cert }, identity: { names, validTo }, problem }) => ({
      file: cert,
      names,
      expires: new Date(validTo).toISOString(),
      problem,
    }));
  }

  /** Reads the files anew; the log tells what has come of it. */
  reread(): void {
    let changed = false;
    for (const entry of this.#entries) changed = this.#rereadEntry(entry) || changed;
    changed = this.#rereadAuthorities() || changed;
    if (changed) this.#renewed(this.material);
  }

  close(): void {
    this.#cancelReading?.();
    for (const end of this.#ends) end();
  }

  #touched(): void {
    this.#cancelReading?.();
    this.#cancelReading = later(settleAfter, () => this.reread());
  }

  /** Whether there is a new one. */
  #rereadEntry(entry: Entry): boolean {
    const { files, identity: before } = entry;
    try {
      const identity = readIdentity(files);
      entry.problem = "";
      if (identity.cert === before.cert && identity.key === before.key) return false;
      if (identity.validTo < Date.now()) throw expired(identity);
      entry.identity = identity;
      log(
        "info",
        "supervisor",
        `The certificate in ${files.cert} is in use now; it is good until ${dateOf(identity.validTo)}.`,
      );
      return true;
    } catch (error) {
      entry.problem = problemOf(error);
      log("error", "supervisor", `${entry.problem} The certificate before it stays in use.`);
      return false;
    }
  }

  #rereadAuthorities(): boolean {
    const { clientCa: file } = this.#config;
    if (file === "") return false;
    try {
      const authorities = readAuthorities(file);
      if (authorities === this.#clientCa) return false;
      this.#clientCa = authorities;
      log("info", "supervisor", `The certificates in ${file} (--client-ca) are in use now.`);
      return true;
    } catch (error) {
      log("error", "supervisor", `${problemOf(error)} Those before (--client-ca) stay in use.`);
      return false;
    }
  }

  #rotate(): void {
    this.#ticketKeys = freshTicketKeys();
    this.#renewed(this.material);
  }

  #warnOfExpiry(): void {
    for (const { identity } of this.#entries) {
      const warning = expiryWarning(identity);
      if (warning !== undefined) log("warning", "supervisor", warning);
    }
  }

  #every(milliseconds: number, act: () => void): void {
    let cancel = (): void => {};
    const next = (): void => {
      cancel = later(milliseconds, () => {
        act();
        next();
      });
    };
    next();
    this.#ends.push(() => cancel());
  }
}

/** Reads what a configuration names. Throws ERR_TLS_…; gives what is no reason not to serve, but should be known. */
export function inspect({ certificates, clientCa }: TlsConfig): readonly string[] {
  const warnings = warningsOf(certificates.map(readIdentity));
  if (clientCa !== "") readAuthorities(clientCa);
  return warnings;
}

function warningsOf(identities: readonly Identity[]): readonly string[] {
  return identities.flatMap((identity) => {
    const { key } = identity.files;
    const open = `Every user of this machine can read the key in ${key}; make it the server's alone: chmod 600 ${key}.`;
    return [expiryWarning(identity) ?? [], isOpenToAll(key) ? open : []].flat();
  });
}

/** That it is near, or past, or that the certificate is not valid yet. */
function expiryWarning(identity: Identity): string | undefined {
  const { files, validFrom, validTo } = identity;
  const left = validTo - Date.now();
  if (left < 0) return expired(identity).message;
  if (validFrom > Date.now()) {
    return `The certificate in ${files.cert} is valid only from ${dateOf(validFrom)}; clients refuse it until then. Is this machine's clock right?`;
  }
  if (left > warnBefore) return undefined;
  const days = Math.floor(left / day);
  return `The certificate in ${files.cert} expires on ${dateOf(validTo)}, in ${days} ${days === 1 ? "day" : "days"}; renew it: a new file is taken into use by itself.`;
}

function expired({ files, validTo }: Identity): VivariumError {
  return vivariumError(
    "ERR_TLS_EXPIRED",
    `The certificate in ${files.cert} has expired on ${dateOf(validTo)}, and clients refuse it; renew it: a new file is taken into use by itself.`,
  );
}

function dateOf(milliseconds: number): string {
  return new Date(milliseconds).toISOString().slice(0, 10);
}

function problemOf(error: unknown): string {
  if (error instanceof VivariumError) return error.message;
  throw error;
}

/** What Node wants: a name of 16 octets and two keys as long. */
function freshTicketKeys(): string {
  return randomBytes(48).toString("base64");
}

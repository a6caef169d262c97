// Readers: one per kind of value. A flag's text and a TOML value go through the same reader, so both mean the same. A
// reader gives the value, or an `Expected` that completes the sentence "<key> must be …".
import { isIP } from "node:net";
import { resolve } from "node:path";

/** What a value should have been: "a whole number from 1 to 1024". */
export class Expected {
  readonly what: string;
  /** Of a list, the entries that are not; otherwise empty. */
  readonly wrong: readonly unknown[];
  constructor(what: string, wrong: readonly unknown[] = []) {
    this.what = what;
    this.wrong = wrong;
  }
}

/** What surrounds a value. */
export interface ReadContext {
  /** Absolute directory that relative paths start from: of the file a value stands in, else the current one. */
  readonly base: string;
  /** The application's directory, absolute; only `chdir` itself is read without it (and finds `base` here). */
  readonly chdir: string;
  /** The target, once it is known; for names made from it. */
  readonly target: string;
  readonly environment: Readonly<Record<string, string | undefined>>;
}

export type Reader<Value> = (value: unknown, context: ReadContext) => Value | Expected;

export function count(least: number, most: number): Reader<number> {
  return (value) => {
    const number = typeof value === "string" && /^\d{1,15}$/u.test(value) ? Number(value) : value;
    return typeof number === "number" && Number.isInteger(number) && number >= least && number <= most
      ? number
      : new Expected(`a whole number from ${least} to ${most}`);
  };
}

/** `other`, or the word "auto", which stands for `auto()`. */
export function orAuto<Value, Auto>(other: Reader<Value>, auto: () => Auto): Reader<Value | Auto> {
  return (value, context) => {
    if (value === "auto") return auto();
    const read = other(value, context);
    return read instanceof Expected ? new Expected(`${read.what}, or "auto"`) : read;
  };
}

const UNITS: Readonly<Record<string, number>> = { "": 1, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30 };

/** A number of octets: 65536, "64k", "1m", "1g" (powers of 1024, in either case). */
export function octets(least: number, most: number = Number.MAX_SAFE_INTEGER): Reader<number> {
  return (value) => {
    const [, digits, unit] = /^(\d{1,15})([kmgKMG]?)$/u.exec(String(value)) ?? [];
    const factor = UNITS[unit?.toLowerCase() ?? ""];
    if ((typeof value === "string" || typeof value === "number") && digits !== undefined && factor !== undefined) {
      const number = Number(digits) * factor;
      if (number >= least && number <= most) return number;
    }
    const to = most === Number.MAX_SAFE_INTEGER ? "" : ` to ${formatOctets(most)}`;
    return new Expected(`a size from ${formatOctets(least)}${to}, as in 65536, "256k", "1m" or "1g"`);
  };
}

/** The shortest way to write a number of octets, as `octets` reads it. */
export function formatOctets(number: number): string {
  for (const unit of ["g", "m", "k"]) {
    const factor = UNITS[unit] ?? 1;
    if (number >= factor && number % factor === 0) return `${number / factor}${unit}`;
  }
  return String(number);
}

/** A day: timers overflow at 24 of them, and nobody waits for one. */
const LONGEST = 86_400;

/** Seconds, fractions allowed. `least` 0 stands for "at once"; otherwise anything above 0 will do. */
export function seconds(least: 0 | "above 0"): Reader<number> {
  return (value) => {
    const number = typeof value === "string" && /^\d{1,9}(\.\d{1,9})?$/u.test(value) ? Number(value) : value;
    return typeof number === "number" && number >= 0 && number <= LONGEST && (number > 0 || least === 0)
      ? number
      : new Expected(`a number of seconds ${least === 0 ? "from 0" : "above 0 and"} up to ${LONGEST}`);
  };
}

/** One of these words. */
export function oneOf<Word extends string>(...words: readonly Word[]): Reader<Word> {
  const quoted = words.map((word) => `"${word}"`);
  return (value) =>
    words.find((word) => word === value) ?? new Expected(`${quoted.slice(0, -1).join(", ")} or ${quoted.at(-1)}`);
}

export function boolean(value: unknown): boolean | Expected {
  return typeof value === "boolean" ? value : new Expected("true or false");
}

/** Several values: a list in TOML, a repeated flag; one alone may stand without brackets. */
export function list<Value>(each: Reader<Value>, split?: RegExp): Reader<readonly Value[]> {
  return (value, context) => {
    const given: readonly unknown[] = Array.isArray(value) ? value : [value];
    const entries = given.flatMap((one) => (typeof one === "string" && split !== undefined ? one.split(split) : [one]));
    const found: Value[] = [];
    for (const entry of entries) {
      const read = each(entry, context);
      if (read instanceof Expected) return new Expected(read.what, [entry]);
      found.push(read);
    }
    return Object.freeze(found);
  };
}

/** An absolute path; relative ones start from the context's base. */
export function path(value: unknown, context: ReadContext): string | Expected {
  return typeof value === "string" && value !== "" && !value.includes("\0")
    ? resolve(context.base, value)
    : new Expected("a path");
}

/** A URL prefix: "" or "/prefix", with no closing slash. */
export function prefix(value: unknown): string | Expected {
  const trimmed = typeof value === "string" ? value.replace(/\/+$/u, "") : undefined;
  // The prefix is compared with the decoded path, in which dot segments, queries and control bytes never occur.
  return trimmed !== undefined && /^(\/(?!\.{1,2}(\/|$))[^/?#%\u0000-\u0020\u007f]+)*$/u.test(trimmed)
    ? trimmed
    : new Expected('a path prefix such as "/blog", beginning with a slash and not percent-encoded');
}

/** Something to ask a server for: "" or "/path?query". */
export function healthPath(value: unknown): string | Expected {
  return typeof value === "string" && /^(\/[!-~]*)?$/u.test(value) && !value.includes("#")
    ? value
    : new Expected('a path such as "/health", percent-encoded where it needs to be');
}

/** An address, a network in CIDR notation, or "unix" for whoever connects to a unix socket. */
export function peer(value: unknown): string | Expected {
  if (value === "unix") return value;
  const [address = "", bits, ...rest] = typeof value === "string" ? value.split("/") : [];
  const width = isIP(address) === 4 ? 32 : isIP(address) === 6 ? 128 : -1;
  const good =
    width > 0 && rest.length === 0 && (bits === undefined || (/^\d{1,3}$/u.test(bits) && Number(bits) <= width));
  return good && typeof value === "string"
    ? value
    : new Expected('IP addresses, networks such as 10.0.0.0/8, or "unix"');
}

export function logTarget(value: unknown, context: ReadContext): string | Expected {
  if (value === "off" || value === "-") return value;
  const file = path(value, context);
  return file instanceof Expected ? new Expected('"off", "-" for standard output, or a file\'s path') : file;
}

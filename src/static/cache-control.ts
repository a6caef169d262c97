import { vivariumError } from "../errors.js";
import { isFieldValue } from "../protocol/http1/grammar.js";
import type { CacheRule } from "./config.js";

/** What Cache-Control a file has by its path below the root (no leading slash, octets as latin-1); "" for none. */
export type CacheControl = (path: string) => string;

/** Throws ERR_CONFIG_VALUE for a value that no header field can hold. */
export function cacheControl(rules: readonly CacheRule[]): CacheControl {
  const compiled = rules.map(({ pattern, value }) => {
    if (value === "" || !isFieldValue(value)) {
      throw vivariumError(
        "ERR_CONFIG_VALUE",
        `The Cache-Control for ${pattern} is not a value a header field can have.`,
      );
    }
    return { matches: globMatcher(pattern), value };
  });
  return (path) => compiled.find(({ matches }) => matches(path))?.value ?? "";
}

/** The globs of CacheRule. Paths are octets, patterns text: they are compared as octets. */
export function globMatcher(pattern: string): (path: string) => boolean {
  const octets = Buffer.from(pattern, "utf8").toString("latin1");
  const whole = octets.includes("/");
  const expression = new RegExp(`^${source(octets.replace(/^\//, ""))}$`, "s");
  return (path) => expression.test(whole ? path : path.slice(path.lastIndexOf("/") + 1));
}

const special = /\*\*\/|\*\*|\*|\?|\{[^{}]*\}|[\\^$.|+()[\]{}]/g;

/** A brace without its partner is an ordinary character. */
function source(glob: string): string {
  return glob.replace(special, (token) => {
    switch (token) {
      case "**/":
        return "(?:.*/)?";
      case "**":
        return ".*";
      case "*":
        return "[^/]*";
      case "?":
        return "[^/]";
      default:
        if (token.length === 1) return `\\${token}`;
        return `(?:${token.slice(1, -1).split(",").map(source).join("|")})`;
    }
  });
}

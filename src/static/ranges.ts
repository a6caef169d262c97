// Byte ranges (RFC 9110 §14).

/** Octets `from` up to and without `to`. */
export interface ByteRange {
  readonly from: number;
  readonly to: number;
}

/** What becomes of a request with a Range: its parts, none of which can be satisfied (416), or the whole after all. */
export type Ranges = readonly ByteRange[] | "unsatisfiable" | "whole";

/**
 * More ranges than this in one request are answered with the whole (RFC 9110 §14.2 allows it, §17.15 says why: each part
 * costs a head of its own, so a short request could ask for a long answer).
 */
const rangesMost = 64;
/** Parts closer than this become one: the head of another part is as long. */
const gapMost = 100;

const spec = /^(?:([0-9]+)-([0-9]*)|-([0-9]+))$/;

/**
 * The parts that a Range field asks for of `size` octets, in the order asked, those that overlap or almost touch made one
 * (§15.3.7.2). Of an unknown unit or malformed: the whole (§14.2).
 */
export function parseRanges(field: string, size: number): Ranges {
  const equals = field.indexOf("=");
  if (equals < 0 || field.slice(0, equals).toLowerCase() !== "bytes") return "whole";
  const specs = field.slice(equals + 1).split(",", rangesMost + 1);
  if (specs.length > rangesMost) return "whole";
  const parts: ByteRange[] = [];
  let empty = true;
  for (const text of specs) {
    const trimmed = text.replace(/^[\t ]+|[\t ]+$/g, "");
    // Empty elements of a list are ignored (§5.6.1.2).
    if (trimmed === "") continue;
    empty = false;
    const range = resolve(trimmed, size);
    if (range === undefined) return "whole";
    if (range.from < range.to) add(parts, range);
    // An empty file has no part to show, but all of it is what a suffix asks for (§14.1.2).
    else if (size === 0 && /^-0*[1-9]/.test(trimmed)) return "whole";
  }
  if (empty) return "whole";
  return parts.length === 0 ? "unsatisfiable" : parts;
}

/** An empty range where it cannot be satisfied, undefined where it is malformed. */
function resolve(text: string, size: number): ByteRange | undefined {
  const match = spec.exec(text);
  if (match === null) return undefined;
  const [, first, last, suffix] = match;
  if (suffix !== undefined) return { from: Math.max(0, size - Number(suffix)), to: size };
  const from = Number(first);
  if (last === undefined || last === "") return { from, to: size };
  // Compared as numbers: what is too long to be exact is beyond any file anyway.
  if (Number(last) < from) return undefined;
  return { from, to: Math.min(size, Number(last) + 1) };
}

/** Adds a range; those it overlaps or almost touches become one, in the place of the first of them. */
function add(parts: ByteRange[], range: ByteRange): void {
  let { from, to } = range;
  let place = parts.length;
  for (;;) {
    const at = parts.findIndex((part) => from <= part.to + gapMost && part.from <= to + gapMost);
    const [near] = at < 0 ? [] : parts.splice(at, 1);
    if (near === undefined) break;
    from = Math.min(from, near.from);
    to = Math.max(to, near.to);
    place = Math.min(place, at);
  }
  parts.splice(place, 0, { from, to });
}

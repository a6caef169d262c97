// Which precompressed sibling of a file answers (RFC 9110 §12.5.3).

/** Content codings and the siblings they are in, in the order of preference where a client has none. */
export const codings: readonly { readonly coding: Coding; readonly suffix: string }[] = [
  { coding: "br", suffix: ".br" },
  { coding: "zstd", suffix: ".zst" },
  { coding: "gzip", suffix: ".gz" },
];

export type Coding = "br" | "zstd" | "gzip";

/** `coding;q=0.5`; a weight has at most three decimals (§12.4.2). */
const element = /^([!#$%&'*+\-.^_`|~0-9A-Za-z]+)(?:[\t ]*;[\t ]*[qQ]=(0(?:\.[0-9]{0,3})?|1(?:\.0{0,3})?))?$/;

/** The last field read: most requests of a time come from a few kinds of browser. */
let lastField = "";
let lastCodings: readonly Coding[] = [];

/**
 * The codings that a client takes in place of the file itself, best first. Those it likes less than the file itself
 * (`identity`) are left out; a malformed element is as good as absent. Never does this leave nothing to send: a client that
 * refuses `identity` and has no other choice gets the file all the same, as §12.5.3 suggests.
 */
export function acceptedCodings(field: string | undefined): readonly Coding[] {
  if (field === undefined || field === "") return [];
  if (field === lastField) return lastCodings;
  const weights = new Map<string, number>();
  for (const text of field.split(",")) {
    const match = element.exec(text.trim());
    if (match !== null) weights.set(canonical(match[1] ?? ""), Number(match[2] ?? 1));
  }
  const other = weights.get("*") ?? 0;
  const identity = weights.get("identity") ?? 0;
  const weighed = codings
    .map(({ coding }) => ({ coding, weight: weights.get(coding) ?? other }))
    .filter(({ weight }) => weight > 0 && weight >= identity)
    // Stable: equals stay in our order.
    .sort((a, b) => b.weight - a.weight);
  lastField = field;
  lastCodings = weighed.map(({ coding }) => coding);
  return lastCodings;
}

/** The first accepted coding that is there; "" for the file itself. */
export function firstOf(accepted: readonly Coding[], there: readonly Coding[]): Coding | "" {
  return accepted.find((coding) => there.includes(coding)) ?? "";
}

/** x-gzip is gzip (RFC 9110 §8.4.1.3). */
function canonical(name: string): string {
  const lower = name.toLowerCase();
  return lower === "x-gzip" ? "gzip" : lower;
}

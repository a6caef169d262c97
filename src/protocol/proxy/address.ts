// IPv6 addresses as text (RFC 4291 §2.2) and as octets; written as everybody does (RFC 5952).

/** The 16 octets of an address; undefined where the text is none. Without a zone: a PROXY header names none. */
export function parseV6(text: string): Uint8Array | undefined {
  const v4 = /^(.*:)(\d{1,3}(?:\.\d{1,3}){3})$/.exec(text);
  const embedded = v4 === null ? undefined : parseV4(v4[2] ?? "");
  if (v4 !== null && embedded === undefined) return undefined;
  const hex = (octet = 0, next = 0): string => ((octet << 8) | next).toString(16);
  const [a, b, c, d] = embedded ?? [];
  const plain = v4 === null ? text : `${v4[1]}${hex(a, b)}:${hex(c, d)}`;
  if (!/^[0-9A-Fa-f:]{2,39}$/.test(plain)) return undefined;
  const [head = "", tail, ...more] = plain.split("::");
  if (more.length > 0) return undefined;
  const left = groups(head);
  const right = tail === undefined ? [] : groups(tail);
  if (left === undefined || right === undefined) return undefined;
  const missing = 8 - left.length - right.length;
  if (tail === undefined ? missing !== 0 : missing < 1) return undefined;
  const octets = new Uint8Array(16);
  for (const [index, group] of [...left, ...new Array<number>(missing).fill(0), ...right].entries()) {
    octets[2 * index] = group >> 8;
    octets[2 * index + 1] = group & 0xff;
  }
  return octets;
}

function groups(text: string): number[] | undefined {
  if (text === "") return [];
  const parts = text.split(":");
  return parts.every((part) => /^[0-9A-Fa-f]{1,4}$/.test(part))
    ? parts.map((part) => Number.parseInt(part, 16))
    : undefined;
}

/** The 4 octets; numbers have no leading zeros, which some take for octal. */
export function parseV4(text: string): Uint8Array | undefined {
  const parts = text.split(".");
  const good = parts.length === 4 && parts.every((part) => /^(0|[1-9]\d{0,2})$/.test(part) && Number(part) < 256);
  return good ? Uint8Array.from(parts, Number) : undefined;
}

export function formatV4(octets: Uint8Array): string {
  return octets.join(".");
}

/** RFC 5952 §4: lower case, no leading zeros, the longest run of zeros left out, the first of several. */
export function formatV6(octets: Uint8Array): string {
  const mapped = octets.subarray(0, 10).every((octet) => octet === 0) && octets[10] === 0xff && octets[11] === 0xff;
  if (mapped) return `::ffff:${formatV4(octets.subarray(12))}`;
  const numbers = Array.from(
    { length: 8 },
    (_, index) => ((octets[2 * index] ?? 0) << 8) | (octets[2 * index + 1] ?? 0),
  );
  let from = 0;
  let longest = 1;
  for (let at = 0; at < 8; at += 1) {
    let end = at;
    while (numbers[end] === 0) end += 1;
    if (end - at > longest) {
      from = at;
      longest = end - at;
    }
  }
  const text = (part: readonly number[]): string => part.map((number) => number.toString(16)).join(":");
  return longest === 1 ? text(numbers) : `${text(numbers.slice(0, from))}::${text(numbers.slice(from + longest))}`;
}

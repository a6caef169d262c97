// Dates of HTTP (RFC 9110 §5.6.7). Date.parse reads far more than the three forms there are, and a field that is not a
// date must be ignored, not guessed at.

const months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const time = "([0-9]{2}):([0-9]{2}):([0-9]{2})";
const month = `(${months.join("|")})`;
/** Sun, 06 Nov 1994 08:49:37 GMT */
const fixdate = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{2}) ${month} ([0-9]{4}) ${time} GMT$`);
/** Sunday, 06-Nov-94 08:49:37 GMT */
const rfc850 = new RegExp(`^(?:Mon|Tues|Wednes|Thurs|Fri|Satur|Sun)day, ([0-9]{2})-${month}-([0-9]{2}) ${time} GMT$`);
/** Sun Nov  6 08:49:37 1994 */
const asctime = new RegExp(`^(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) ${month} ([0-9 ][0-9]) ${time} ([0-9]{4})$`);

/** Seconds since 1970, undefined for what is no date. */
export function parseHttpDate(text: string): number | undefined {
  const fixed = fixdate.exec(text);
  if (fixed !== null) {
    const [, day, name, year, ...clock] = fixed;
    return seconds(Number(year), name, day, clock);
  }
  const old = rfc850.exec(text);
  if (old !== null) {
    const [, day, name, year, ...clock] = old;
    return seconds(fullYear(Number(year)), name, day, clock);
  }
  const plain = asctime.exec(text);
  if (plain === null) return undefined;
  const [, name, day, hours, minutes, second, year] = plain;
  return seconds(Number(year), name, day, [hours, minutes, second]);
}

/** Two digits that seem more than 50 years ahead are of the past (RFC 9110 §5.6.7). */
function fullYear(year: number): number {
  const now = new Date().getUTCFullYear();
  const full = now - (now % 100) + year;
  return full > now + 50 ? full - 100 : full;
}

function seconds(
  year: number,
  name: string | undefined,
  day: string | undefined,
  clock: readonly (string | undefined)[],
): number | undefined {
  const [hours, minutes, second] = clock.map(Number);
  const index = months.indexOf(name ?? "");
  const made = Date.UTC(year, index, Number(day), hours, minutes, second);
  // Date.UTC carries what is too large over into the next month or hour; such a text is no date. A leap second is one.
  const read = new Date(made);
  const carried =
    read.getUTCDate() !== Number(day) || (second ?? 60) > 60 || (minutes ?? 60) > 59 || (hours ?? 24) > 23;
  return carried && second !== 60 ? undefined : made / 1000;
}

/** IMF-fixdate of so many seconds since 1970. */
export function formatHttpDate(seconds: number): string {
  return new Date(seconds * 1000).toUTCString();
}

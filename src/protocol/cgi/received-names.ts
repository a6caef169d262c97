// What the variables of a web server in front mean, name by name: which are understood, which go on to the application as
// they are, and which must not.

/** The variables that are understood, by their place in `Gathered.values`. */
export const understood = {
  REQUEST_METHOD: 0,
  REQUEST_URI: 1,
  QUERY_STRING: 2,
  SCRIPT_NAME: 3,
  PATH_INFO: 4,
  DOCUMENT_URI: 5,
  SERVER_PROTOCOL: 6,
  CONTENT_TYPE: 7,
  CONTENT_LENGTH: 8,
  HTTPS: 9,
  REQUEST_SCHEME: 10,
  REMOTE_ADDR: 11,
  REMOTE_PORT: 12,
  SERVER_NAME: 13,
  SERVER_PORT: 14,
  SERVER_ADDR: 15,
  HTTP_HOST: 16,
  HTTP_REFERER: 17,
  HTTP_USER_AGENT: 18,
  HTTP_CONTENT_TYPE: 19,
  HTTP_CONTENT_LENGTH: 20,
  HTTP_TRANSFER_ENCODING: 21,
  UWSGI_SCHEME: 22,
} as const;

/** Of the understood, those that also go on as they are. */
const goOn: Readonly<Record<string, Way>> = {
  SERVER_ADDR: "steady",
  HTTP_USER_AGENT: "steady",
  HTTP_REFERER: "passing",
};

/**
 * What becomes of a variable. `steady`: goes on, and is likely to be the same in the next request; `passing`: goes on;
 * `unless-empty`: goes on where it says something; `forwarded`: goes on, and may say where the request comes from.
 */
export type Way = "steady" | "passing" | "unless-empty" | "forwarded" | "kept-back";

const ways: Readonly<Record<string, Way>> = {
  HTTP_FORWARDED: "forwarded",
  HTTP_X_FORWARDED_FOR: "forwarded",
  HTTP_X_FORWARDED_PROTO: "forwarded",
  HTTP_X_FORWARDED_HOST: "forwarded",
  HTTP_X_FORWARDED_PORT: "forwarded",
  // nginx's stock parameters name the user of every request, "" where there is none.
  REMOTE_USER: "unless-empty",
  REMOTE_IDENT: "unless-empty",
  AUTH_TYPE: "unless-empty",
  // Another for each client, or in each request.
  HTTP_AUTHORIZATION: "passing",
  HTTP_COOKIE: "passing",
  HTTP_IF_MATCH: "passing",
  HTTP_IF_MODIFIED_SINCE: "passing",
  HTTP_IF_NONE_MATCH: "passing",
  HTTP_IF_RANGE: "passing",
  HTTP_RANGE: "passing",
  HTTP_TRACEPARENT: "passing",
  HTTP_X_REAL_IP: "passing",
  HTTP_X_REQUEST_ID: "passing",
  HTTP_X_REQUEST_START: "passing",
  UNIQUE_ID: "passing",
  // HTTP libraries take it for their own configuration (CVE-2016-5385, "httpoxy").
  HTTP_PROXY: "kept-back",
  // The server in front has met it (RFC 9110 §10.1.1); an application that passed it on would wait for a 100.
  HTTP_EXPECT: "kept-back",
  // Vivarium's own to say.
  GATEWAY_INTERFACE: "kept-back",
  SERVER_SOFTWARE: "kept-back",
  SCGI: "kept-back",
  FCGI_ROLE: "kept-back",
  // Of a script in the file system of the server in front: here there is none.
  SCRIPT_FILENAME: "kept-back",
  PATH_TRANSLATED: "kept-back",
  CONTEXT_PREFIX: "kept-back",
  CONTEXT_DOCUMENT_ROOT: "kept-back",
  REDIRECT_STATUS: "kept-back",
  // Of the process in front, as Apache adds them.
  PATH: "kept-back",
  LD_LIBRARY_PATH: "kept-back",
  SERVER_SIGNATURE: "kept-back",
};

function wayOf(name: string): Way {
  if (Object.hasOwn(understood, name)) return goOn[name] ?? "kept-back";
  const way = Object.hasOwn(ways, name) ? ways[name] : undefined;
  if (way !== undefined) return way;
  // What an administrator sets may have lower case (Apache's SetEnv), but no "=", NUL or worse.
  if (!/^[A-Za-z_][A-Za-z0-9_.-]*$/.test(name)) return "kept-back";
  const upper = name.toUpperCase();
  // Header fields come in capitals: another spelling of one is not the front's word, whatever it is.
  if (upper.startsWith("HTTP_")) return /^[A-Z0-9_]+$/.test(name) ? "steady" : "kept-back";
  // UWSGI_* tell uWSGI what to load; wsgi.* (PEP 3333) is said here.
  return upper.startsWith("UWSGI_") || upper.startsWith("WSGI.") ? "kept-back" : "steady";
}

/** What every front sends with every request, in an order of its own; numbered from 1. */
const always: ReadonlyMap<string, number> = new Map(
  ["REQUEST_METHOD", "REQUEST_URI", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT", "REMOTE_ADDR", "REMOTE_PORT"].map(
    (name, index) => [name, index + 1],
  ),
);

/** The orders of those in the last requests that came in another one, as numbers; see `Gathered.ordered`. */
const orders: number[] = [];
const ordersMost = 16;

/** Whether requests have come in this order before. */
function isUsual(order: number): boolean {
  if (orders.includes(order)) return true;
  if (orders.length === ordersMost) orders.shift();
  orders.push(order);
  return false;
}

interface KnownName {
  readonly name: string;
  /** Its place among the understood, or -1. */
  readonly place: number;
  readonly way: Way;
  /** NUL, name, NUL: as it stands before its value. */
  readonly prefix: string;
  /** What stands between the values of a repeated name; "" where the last one holds. */
  readonly separator: string;
  /** As a header field's name, in lower case. */
  readonly field: string;
  /** Its number in `always`, or 0. */
  readonly order: number;
  /** The pass that met this name last, to notice repetition without a set per request. */
  pass: number;
}

/** Names are remembered up to this many; clients choose those of header fields, so it must be bounded. */
const namesMost = 1024;
const expectedMost = 64;
const byName = new Map<string, KnownName>();
const places: ReadonlyMap<string, number> = new Map(Object.entries(understood));
let pass = 0;

function know(name: string): KnownName {
  const known: KnownName = {
    name,
    place: places.get(name) ?? -1,
    way: wayOf(name),
    prefix: `\0${name}\0`,
    // RFC 9110 §5.3; Cookie is the exception (RFC 6265 §5.4). What is no header field the front has set anew.
    separator: name === "HTTP_COOKIE" ? "; " : name.startsWith("HTTP_") ? ", " : "",
    field: name.slice(5).toLowerCase().replaceAll("_", "-"),
    order: always.get(name) ?? 0,
    pass: 0,
  };
  byName.set(name, known);
  return known;
}

/** What the last request had at each place: the next one's names are most often the same, and comparing is cheaper. */
const expected: KnownName[] = [];

function expect(at: number, name: string): KnownName {
  const last = expected[at >> 1];
  if (last !== undefined && last.name === name) return last;
  const known = byName.get(name) ?? know(name);
  if (at < 2 * expectedMost) expected[at >> 1] = known;
  return known;
}

/** The variables of a request, sorted by what is done with them. */
export interface Gathered {
  /** By the places of `understood`; "" for those that were not sent. */
  readonly values: readonly string[];
  /** What goes on as it is: NUL name NUL value … */
  readonly steady: string;
  readonly passing: string;
  /** The fields that may say where the request comes from: name in lower case, value, …; undefined where there is none. */
  readonly forwarded: readonly string[] | undefined;
  /**
   * Whether the names came in the order of a request before. Caddy's come in any: what is steady is then another text each
   * time, and not worth keeping.
   */
  readonly ordered: boolean;
}

const nothing: readonly string[] = new Array<string>(places.size).fill("");

/**
 * `pairs` are name, value, name, value … A name that comes twice is the administrator's last word, unless it is a header
 * field, whose values are joined (RFC 9110 §5.3). Undefined where a value has a NUL, which separates variables from here on.
 */
export function gather(pairs: readonly string[]): Gathered | undefined {
  // Never in mid-pass: repetition is noticed by the identity of what is remembered.
  if (byName.size > namesMost) {
    byName.clear();
    expected.length = 0;
  }
  pass = (pass + 1) | 0;
  const values = nothing.slice();
  let steady = "";
  let passing = "";
  let forwarded: string[] | undefined;
  let order = 0;
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = pairs[at] ?? "";
    const value = pairs[at + 1] ?? "";
    const known = expect(at, name);
    if (known.pass === pass) return gather(unrepeated(pairs));
    known.pass = pass;
    const { place, way } = known;
    if (known.order > 0) order = 8 * order + known.order;
    if (place >= 0) values[place] = value;
    else if (way === "kept-back") continue;
    if (value.includes("\0")) return undefined;
    if (way === "steady") {
      steady += known.prefix + value;
    } else if (way !== "kept-back" && (value !== "" || way !== "unless-empty")) {
      passing += known.prefix + value;
      if (way === "forwarded") {
        forwarded ??= [];
        forwarded.push(known.field, value);
      }
    }
  }
  return { values, steady, passing, forwarded, ordered: isUsual(order) };
}

/** The pairs with each name once. */
function unrepeated(pairs: readonly string[]): string[] {
  const values = new Map<string, string>();
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = pairs[at] ?? "";
    const value = pairs[at + 1] ?? "";
    const before = values.get(name);
    const { separator } = byName.get(name) ?? know(name);
    values.set(name, before === undefined || separator === "" ? value : before + separator + value);
  }
  return [...values].flat();
}

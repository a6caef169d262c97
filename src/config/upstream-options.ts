// The schema of an upstream group: every key of [upstream.NAME], once. `vivarium gateway` has each as a flag, too,
// `--upstream-KEY`, for the group it makes of its `--upstream` servers.
import { isIP } from "node:net";
import type { UpstreamGroupConfig } from "./config.js";
import type { Option } from "./options.js";
import { boolean, count, Expected, healthPath, list, oneOf, type ReadContext, type Reader, seconds } from "./read.js";
import { upstreamServers } from "./upstream-url.js";

export type UpstreamOptionName = Exclude<keyof UpstreamGroupConfig, "name">;

type UpstreamOption<Value> = Omit<Option<Value>, "group">;

export const upstreamOptions: { readonly [Name in UpstreamOptionName]: UpstreamOption<UpstreamGroupConfig[Name]> } = {
  servers: {
    key: "servers",
    placeholder: "URL",
    summary: "a server that answers; weight=N and backup may follow; repeatable",
    read: upstreamServers,
    standard: "none",
    initial: [],
    repeatable: true,
  },
  balance: {
    key: "balance",
    placeholder: "HOW",
    summary: "how a server is chosen: least-outstanding, round-robin or hash",
    read: oneOf("least-outstanding", "round-robin", "hash"),
    standard: "least-outstanding",
    initial: "least-outstanding",
  },
  hashBy: {
    key: "hash-by",
    placeholder: "WHAT",
    summary: "with hash: client (its address), or the name of a header field",
    read: hashBy,
    standard: "client",
    initial: "client",
  },
  connectTimeout: {
    key: "connect-timeout",
    placeholder: "SECONDS",
    summary: "until there is a connection; then another server is tried",
    read: seconds("above 0"),
    standard: "5",
    initial: "5",
  },
  sendTimeout: {
    key: "send-timeout",
    placeholder: "SECONDS",
    summary: "without the server taking any more of the request",
    read: seconds("above 0"),
    standard: "60",
    initial: "60",
  },
  firstByteTimeout: {
    key: "first-byte-timeout",
    placeholder: "SECONDS",
    summary: "from the request being sent to the head of its response",
    read: seconds("above 0"),
    standard: "60",
    initial: "60",
  },
  idleTimeout: {
    key: "idle-timeout",
    placeholder: "SECONDS",
    summary: "between two parts of a response",
    read: seconds("above 0"),
    standard: "60",
    initial: "60",
  },
  tunnelTimeout: {
    key: "tunnel-timeout",
    placeholder: "SECONDS",
    summary: "a WebSocket through which nothing goes, either way",
    read: seconds("above 0"),
    standard: "3600",
    initial: "3600",
  },
  keepAlive: {
    key: "keep-alive",
    placeholder: "N",
    summary: "idle connections kept for each server",
    read: count(0, 10_000),
    standard: "32",
    initial: "32",
  },
  multiplex: {
    key: "multiplex",
    placeholder: "N",
    summary: "FastCGI: the most requests at once on a connection",
    read: count(1, 65_535),
    standard: "1",
    initial: "1",
  },
  retryBudget: {
    key: "retry-budget",
    placeholder: "SHARE",
    summary: "requests sent a second time, as a share of all",
    read: share,
    standard: "0.2",
    initial: "0.2",
  },
  maxFails: {
    key: "max-fails",
    placeholder: "N",
    summary: "failures within fail-timeout that leave a server out; 0: none do",
    read: count(0, 10_000),
    standard: "3",
    initial: "3",
  },
  failTimeout: {
    key: "fail-timeout",
    placeholder: "SECONDS",
    summary: "see max-fails; a server is left out this long at first",
    read: seconds("above 0"),
    standard: "10",
    initial: "10",
  },
  healthPath: {
    key: "health-path",
    placeholder: "PATH",
    summary: "asked regularly to see whether a server is well",
    read: healthPath,
    standard: "none",
    initial: "",
  },
  healthInterval: {
    key: "health-interval",
    placeholder: "SECONDS",
    summary: "between two such questions; the longest one may take",
    read: seconds("above 0"),
    standard: "5",
    initial: "5",
  },
  resolveInterval: {
    key: "resolve-interval",
    placeholder: "SECONDS",
    summary: "between two look-ups of a server's name in DNS; 0: only one",
    read: seconds(0),
    standard: "30",
    initial: "30",
  },
  dnsServers: {
    key: "dns-servers",
    placeholder: "LIST",
    summary: "DNS servers to ask, ADDRESS or ADDRESS:PORT; repeatable",
    read: list(dnsServer, /\s*,\s*/u),
    standard: "none",
    initial: [],
    repeatable: true,
  },
  params: {
    key: "params",
    placeholder: "NAME=VALUE",
    summary: "FastCGI, SCGI, uwsgi: a further variable of each request; repeatable",
    read: params,
    standard: "none",
    initial: [],
    repeatable: true,
  },
  forwarded: {
    key: "forwarded",
    placeholder: "",
    summary: "HTTP: send Forwarded beside X-Forwarded-*",
    read: boolean,
    standard: "false",
    initial: false,
  },
};

export const upstreamOptionNames: readonly UpstreamOptionName[] = Object.keys(upstreamOptions).filter(isName);

function isName(name: string): name is UpstreamOptionName {
  return Object.hasOwn(upstreamOptions, name);
}

/** A header field's name is a token (RFC 9110 §5.6.2). */
function hashBy(value: unknown): string | Expected {
  return typeof value === "string" && /^[\w!#$%&'*+.^`|~-]+$/u.test(value)
    ? value
    : new Expected('"client" or the name of a header field');
}

function share(value: unknown): number | Expected {
  const number = typeof value === "string" && /^\d{1,3}(\.\d{1,9})?$/u.test(value) ? Number(value) : value;
  return typeof number === "number" && number >= 0 && number <= 1 ? number : new Expected("a share from 0 to 1");
}

function dnsServer(value: unknown): string | Expected {
  const text = typeof value === "string" ? value : "";
  const [, literal = "", port = "53"] = /^(\[[^\]]+\]|[^:]+)(?::(\d{1,5}))?$/u.exec(text) ?? [];
  const address = isIP(text) !== 0 ? text : literal.replace(/^\[(.*)\]$/u, "$1");
  return isIP(address) !== 0 && Number(port) >= 1 && Number(port) <= 65_535
    ? text
    : new Expected("addresses of DNS servers, such as 10.0.0.2 or [fd00::2]:5353");
}

/** A table in TOML, `NAME=VALUE` on the command line. Neither can hold a NUL, which separates variables. */
function params(value: unknown, context: ReadContext): Readonly<Record<string, string>> | Expected {
  const expected = new Expected('variables such as { SCRIPT_FILENAME = "/srv/app.php" }');
  const table = typeof value === "object" && value !== null && !Array.isArray(value);
  const pairs = table ? Object.entries(value) : list(pair)(value, context);
  if (pairs instanceof Expected) return new Expected(expected.what, pairs.wrong);
  const good = pairs.every(([name, text]) => /^[A-Za-z_][A-Za-z0-9_.-]*$/u.test(name) && isVariable(text));
  return good ? Object.freeze(Object.fromEntries(pairs)) : expected;
}

function isVariable(value: unknown): boolean {
  return typeof value === "string" && !value.includes("\0");
}

const pair: Reader<readonly [string, string]> = (value) => {
  const [, name, text] = typeof value === "string" ? (/^([^=]+)=(.*)$/su.exec(value) ?? []) : [];
  return name === undefined || text === undefined ? new Expected("NAME=VALUE") : [name, text];
};

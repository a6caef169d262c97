// The schema of a [[mount]]: every key, once. What says how files are served stands beside `files`, in a mount or in an
// entry of its `try`.
import { domainToASCII } from "node:url";
import type { FileRedirectRoots, FilesConfig } from "../static/config.js";
import { directory } from "./option-readers.js";
import type { Option } from "./options.js";
import { boolean, Expected, list, octets, prefix, type ReadContext } from "./read.js";

type MountOption<Value> = Pick<Option<Value>, "key" | "summary" | "read" | "standard">;
type WithInitial<Value> = MountOption<Value> & Pick<Option<Value>, "initial">;

export const placeOptions: {
  readonly host: MountOption<readonly string[]>;
  readonly path: MountOption<string>;
} = {
  host: { key: "host", summary: "the host, or hosts, asked for", read: list(host), standard: "every host" },
  path: { key: "path", summary: "the URL prefix; becomes SCRIPT_NAME", read: prefix, standard: "none" },
};

export const filesOptions: { readonly [Name in Exclude<keyof FilesConfig, "root">]: WithInitial<FilesConfig[Name]> } = {
  index: {
    key: "index",
    summary: "names of files that answer for a folder, first found first",
    read: list(fileName),
    standard: "index.html",
    initial: "index.html",
  },
  cacheControl: {
    key: "cache-control",
    summary: "Cache-Control by pattern, the first that matches; or one for all files",
    read: cacheControl,
    standard: "none",
    initial: () => [],
  },
  precompressed: {
    key: "precompressed",
    summary: "FILE.br, FILE.zst and FILE.gz answer for FILE where the client accepts them",
    read: boolean,
    standard: "true",
    initial: true,
  },
  hidden: {
    key: "hidden",
    summary: "serve paths with a part that begins with a dot",
    read: boolean,
    standard: "false",
    initial: false,
  },
  charset: {
    key: "charset",
    summary: 'the charset told with text; "" for none',
    read: token,
    standard: "utf-8",
    initial: "utf-8",
  },
  types: {
    key: "types",
    summary: "content types by extension, before those known anyway",
    read: types,
    standard: "none",
    initial: () => ({}),
  },
  memory: {
    key: "memory",
    summary: "small files' contents kept in memory",
    read: octets(0, 2 ** 40),
    standard: "16m",
    initial: "16m",
  },
};

export const redirectOptions: {
  readonly accel: MountOption<FileRedirectRoots["accel"]>;
  readonly sendfile: MountOption<FileRedirectRoots["sendfile"]>;
} = {
  accel: {
    key: "accel-redirect",
    summary: "folders by the prefix that a response's X-Accel-Redirect names",
    read: accel,
    standard: "none",
  },
  sendfile: {
    key: "sendfile",
    summary: "folders below which a response's X-Sendfile may name a file",
    read: list(directory),
    standard: "none",
  },
};

export const fileKeys: readonly string[] = Object.values(filesOptions).map(({ key }) => key);

function isTable(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value) && !(value instanceof Date);
}

/**
 * A name, `*.name`, or an address; without a port, as the port does not tell mounts apart. Names come out as clients send them:
 * in lower case, those beyond ASCII in Punycode (RFC 5891).
 */
function host(value: unknown): string | Expected {
  const text = typeof value === "string" ? value.toLowerCase() : "";
  if (/^\[[\da-f:.]+\]$/u.test(text)) return text;
  const [, wildcard = "", name = ""] = /^(\*\.)?([^*:/?#@[\]\s]+)$/u.exec(text) ?? [];
  const ascii = /^[\w.-]*$/u.test(name) ? name : domainToASCII(name);
  return ascii === ""
    ? new Expected('a host without a port, such as "example.com" or "*.example.com"')
    : `${wildcard}${ascii.replace(/\.$/u, "")}`;
}

function fileName(value: unknown): string | Expected {
  return typeof value === "string" && /^[^/\0]+$/u.test(value) && value !== "." && value !== ".."
    ? value
    : new Expected('names of files, such as "index.html"');
}

/** A field's value (RFC 9110 §5.5), as far as anybody writes one. */
function isFieldValue(value: unknown): value is string {
  return typeof value === "string" && /^[!-~]([ -~]*[!-~])?$/u.test(value);
}

function cacheControl(value: unknown): FilesConfig["cacheControl"] | Expected {
  const rules = isTable(value) ? Object.entries(value) : [["**", value] as const];
  const read = rules.flatMap(([pattern, text]) =>
    isFieldValue(text) && pattern !== "" ? [{ pattern, value: text }] : [],
  );
  return read.length === rules.length
    ? read
    : new Expected('a value for all files, or values by pattern, such as { "*.css" = "public, max-age=86400" }');
}

function token(value: unknown): string | Expected {
  return typeof value === "string" && /^[\w.-]*$/u.test(value) ? value : new Expected('a charset such as "utf-8"');
}

function types(value: unknown): FilesConfig["types"] | Expected {
  const expected = new Expected('content types by extension, such as { webmanifest = "application/manifest+json" }');
  if (!isTable(value)) return expected;
  const found: Record<string, string> = {};
  for (const [extension, type] of Object.entries(value)) {
    if (!/^\.?[^./\0]+$/u.test(extension) || !isFieldValue(type) || !type.includes("/")) return expected;
    found[extension.replace(/^\./u, "").toLowerCase()] = type;
  }
  return found;
}

function accel(value: unknown, context: ReadContext): FileRedirectRoots["accel"] | Expected {
  const expected = new Expected('existing directories by URL prefix, such as { "/protected/" = "/srv/protected" }');
  if (!isTable(value)) return expected;
  const found: { readonly prefix: string; readonly root: string }[] = [];
  for (const [at, folder] of Object.entries(value)) {
    const root = directory(folder, context);
    if (!at.startsWith("/") || root instanceof Expected) return expected;
    found.push({ prefix: at, root });
  }
  return found;
}

// Content types by a file's extension: mime's tables, which are mime-db's data (IANA, Apache, nginx) with its conflicts
// decided. Only the tables: what mime makes of them when it is imported takes 10 ms, this takes 4, and both are spent only
// where there are files to serve.

const unknown = "application/octet-stream";

let table: ReadonlyMap<string, string> | undefined;
let loading: Promise<void> | undefined;

/** Loads the tables, once. Until then no type is known. */
export function loadContentTypes(): Promise<void> {
  loading ??= load();
  return loading;
}

export function contentTypesLoaded(): boolean {
  return table !== undefined;
}

async function load(): Promise<void> {
  const [{ default: standard }, { default: other }] = await Promise.all([
    import("mime/types/standard.js"),
    import("mime/types/other.js"),
  ]);
  const made = new Map<string, string>();
  // Standard types win over vendors' and experimental ones.
  for (const types of [other, standard]) {
    for (const [type, extensions] of Object.entries(types)) {
      // A star: the extension belongs to another type in the first place.
      for (const extension of extensions) if (!extension.startsWith("*")) made.set(extension, type);
    }
  }
  table = made;
}

/**
 * The Content-Type of a file. `own` are the configured types; `charset`, where there is one, goes with `text/*`, which is
 * the only kind that it means something for (JSON is UTF-8 by its definition, XML tells of its own: RFC 8259, RFC 7303).
 */
export function contentType(path: string, own: Readonly<Record<string, string>>, charset: string): string {
  const name = path.slice(path.lastIndexOf("/") + 1);
  // A dot at the beginning hides a file; it does not begin an extension.
  const dot = name.lastIndexOf(".");
  const extension = dot > 0 ? name.slice(dot + 1).toLowerCase() : "";
  const type = (Object.hasOwn(own, extension) ? own[extension] : undefined) ?? table?.get(extension) ?? unknown;
  return charset === "" || !type.startsWith("text/") || type.includes(";") ? type : `${type}; charset=${charset}`;
}

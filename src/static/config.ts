// What a mount of files is told. Comments here are the user's documentation of each key (docs/static-files.md).

/** A Cache-Control for the files whose path below the root matches. */
export interface CacheRule {
  /**
   * A glob: `*` any characters but `/`, `**` any, `?` one but `/`, `{a,b}` alternatives. Without a `/` it is matched with
   * the file's name, otherwise with the path below the root (`assets/**`; a leading `/` changes nothing).
   */
  readonly pattern: string;
  /** The field's value: `public, max-age=31536000, immutable`. */
  readonly value: string;
}

/** A folder to serve. */
export interface FilesConfig {
  /** The folder, absolute. It may be missing at the start, and may be a symbolic link that changes at a deployment. */
  readonly root: string;
  /** Names of files that answer for a folder, first found first. Empty: folders are not found. */
  readonly index: readonly string[];
  /** The first that matches counts; where none does there is no Cache-Control. */
  readonly cacheControl: readonly CacheRule[];
  /** Whether `FILE.br`, `FILE.zst` and `FILE.gz` answer for FILE where the client accepts them. */
  readonly precompressed: boolean;
  /** Whether paths with a part that begins with a dot are served. `/.well-known/` (RFC 8615) always is. */
  readonly hidden: boolean;
  /** The charset told with text. "" for none. */
  readonly charset: string;
  /** Content types by extension (lower case, without the dot), before those known anyway. */
  readonly types: Readonly<Record<string, string>>;
  /** Octets of small files' contents kept in memory. 0 for none. */
  readonly memory: number;
}

/** The folder with everything else at its default. */
export function filesConfig(root: string): FilesConfig {
  return {
    root,
    index: ["index.html"],
    cacheControl: [],
    precompressed: true,
    hidden: false,
    charset: "utf-8",
    types: {},
    memory: 16 * 1024 * 1024,
  };
}

/** Where an application may have files sent from, by a field of its response. All paths absolute. */
export interface FileRedirectRoots {
  /** `X-Accel-Redirect: /protected/a.pdf` is the file `a.pdf` in the root of the longest prefix that matches: `/protected/`. */
  readonly accel: readonly { readonly prefix: string; readonly root: string }[];
  /** `X-Sendfile: /srv/media/a.pdf` is that file where it is below one of these. */
  readonly sendfile: readonly string[];
}

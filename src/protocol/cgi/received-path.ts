// Which path a web server in front means, and which part of it led to the application. RFC 3875 §4.1 says that
// SCRIPT_NAME and PATH_INFO together are the decoded path; what servers send is that, or the whole path in one of the two,
// or in both, or in neither, and with what they collapsed gone: `//`, dot segments, `%2F`.
//
// The rule: where what is claimed is, but for such collapsing, the path of REQUEST_URI, the path is REQUEST_URI's, decoded
// once (so `//` and `%2F` arrive as over HTTP). With two exceptions. Where that has dot segments, the claimed path is taken:
// by it the front decided whom to let in, and an application that reads `/admin/../x` otherwise would be a way around. And a
// claim that is another path altogether was rewritten on purpose (nginx's `rewrite`, a prefix that Caddy's `handle_path` took
// away): it is taken as it is.
import { decodePath } from "./request-variables.js";

/** What the front says; "" where it does not. */
export interface PathClaims {
  /** REQUEST_URI. */
  readonly uri: string;
  readonly scriptName: string;
  readonly pathInfo: string;
  /** DOCUMENT_URI: nginx's normalised path, in all of its stock parameters but uwsgi's. */
  readonly documentUri: string;
}

export interface ReceivedPath {
  /** Decoded, one character per octet; "" for the server as a whole (`*`). */
  readonly path: string;
  /** The part of it that the front says led to the application; "" where it does not say. No closing slash. */
  readonly scriptName: string;
}

/** Throws ERR_HTTP_BAD_REQUEST for a REQUEST_URI that is malformed. */
export function receivedPath(claims: PathClaims): ReceivedPath {
  const { uri, pathInfo } = claims;
  if (uri === "*") return { path: "", scriptName: "" };
  const asked = uri === "" ? "" : decodePath(rawPath(uri));
  if (pathInfo === "") return withoutPathInfo(asked, claims);
  const rest = rooted(pathInfo);
  const scriptName = prefix(claims.scriptName);
  if (scriptName === "" || claims.scriptName === pathInfo) return { path: agreed(asked, rest), scriptName: "" };
  const joined = scriptName + rest;
  // mod_proxy_uwsgi says "/" of a request for exactly its prefix.
  if (joined === `${asked}/`) return { path: asked, scriptName };
  if (asked === "" || joined === asked) return { path: joined, scriptName };
  const plain = likened(asked, joined);
  if (plain !== undefined) {
    return { path: scriptName + (behind(asked, scriptName) ?? plain.slice(scriptName.length)), scriptName };
  }
  // The whole path in PATH_INFO, and in SCRIPT_NAME its prefix (`uwsgi_param SCRIPT_NAME /app` beside the stock parameters) or
  // the name of a script that the client did not ask for (RewriteRule ^(.*)$ /site.fcgi/$1).
  if (likened(asked, rest) === undefined) return { path: joined, scriptName };
  const path = agreed(asked, rest);
  return { path, scriptName: isUnder(path, scriptName) ? scriptName : "" };
}

/**
 * SCRIPT_NAME alone is the whole path, as nginx, Apache and Caddy send it; or a mount point that an administrator set beside
 * nginx's stock parameters, which have no PATH_INFO. Nobody can tell a request for exactly the mount point from the former.
 */
function withoutPathInfo(asked: string, claims: PathClaims): ReceivedPath {
  const { scriptName, documentUri } = claims;
  if (scriptName === asked) return { path: asked, scriptName: "" };
  const mountPoint = prefix(scriptName);
  if (mountPoint !== "" && isUnder(asked, mountPoint) && likened(asked, scriptName) === undefined) {
    return { path: asked, scriptName: mountPoint };
  }
  return { path: agreed(asked, scriptName === "" ? documentUri : rooted(scriptName)), scriptName: "" };
}

/** Whether a path goes on behind a prefix, which ends at a segment's boundary. */
function isUnder(path: string, prefix: string): boolean {
  return path.length > prefix.length && path[prefix.length] === "/" && path.startsWith(prefix);
}

/** A target without scheme and authority, which belong to a request through a proxy (RFC 9112 §3.2.2). */
export function originForm(uri: string): string {
  if (uri.startsWith("/")) return uri;
  const authority = /^[A-Za-z][A-Za-z0-9+.-]*:\/\/[^/?]*/.exec(uri);
  if (authority === null) return uri;
  const rest = uri.slice(authority[0].length);
  return rest.startsWith("/") ? rest : `/${rest}`;
}

function rawPath(uri: string): string {
  const target = originForm(uri);
  const query = target.indexOf("?");
  return query < 0 ? target : target.slice(0, query);
}

/** The path that is meant, by the one asked for and the one claimed; either may be "". */
function agreed(asked: string, claimed: string): string {
  if (claimed === asked || claimed === "") return asked;
  if (asked === "") return claimed;
  const plain = likened(asked, claimed);
  return plain === undefined ? claimed : hasDotSegment.test(asked) ? plain : asked;
}

const hasDotSegment = /(?:^|\/)\.\.?(?:\/|$)/;

/** The claim, decoded, where it is the path asked for but for what fronts collapse; else undefined. */
function likened(asked: string, claimed: string): string | undefined {
  const plain = collapsed(asked);
  if (collapsed(claimed) === plain) return claimed;
  if (!claimed.includes("%")) return undefined;
  try {
    const decoded = decodePath(claimed);
    return collapsed(decoded) === plain ? decoded : undefined;
  } catch {
    return undefined;
  }
}

/** What follows in the path asked for behind a prefix that the front collapsed; undefined where that cannot be told. */
function behind(asked: string, scriptName: string): string | undefined {
  if (hasDotSegment.test(asked)) return undefined;
  for (let at = asked.indexOf("/", 1); at > 0; at = asked.indexOf("/", at + 1)) {
    if (collapsed(asked.slice(0, at)) === scriptName) return asked.slice(at);
  }
  return undefined;
}

/** Without repeated slashes and dot segments (RFC 3986 §5.2.4). */
function collapsed(path: string): string {
  if (!path.includes("//") && !path.includes("/.")) return path;
  const kept: string[] = [];
  const segments = path.split("/");
  for (const segment of segments) {
    if (segment === "..") kept.pop();
    else if (segment !== "" && segment !== ".") kept.push(segment);
  }
  const last = segments.at(-1);
  const closed = kept.length > 0 && (last === "" || last === "." || last === "..");
  return `/${kept.join("/")}${closed ? "/" : ""}`;
}

function rooted(path: string): string {
  return path.startsWith("/") ? path : `/${path}`;
}

/**
 * A SCRIPT_NAME as a prefix: no closing slash, and no repeated ones: behind "//site" an application's own links would lead to
 * a host of that name (RFC 3986 §4.2).
 */
function prefix(scriptName: string): string {
  if (scriptName === "") return "";
  const plain = collapsed(rooted(scriptName));
  return plain.endsWith("/") ? plain.slice(0, -1) : plain;
}

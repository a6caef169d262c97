// Which path a web server in front means, and which part of it led to the application. RFC 3875 §4.1 says that
// SCRIPT_NAME and PATH_INFO together are the decoded path; what servers send is that, or the whole path in one of the two,
// or in both, or in neither, and with what they collapsed gone: `//`, dot segments, `%2F`.
//
// The rule: where what is claimed is, but for such collapsing, the path of REQUEST_URI, the path is REQUEST_URI's, decoded
// once (so `//` and `%2F` arrive as over HTTP). With two exceptions. Where it has dot segments that the front resolved, its
// resolved path is taken: by that path it decided whom to let in, and an application that reads `/admin/../x` otherwise
// would be a way around. And a claim that is another path altogether was rewritten on purpose (nginx's `rewrite`,
// Apache's ProxyPass to another prefix): it is taken as it is.
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
  const scriptName = withoutClosingSlash(claims.scriptName);
  if (scriptName === "") return { path: agreed(asked, rest), scriptName };
  const joined = scriptName + rest;
  if (asked === "" || joined === asked) return { path: joined, scriptName };
  if (same(asked, joined)) {
    const path = agreed(asked, joined);
    return { path: isUnder(path, scriptName) ? path : joined, scriptName };
  }
  // The whole path in PATH_INFO, and in SCRIPT_NAME as well, or its prefix (`uwsgi_param SCRIPT_NAME /app` beside the stock
  // parameters), or the name of a script that the client did not ask for (RewriteRule ^(.*)$ /site.fcgi/$1).
  if (same(asked, rest)) {
    const path = agreed(asked, rest);
    return { path, scriptName: isUnder(path, scriptName) ? scriptName : "" };
  }
  return scriptName === withoutClosingSlash(rest) ? { path: rest, scriptName: "" } : { path: joined, scriptName };
}

/**
 * SCRIPT_NAME alone is the whole path, as nginx, Apache and Caddy send it; or a mount point that an administrator set beside
 * nginx's stock parameters, which have no PATH_INFO. Nobody can tell a request for exactly the mount point from the former.
 */
function withoutPathInfo(asked: string, claims: PathClaims): ReceivedPath {
  const scriptName = withoutClosingSlash(claims.scriptName);
  if (
    scriptName !== "" &&
    claims.scriptName !== asked &&
    isUnder(asked, scriptName) &&
    !same(asked, claims.scriptName)
  ) {
    return { path: asked, scriptName };
  }
  return {
    path: agreed(asked, claims.scriptName === "" ? claims.documentUri : rooted(claims.scriptName)),
    scriptName: "",
  };
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
  if (asked === "" || !same(asked, claimed)) return claimed;
  return hasDotSegment.test(asked) && !hasDotSegment.test(claimed) ? claimed : asked;
}

const hasDotSegment = /(?:^|\/)\.\.?(?:\/|$)/;

/** Whether a claim is the path asked for, but for what a front collapses, or has not decoded. */
function same(asked: string, claimed: string): boolean {
  const plain = collapsed(asked);
  if (collapsed(claimed) === plain) return true;
  if (!claimed.includes("%")) return false;
  try {
    return collapsed(decodePath(claimed)) === plain;
  } catch {
    return false;
  }
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

function withoutClosingSlash(path: string): string {
  let end = path.length;
  while (end > 0 && path[end - 1] === "/") end -= 1;
  return path.slice(0, end);
}

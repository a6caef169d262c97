import type { Request } from "../exchange.js";
import { pickVariables } from "../protocol/cgi/variables.js";

/** What files need of a request. Fields that were not sent are undefined. */
export interface FileRequest {
  readonly method: string;
  /** Decoded, each octet one character (latin-1). */
  readonly scriptName: string;
  readonly pathInfo: string;
  readonly query: string;
  readonly range: string | undefined;
  readonly ifRange: string | undefined;
  readonly ifMatch: string | undefined;
  readonly ifNoneMatch: string | undefined;
  readonly ifModifiedSince: string | undefined;
  readonly ifUnmodifiedSince: string | undefined;
  readonly acceptEncoding: string | undefined;
}

const wanted: ReadonlyMap<string, number> = new Map(
  [
    "SCRIPT_NAME",
    "PATH_INFO",
    "QUERY_STRING",
    "HTTP_RANGE",
    "HTTP_IF_RANGE",
    "HTTP_IF_MATCH",
    "HTTP_IF_NONE_MATCH",
    "HTTP_IF_MODIFIED_SINCE",
    "HTTP_IF_UNMODIFIED_SINCE",
    "HTTP_ACCEPT_ENCODING",
  ].map((name, index) => [name, index]),
);

export function fileRequest({ method, variables }: Request): FileRequest {
  const [
    scriptName = "",
    pathInfo = "",
    query = "",
    range,
    ifRange,
    ifMatch,
    ifNoneMatch,
    ifModifiedSince,
    ifUnmodifiedSince,
    acceptEncoding,
  ] = pickVariables(variables, wanted);
  return {
    method,
    scriptName,
    pathInfo,
    query,
    range,
    ifRange,
    ifMatch,
    ifNoneMatch,
    ifModifiedSince,
    ifUnmodifiedSince,
    acceptEncoding,
  };
}

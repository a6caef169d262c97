// SCGI, client role: a request's meta-variables in, its headers out. The body follows as it is.

/** Said in front by the encoder itself. */
const withheld: ReadonlySet<string> = new Set(["CONTENT_LENGTH", "SCGI"]);

/**
 * The headers of a request. `variables` are `NAME NUL VALUE NUL …` without a closing NUL, latin-1, names unique
 * (`Request.variables`); `contentLength` is that of the body, which follows, 0 where there is none. In front of them go `before`
 * that were encoded already.
 */
export function encodeRequest(variables: string, contentLength: number, before = ""): Uint8Array {
  // CONTENT_LENGTH is first and always there, SCGI "1" too
  const headers = `CONTENT_LENGTH\0${contentLength}\0SCGI\x001\0${before}${encodeHeaders(variables)}`;
  return Buffer.from(`${headers.length}:${headers},`, "latin1");
}

/** The octets of variables, one to a character. */
export function encodeHeaders(variables: string): string {
  const parts = variables.split("\0");
  let headers = "";
  for (let at = 0; at + 1 < parts.length; at += 2) {
    const name = parts[at] as string;
    if (!withheld.has(name)) headers += `${name}\0${parts[at + 1]}\0`;
  }
  return headers;
}

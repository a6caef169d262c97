// Replays octets through the CGI response decoder into the log that test/vectors/cgi is written in.
import { ResponseDecoder, type ResponseHead } from "../../../src/protocol/cgi/response-decoder.js";
import { escaped, Log } from "../http1/vectors.js";

function headLines(head: ResponseHead): readonly string[] {
  const parts = [`head ${head.status} "${escaped(head.reason)}"`];
  if (head.contentLength !== -1) parts.push(`length=${head.contentLength}`);
  if (head.hasDate) parts.push("date");
  if (head.localRedirect !== "") parts.push(`local-redirect=${head.localRedirect}`);
  const lines = Buffer.from(head.fields).toString("latin1").split("\r\n").slice(0, -1);
  return [parts.join(" "), ...lines.map((line) => `  ${escaped(line)}`.trimEnd())];
}

/** The log of the response to a request with this method; with `closed` the response ends after the octets. */
export function decodeResponse(
  chunks: readonly Uint8Array[],
  method: string,
  closed: boolean,
  limits: { readonly maxHead: number; readonly maxFields: number },
): readonly string[] {
  const decoder = new ResponseDecoder(limits, method);
  const log = new Log();
  let over = false;
  const pull = () => {
    for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
      if (event.type === "head") log.add(...headLines(event.head));
      else if (event.type === "body") log.body(event.octets);
      else {
        log.add("end");
        over = true;
      }
    }
  };
  try {
    for (const chunk of chunks) {
      decoder.receive(new Uint8Array(chunk));
      pull();
    }
    if (closed) decoder.receiveEnd();
    pull();
    if (!over) log.add("waiting");
  } catch (error) {
    log.failure(error);
  }
  return log.lines;
}

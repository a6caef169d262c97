// Sends a file that an ASGI application names as its response's body (http.response.pathsend).
import { closeSync, constants, fstatSync, openSync } from "node:fs";
import { log } from "../channels.js";
import type { Exchange, ResponseHead } from "../exchange.js";
import { sendPieces } from "../static/send.js";

/** Answers with `head`, to which Content-Length is added where it has none, and the octets of the file. */
export function sendPath(exchange: Exchange, head: ResponseHead, path: string): void {
  let fd = -1;
  try {
    // Never waits for the writer of a FIFO.
    fd = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK | constants.O_NOCTTY);
    const stats = fstatSync(fd);
    if (!stats.isFile()) throw new Error("it is no file");
    const whole = head.contentLength < 0 ? withLength(head, stats.size) : head;
    const empty = exchange.request.method === "HEAD" || stats.size === 0;
    if (!empty) {
      sendPieces(exchange, whole, { fd, stats }, [{ from: 0, to: stats.size }]);
      return;
    }
    exchange.respond(whole, undefined, true);
  } catch (error) {
    const { method, target } = exchange.request;
    const why = error instanceof Error ? error.message : String(error);
    log(
      "error",
      "pool",
      `The file ${path}, which the application names as the body for ${method} ${target}, cannot be sent: ${why}.`,
    );
    exchange.refuse(500, "The application named a file that cannot be read.");
  }
  if (fd >= 0) closeSync(fd);
}

function withLength(head: ResponseHead, size: number): ResponseHead {
  const fields = Buffer.concat([head.fields, Buffer.from(`Content-Length: ${size}\r\n`, "latin1")]);
  return { ...head, fields, contentLength: size };
}

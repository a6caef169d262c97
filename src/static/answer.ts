// What a request about a file is answered with: all of it, a part, several, or that it need not be sent.
import { randomBytes } from "node:crypto";
import { closeSync } from "node:fs";
import type { Exchange } from "../exchange.js";
import { evaluate, rangeHolds } from "./conditions.js";
import type { OpenFile } from "./open.js";
import { type ByteRange, parseRanges, type Ranges } from "./ranges.js";
import { makeHead, type Representation } from "./representation.js";
import type { FileRequest } from "./request.js";
import { type Piece, pieceLength, sendPieces } from "./send.js";

/** A file's octets: in memory, or to be read. */
export type Source = Uint8Array | OpenFile;

/** Answers with a file, which is closed then or when it is sent. */
export function answerFile(exchange: Exchange, request: FileRequest, file: Representation, source: Source): void {
  const verdict = evaluate(request, file);
  if (verdict === 304) {
    answerEmpty(exchange, source, 304, "Not Modified", file.about);
  } else if (verdict === 412) {
    answerEmpty(exchange, source, 412, "Precondition Failed", "Content-Length: 0\r\n");
  } else {
    const ranges = rangesOf(request, file);
    if (ranges === "whole") answerWhole(exchange, request, file, source);
    else if (ranges === "unsatisfiable") {
      const lines = `Content-Range: bytes */${file.size}\r\nContent-Length: 0\r\n`;
      answerEmpty(exchange, source, 416, "Range Not Satisfiable", lines);
    } else answerPartial(exchange, file, source, ranges);
  }
}

/** Ranges are for GET alone (RFC 9110 §14.2). */
function rangesOf(request: FileRequest, file: Representation): Ranges {
  if (request.range === undefined || request.method !== "GET") return "whole";
  return rangeHolds(request.ifRange, file, Date.now()) ? parseRanges(request.range, file.size) : "whole";
}

/** Answers with all of a file, whatever the conditions of the request. */
export function answerWhole(exchange: Exchange, request: FileRequest, file: Representation, source: Source): void {
  if (request.method === "HEAD" || file.size === 0) {
    close(source);
    exchange.respond(file.whole, undefined, true);
  } else if (source instanceof Uint8Array) {
    exchange.respond(file.whole, source, true);
  } else {
    sendPieces(exchange, file.whole, source, [{ from: 0, to: file.size }]);
  }
}

function answerPartial(exchange: Exchange, file: Representation, source: Source, ranges: readonly ByteRange[]): void {
  const [only] = ranges;
  if (ranges.length === 1 && only !== undefined) {
    const lines = `Content-Type: ${file.contentType}\r\n${contentRange(only, file.size)}`;
    send(exchange, file, lines, source, ranges);
    return;
  }
  // Random, so that no file contains it, not even on purpose.
  const boundary = randomBytes(12).toString("hex");
  const pieces: Piece[] = [];
  for (const range of ranges) {
    const head = `\r\n--${boundary}\r\nContent-Type: ${file.contentType}\r\n${contentRange(range, file.size)}\r\n`;
    pieces.push(Buffer.from(head, "latin1"), range);
  }
  pieces.push(Buffer.from(`\r\n--${boundary}--\r\n`, "latin1"));
  send(exchange, file, `Content-Type: multipart/byteranges; boundary=${boundary}\r\n`, source, pieces);
}

function contentRange({ from, to }: ByteRange, size: number): string {
  return `Content-Range: bytes ${from}-${to - 1}/${size}\r\n`;
}

function send(exchange: Exchange, file: Representation, lines: string, source: Source, pieces: readonly Piece[]): void {
  const length = pieces.reduce((sum, piece) => sum + pieceLength(piece), 0);
  const fields = `${lines}${file.encoding}Content-Length: ${length}\r\n${file.about}`;
  const head = makeHead(206, "Partial Content", fields, length);
  if (source instanceof Uint8Array) {
    const parts = pieces.map((piece) => (piece instanceof Uint8Array ? piece : source.subarray(piece.from, piece.to)));
    exchange.respond(head, Buffer.concat(parts), true);
  } else {
    sendPieces(exchange, head, source, pieces);
  }
}

function answerEmpty(exchange: Exchange, source: Source, status: number, reason: string, lines: string): void {
  close(source);
  exchange.respond(makeHead(status, reason, lines, status === 304 ? -1 : 0), undefined, true);
}

function close(source: Source): void {
  if (!(source instanceof Uint8Array)) closeSync(source.fd);
}

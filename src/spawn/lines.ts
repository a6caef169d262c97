import type { Readable } from "node:stream";

/** Takes a stream apart into lines. What is longer than `most` without a line end is taken in pieces. */
export function eachLine(
  stream: Readable,
  take: (line: string) => void,
  most: number = Number.POSITIVE_INFINITY,
): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) take(line);
    if (rest.length > most) {
      take(rest);
      rest = "";
    }
  });
  stream.on("end", () => {
    if (rest !== "") take(rest);
  });
}

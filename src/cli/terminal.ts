// Colour, and only where a person sees it: on a terminal, unless NO_COLOR is set to anything (no-color.org).
import type { WriteStream } from "node:tty";

const codes = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 } as const;

export type Paint = keyof typeof codes;

export function paint(stream: WriteStream | NodeJS.WritableStream, colour: Paint, text: string): string {
  const visible = "isTTY" in stream && stream.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  return visible ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
}

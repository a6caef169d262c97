// What reaches the terminal. Colour, and only where a person sees it: on a terminal, unless NO_COLOR is set to anything
// (no-color.org).

const codes = { red: 31, green: 32, yellow: 33, bold: 1, dim: 2 } as const;

export type Paint = keyof typeof codes;

export function paint(stream: NodeJS.WritableStream, colour: Paint, text: string): string {
  const visible = "isTTY" in stream && stream.isTTY && !process.env["NO_COLOR"] && process.env["TERM"] !== "dumb";
  return visible ? `\u001b[${codes[colour]}m${text}\u001b[0m` : text;
}

/** Prints to standard output. A reader that has seen enough (`| head`) is no error. */
export function print(text: string): void {
  process.stdout.once("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") throw error;
  });
  process.stdout.write(text);
}

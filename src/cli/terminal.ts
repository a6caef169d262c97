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

/** Columns as wide as their widest cell, two spaces apart. `right`: columns of numbers, by index. */
export function table(rows: readonly (readonly string[])[], right: ReadonlySet<number>): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? "").length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, column) =>
        right.has(column) ? cell.padStart(widths[column] ?? 0) : cell.padEnd(widths[column] ?? 0),
      )
      .join("  ")
      .trimEnd();
  return rows.map((row) => `${line(row)}\n`).join("");
}

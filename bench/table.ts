// Tables of text: for a terminal, and in Markdown.

export type Row = readonly string[];

/** A table with its heading; left out of a report where it has neither rows nor words for having none. */
export interface Section {
  readonly title: string;
  readonly head: Row;
  readonly rows: readonly Row[];
  readonly empty?: string;
}

export function format(value: number, digits: number): string {
  return value.toLocaleString("en-US", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

export function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/** First column to the left, numbers to the right. */
export function markdownTable(head: Row, rows: readonly Row[]): string {
  const rule = head.map((_, column) => (column === 0 ? "---" : "---:"));
  return [head, rule, ...rows].map((row) => `| ${row.join(" | ")} |`).join("\n");
}

export function plainTable(head: Row, rows: readonly Row[]): string {
  const widths = head.map((_, column) => Math.max(...[head, ...rows].map((row) => (row[column] ?? "").length)));
  return [head, ...rows]
    .map((row) =>
      row
        .map((cell, column) => (column === 0 ? cell.padEnd(widths[column] ?? 0) : cell.padStart(widths[column] ?? 0)))
        .join("  ")
        .trimEnd(),
    )
    .join("\n");
}

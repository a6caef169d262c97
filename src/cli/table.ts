// Tables and facts on a terminal, no wider than a page: what is text gives way, numbers never do.
import { abridged } from "../abridged.js";
import { type Paint, paint } from "./terminal.js";

/** Columns that everything fits in. */
const pageWidth = 100;
/** Characters that are left of a text, however little room there is. */
const cellLeast = 10;
/** Where facts begin. */
const indent = 12;

export interface Column {
  readonly name: string;
  /** Numbers: they stand at the right, and are never shortened. */
  readonly right?: boolean;
  /** A text that is never shortened either. */
  readonly whole?: boolean;
  /** How a cell looks where colours are seen. */
  readonly paint?: (cell: string) => Paint | undefined;
}

/** What others wrote, without what a terminal would take for a command. */
export function visible(text: string): string {
  return text.replace(/[\0-\x1f\x7f-\x9f]/gu, (octet) => `\\x${octet.charCodeAt(0).toString(16).padStart(2, "0")}`);
}

/** Columns as wide as their widest cell, two spaces apart. */
export function table(columns: readonly Column[], rows: readonly (readonly string[])[]): string {
  const cells = [columns.map(({ name }) => name), ...rows.map((row) => row.map(visible))];
  const widths = columns.map((_, at) => Math.max(...cells.map((row) => (row[at] ?? "").length)));
  narrow(columns, widths);
  return cells.map((row, index) => `${tableLine(columns, widths, row, index > 0)}\n`).join("");
}

/** Takes from the widest text until the line fits, or no text can give more. */
function narrow(columns: readonly Column[], widths: number[]): void {
  for (;;) {
    const beyond = widths.reduce((sum, width) => sum + width, 2 * (widths.length - 1)) - pageWidth;
    const gives = (at: number): boolean => columns[at]?.right !== true && columns[at]?.whole !== true;
    const texts = widths.filter((_, at) => gives(at)).sort((one, other) => other - one);
    const [widest = 0, next = 0] = texts;
    if (beyond <= 0 || widest <= cellLeast) return;
    const at = widths.findIndex((width, column) => width === widest && gives(column));
    widths[at] = Math.max(cellLeast, widest - beyond, Math.min(next, widest - 1));
  }
}

function tableLine(
  columns: readonly Column[],
  widths: readonly number[],
  row: readonly string[],
  painted: boolean,
): string {
  const line = columns.map((column, at) => {
    const width = widths[at] ?? 0;
    const cell = column.right === true ? (row[at] ?? "") : abridged(row[at] ?? "", width);
    const space = " ".repeat(Math.max(0, width - cell.length));
    const colour = painted ? column.paint?.(cell) : undefined;
    const shown = colour === undefined ? cell : paint(process.stdout, colour, cell);
    return column.right === true ? space + shown : shown + space;
  });
  return line.join("  ").trimEnd();
}

export interface Fact {
  readonly name: string;
  readonly text: string;
  readonly paint?: Paint;
}

/** A name and a sentence each; a sentence that is too long goes on below its beginning. */
export function facts(list: readonly Fact[]): string {
  return list
    .map(({ name, text, paint: colour }) => {
      const lines = text.split("\n").flatMap((line) => wrapped(visible(line), pageWidth - indent));
      const shown = colour === undefined ? lines : lines.map((line) => paint(process.stdout, colour, line));
      const label = paint(process.stdout, "dim", name.padEnd(indent - 1));
      return `${label} ${shown.join(`\n${" ".repeat(indent)}`)}\n`;
    })
    .join("");
}

/** Lines of at most so many characters; of a word that is longer the middle is left out. */
function wrapped(text: string, most: number): readonly string[] {
  const lines: string[] = [];
  let line = "";
  for (const word of text.split(" ").map((each) => abridged(each, most))) {
    if (line === "") line = word;
    else if (line.length + 1 + word.length <= most) line += ` ${word}`;
    else {
      lines.push(line);
      line = word;
    }
  }
  return [...lines, line];
}

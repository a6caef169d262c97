// Reads what was captured from web servers in front; its form is described in received/README.md.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { root } from "../../support/tools.js";

export interface Captured {
  /** "nginx-uwsgi_params" */
  readonly name: string;
  /** name, value, name, value … */
  readonly sent: readonly string[];
  /** NAME=value, sorted. */
  readonly seen: readonly string[];
  readonly paths: readonly CapturedPath[];
}

export interface CapturedPath {
  /** What was sent, by name; what was not is missing. */
  readonly sent: Readonly<Record<string, string>>;
  readonly scriptName: string;
  readonly pathInfo: string;
}

const folder = join(root, "test/protocol/cgi/received");
const columns = ["REQUEST_URI", "DOCUMENT_URI", "SCRIPT_NAME", "PATH_INFO"];

export function captured(): Captured[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(".md") && file !== "README.md");
  return files.flatMap((file) => {
    const [, ...sections] = readFileSync(join(folder, file), "utf8").split(/^## /m);
    return sections.map((section) => ({
      name: section.slice(0, section.indexOf("\n")),
      sent: block(section, "sent").flatMap((line) => {
        const at = line.indexOf("=");
        return [line.slice(0, at), line.slice(at + 1)];
      }),
      seen: block(section, "seen"),
      paths: rows(section),
    }));
  });
}

function octets(text: string): string {
  return text.replace(/\\x([0-9a-f]{2})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 16)));
}

function block(section: string, name: string): string[] {
  const [, text] = new RegExp(`^\`\`\`${name}\n(.*?)^\`\`\`$`, "ms").exec(section) ?? [];
  if (text === undefined) throw new Error(`There is no ${name} in ${section.slice(0, 40)}`);
  return text.trimEnd().split("\n").map(octets);
}

function rows(section: string): CapturedPath[] {
  return [...section.matchAll(/^\| `.*$/gm)].map(([row]) => {
    const cells = row
      .slice(2, -2)
      .split(" | ")
      .map((cell) => (cell === "–" ? undefined : cell === "empty" ? "" : octets(cell.slice(1, -1))));
    const sent = Object.fromEntries(
      columns.map((name, at) => [name, cells[at]] as const).filter(([, value]) => value !== undefined),
    ) as Record<string, string>;
    return { sent, scriptName: cells[4] ?? "", pathInfo: cells[5] ?? "" };
  });
}

/** `pairs` with the path's variables replaced by those that were sent. */
export function withPath(pairs: readonly string[], sent: Readonly<Record<string, string>>): string[] {
  const others: string[] = [];
  for (let at = 0; at + 1 < pairs.length; at += 2) {
    const name = pairs[at] ?? "";
    if (!columns.includes(name)) others.push(name, pairs[at + 1] ?? "");
  }
  return [...others, ...Object.entries(sent).flat()];
}

// vivarium.toml → the values it holds, by key. Which keys there are is the schema's business (options.ts).
import { readFileSync } from "node:fs";
import { vivariumError } from "../errors.js";

/** Throws ERR_CONFIG_FILE with a sentence that names the file, and the line where the TOML is malformed. */
export async function readConfigFile(path: string): Promise<Readonly<Record<string, unknown>>> {
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(readFileSync(path));
  } catch (cause) {
    throw vivariumError("ERR_CONFIG_FILE", `Cannot read ${path}: ${reason(cause)}.`, { cause });
  }
  const { parse, TomlError } = await import("smol-toml");
  try {
    return parse(text);
  } catch (cause) {
    if (!(cause instanceof TomlError)) throw cause;
    // The library's message goes on with an excerpt of the file; its first line is the reason.
    const [first = ""] = cause.message.split("\n");
    throw vivariumError(
      "ERR_CONFIG_FILE",
      `${path}, line ${cause.line}, column ${cause.column}: this is not TOML (${first.replace(/^Invalid TOML document: /u, "")}).`,
      { cause },
    );
  }
}

function reason(error: unknown): string {
  if (error instanceof TypeError) return "it is not UTF-8 text";
  const code = error instanceof Error && "code" in error ? String(error.code) : "";
  const reasons: Readonly<Record<string, string>> = {
    ENOENT: "there is no such file",
    ENOTDIR: "there is no such file",
    EISDIR: "it is a directory",
    EACCES: "this user may not read it",
  };
  return reasons[code] ?? (error instanceof Error ? error.message : String(error));
}

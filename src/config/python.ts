// Which Python interpreter. The one a person would get by typing `python` in the project they stand in.
import { accessSync, constants, statSync } from "node:fs";
import { delimiter, join, resolve } from "node:path";
import { vivariumError } from "../errors.js";
import { Expected, type ReadContext } from "./read.js";

/** An interpreter's path, a virtual environment's directory, or a name looked up on PATH. */
export function interpreter(value: unknown, context: ReadContext): string | Expected {
  const expected = new Expected("a Python interpreter or the directory of a virtual environment");
  if (typeof value !== "string" || value === "" || value.includes("\0")) return expected;
  if (!value.includes("/")) return onPath(value, context) ?? inEnvironment(resolve(context.base, value)) ?? expected;
  const path = resolve(context.base, value);
  return isExecutable(path) ? path : (inEnvironment(path) ?? expected);
}

/**
 * The active virtual environment ($VIRTUAL_ENV); else .venv or venv in the application's directory, where uv, Poetry
 * and most people put it and forget to activate it; else `python3`.
 */
export function defaultInterpreter(context: ReadContext): string {
  const active = context.environment["VIRTUAL_ENV"];
  const directories = [active, join(context.chdir, ".venv"), join(context.chdir, "venv")];
  for (const directory of directories) {
    const found = directory === undefined || directory === "" ? undefined : inEnvironment(directory);
    if (found !== undefined) return found;
  }
  const found = onPath("python3", context);
  if (found !== undefined) return found;
  throw vivariumError(
    "ERR_CONFIG_VALUE",
    "There is no python3 on PATH: install Python 3.8 or newer, or name an interpreter with --python.",
  );
}

function inEnvironment(directory: string): string | undefined {
  // The name `python` and not what it links to: a virtual environment is found from the path it was started by.
  const path = join(directory, "bin", "python");
  return isExecutable(path) ? path : undefined;
}

function onPath(name: string, context: ReadContext): string | undefined {
  return (context.environment["PATH"] ?? "")
    .split(delimiter)
    .filter((directory) => directory !== "")
    .map((directory) => join(directory, name))
    .find(isExecutable);
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return statSync(path).isFile();
  } catch {
    return false;
  }
}

// What this package is and where it lies, for whoever starts parts of it or names its version.
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The package's directory, absolute, with a closing slash: this module is build/src/package.js in it. */
export const packageRoot: string = fileURLToPath(new URL("../../", import.meta.url));

/** Of Vivarium: "0.1.0". */
export const version: string = readVersion();

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(`${packageRoot}package.json`, "utf8"));
  const found = typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : "";
  return String(found);
}

// What this package is and where it lies, for whoever starts parts of it or names its version.
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

/** The package's directory, absolute, with a closing slash: the nearest above this module that holds the Python side. */
export const packageRoot: string = findRoot(new URL("./", import.meta.url));

/** Of Vivarium: "0.1.0". */
export const version: string = readVersion();

function readVersion(): string {
  const manifest: unknown = JSON.parse(readFileSync(`${packageRoot}package.json`, "utf8"));
  const found = typeof manifest === "object" && manifest !== null && "version" in manifest ? manifest.version : "";
  return String(found);
}

function findRoot(folder: URL): string {
  return existsSync(new URL("python/vivarium_host", folder)) ? fileURLToPath(folder) : findRoot(new URL("../", folder));
}

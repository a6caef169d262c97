// npm run build: compiles everything and makes the bundle. See scripts/setup/node.mjs.
import { dirname } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "./setup/node.mjs";

process.exitCode = (await build(dirname(dirname(fileURLToPath(import.meta.url))))) ? 0 : 1;

// h2spec, the conformance suite of HTTP/2 that servers are held to. It is published as a Go module and compiled here, in the versions
// that h2spec/go.mod names: the module itself names none of what it needs, and what is newest needs the newest Go.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { isExecutable, programs } from "./programs.mjs";

const module = join(dirname(fileURLToPath(import.meta.url)), "h2spec");
const command = "github.com/summerwind/h2spec/cmd/h2spec";

function readOr(path, otherwise) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return otherwise;
  }
}

/** Makes .cache/h2spec/h2spec if it is not as it should be. Returns why that failed, or undefined. */
export function ensureH2spec(root, say) {
  const go = programs.go.find();
  if (go === undefined) return "there is no go";
  const folder = join(root, ".cache", "h2spec");
  const program = join(folder, "h2spec");
  const stamp = join(folder, "vivarium-stamp");
  const wanted = readFileSync(join(module, "go.mod"), "utf8");
  if (readOr(stamp, "") === wanted && isExecutable(program)) return undefined;
  say("making .cache/h2spec");
  mkdirSync(folder, { recursive: true });
  const { status, stderr, error } = spawnSync(go, ["build", "-mod=readonly", "-o", program, command], {
    cwd: module,
    encoding: "utf8",
    env: { ...process.env, CGO_ENABLED: "0", GOTOOLCHAIN: "local" },
    stdio: ["ignore", "ignore", "pipe"],
  });
  if (status !== 0) return (stderr || error?.message || "").trim().split("\n").slice(-3).join("\n");
  writeFileSync(stamp, wanted);
  return undefined;
}

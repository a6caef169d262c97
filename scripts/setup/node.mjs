// The Node side of a checkout: its packages and its build.
import { spawnSync } from "node:child_process";
import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";

function lockedPackages(path) {
  try {
    return JSON.parse(readFileSync(path, "utf8")).packages ?? {};
  } catch {
    return {};
  }
}

/**
 * Whether node_modules holds what package-lock.json asks for, by npm's own record of what it installed
 * (node_modules/.package-lock.json). Packages for other platforms are optional there and may be absent.
 */
export function packagesInstalled(root) {
  const wanted = lockedPackages(join(root, "package-lock.json"));
  const installed = lockedPackages(join(root, "node_modules", ".package-lock.json"));
  return Object.entries(wanted).every(([path, { version, optional }]) => {
    return path === "" || (installed[path] === undefined ? optional === true : installed[path].version === version);
  });
}

/** Installs the npm packages if missing. Returns whether they are there. */
export function ensurePackages(root, say) {
  if (packagesInstalled(root)) return true;
  say("installing npm packages");
  const result = spawnSync("npm", ["ci", "--loglevel=error"], { cwd: root, stdio: ["ignore", "inherit", "inherit"] });
  return result.status === 0;
}

/** Runs a program of node_modules (its JavaScript entry), output passed on. Returns whether it succeeded. */
function runPackage(root, name, binary, args) {
  const folder = join(root, "node_modules", name);
  const { bin } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
  const entry = typeof bin === "string" ? bin : bin[binary];
  const result = spawnSync(process.execPath, [join(folder, entry), ...args], {
    cwd: root,
    stdio: ["ignore", "inherit", "inherit"],
  });
  return result.status === 0;
}

/**
 * Compiles everything, or what another project file names, then puts each of the two programs, with the libraries it
 * uses, into one file that Node loads in a fraction of the time. Returns whether there were no errors.
 */
export async function build(root, project = ".") {
  if (!runPackage(root, "typescript", "tsc", ["-p", project])) return false;
  const folder = join(root, "build", "bundle");
  const { build: bundle, stop } = await import("esbuild");
  rmSync(folder, { recursive: true, force: true });
  const result = await bundle({
    entryPoints: { vivarium: join(root, "build/src/cli/main.js"), front: join(root, "build/src/front/main.js") },
    outdir: folder,
    bundle: true,
    // CommonJS, because Node 20 takes some 20 ms longer to start with an ES module.
    format: "cjs",
    platform: "node",
    target: "node20",
    // It finds its binary beside itself.
    external: ["koffi"],
    supported: { "dynamic-import": false },
    define: {
      "import.meta.url": "moduleUrl",
      // The library ws looks for two native addons unless it is told not to.
      "process.env.WS_NO_BUFFER_UTIL": "true",
      "process.env.WS_NO_UTF_8_VALIDATE": "true",
    },
    banner: { js: 'const moduleUrl = require("node:url").pathToFileURL(__filename).href;' },
    minifySyntax: true,
    minifyWhitespace: true,
    metafile: true,
    logLevel: "warning",
    absWorkingDir: root,
  });
  await stop();
  writeFileSync(join(folder, "package.json"), '{ "type": "commonjs" }\n');
  writeFileSync(join(folder, "LICENSES.txt"), licenses(root, Object.keys(result.metafile.inputs)));
  return ["vivarium", "front"].every((name) => {
    const args = [join(root, "scripts/setup/code-cache.cjs"), name];
    return spawnSync(process.execPath, args, { stdio: ["ignore", "inherit", "inherit"] }).status === 0;
  });
}

/** The licences of the packages in a bundle, which ask to be passed on with them. */
function licenses(root, inputs) {
  const names = inputs.map((path) => /^node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(path)?.[1]).filter(Boolean);
  return [...new Set(names)]
    .sort()
    .map((name) => {
      const folder = join(root, "node_modules", name);
      const file = readdirSync(folder).find((entry) => /^licen[cs]e/i.test(entry));
      const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
      const text = file === undefined ? license : readFileSync(join(folder, file), "utf8").trim();
      return `${name} ${version}\n\n${text}\n`;
    })
    .join(`\n${"-".repeat(80)}\n\n`);
}

export function lint(root) {
  return runPackage(root, "@biomejs/biome", "biome", ["check", "--error-on-warnings", "."]);
}

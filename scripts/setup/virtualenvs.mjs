// The Python virtual environments of tests and benchmark, under .cache/. A stamp inside each says what it was made
// from; while that is unchanged, a call costs one read.
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isExecutable, which } from "./programs.mjs";
import { findPythons } from "./pythons.mjs";

/** What embedded interpreters are tested with: extension modules of others, some with threads of their own. */
const libraries = ["numpy", "psycopg[binary]", "psycopg2-binary", "SQLAlchemy"];

/** Name → requirements, in pip's words. A name may end in the version of Python that it is for. */
export const virtualenvs = {
  "venv-frameworks": ["Flask", "Django", "psycopg[binary]", "psycopg2-binary"],
  // Asynchronous frameworks, and clients of Python's to ask them with.
  "venv-async": [
    ...["fastapi", "starlette", "python-multipart", "itsdangerous", "jinja2"],
    ...["Django", "channels", "channels_redis", "uvloop"],
    ...["httpx[http2]", "websockets"],
  ],
  "venv-bench": ["gunicorn", "Flask"],
  // The last that was released: 1.0.3 of 2018, for Python 3.
  "venv-flup": ["flup==1.0.3"],
  "venv-libraries": libraries,
  "venv-libraries-3.8": libraries,
  "venv-libraries-3.13": libraries,
  // The benchmark's peers, each as it is published now.
  "venv-peers": [
    ...["gunicorn[gevent]", "granian", "uvicorn", "uvloop", "httptools"],
    ...["hypercorn", "daphne", "websockets"],
  ],
  // By itself, because it is compiled, against Apache and this Python: where that fails, the others are here all the same.
  "venv-mod-wsgi": ["setuptools", "wheel", "mod_wsgi"],
};

/** The version of Python that a virtual environment's name says it is for. */
export function versionOf(name) {
  return /-(3\.\d+)$/.exec(name)?.[1];
}

/**
 * The interpreter a virtual environment is made from: the system's own first, because uWSGI and mod_wsgi are built
 * against that one and peers are to be compared on the same Python.
 */
function basePython(name) {
  const version = versionOf(name);
  if (version !== undefined) return findPythons().found.find((python) => python.version === version)?.path;
  return isExecutable("/usr/bin/python3") ? "/usr/bin/python3" : which("python3");
}

function run(command, args) {
  const result = spawnSync(command, args, { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
  if (result.status === 0) return undefined;
  return (result.stderr || result.error?.message || "").trim().split("\n").slice(-3).join("\n");
}

function readStamp(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return "";
  }
}

/** Makes the virtual environment `name` if it is not as it should be. Returns why that failed, or undefined. */
export function ensureVirtualenv(root, name, say) {
  const python = basePython(name);
  if (python === undefined) return `there is no python${versionOf(name) ?? "3"}`;
  const folder = join(root, ".cache", name);
  const stamp = join(folder, "vivarium-stamp");
  const wanted = `${python}\n${folder}\n${virtualenvs[name].join("\n")}\n`;
  if (readStamp(stamp) === wanted && isExecutable(join(folder, "bin", "python"))) return undefined;
  say(`making .cache/${name}: ${virtualenvs[name].join(", ")}`);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-input"];
  const failure =
    run(python, ["-m", "venv", folder]) ?? run(join(folder, "bin", "python"), [...pip, ...virtualenvs[name]]);
  if (failure === undefined) writeFileSync(stamp, wanted);
  return failure;
}

// The shared library of a Python interpreter, for a process that is to have that interpreter inside. The interpreter
// itself is asked: one that is linked against its library has it loaded (/proc/self/maps); one that has everything in
// its executable (Debian, conda, python-build-standalone as uv installs it) often has the library beside it all the same.
// Where sysconfig says it would be is where the build put it, which need not be where it is now: python-build-standalone
// says /install/lib. Each file found is loaded and asked for its version, as a directory can hold the library of another.
import { execFile } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import * as v from "valibot";
import { type VivariumError, vivariumError } from "../errors.js";

export interface Libpython {
  /** Absolute path of libpythonX.Y.so. */
  readonly library: string;
  /** "3.11.2" */
  readonly version: string;
  /** `sys.executable`; a virtual environment's own, where it is one. */
  readonly executable: string;
}

/** What an interpreter says about itself; in capitals, what `sysconfig` has of its build, "" where it has nothing. */
export interface Interpreter {
  readonly implementation: string;
  /** "3.11.2" */
  readonly version: string;
  readonly executable: string;
  /** The installation's, not the virtual environment's. */
  readonly prefix: string;
  readonly abiflags: string;
  /** Files of that name that its process has loaded. */
  readonly loaded: readonly string[];
  readonly LDLIBRARY: string;
  readonly INSTSONAME: string;
  readonly LDVERSION: string;
  readonly LIBDIR: string;
  readonly LIBPL: string;
  readonly MULTIARCH: string;
}

const interpreterSchema = v.object({
  implementation: v.string(),
  version: v.string(),
  executable: v.string(),
  prefix: v.string(),
  abiflags: v.string(),
  loaded: v.array(v.string()),
  LDLIBRARY: v.string(),
  INSTSONAME: v.string(),
  LDVERSION: v.string(),
  LIBDIR: v.string(),
  LIBPL: v.string(),
  MULTIARCH: v.string(),
}) satisfies v.GenericSchema<unknown, Interpreter>;

/** Minor version of Python 3 that is the oldest hosted. */
const oldest = 8;

/** An interpreter that says nothing for so long is something else, ms. */
const answersWithin = 30_000;

// Without site (-S), so that nothing of the environment's runs; sys.path[0] is the current directory, where anything may lie.
// Python 2 understands the question, too, so that it can be told that it is too old.
const question = `
import sys
if sys.path[0] == "": del sys.path[0]
import io, json, re, sysconfig
with io.open("/proc/self/maps", encoding="utf-8", errors="replace") as maps:
    loaded = set(re.findall(r"(/.*/libpython\\d\\.\\d+[a-z]*\\.so\\S*)\\n", maps.read()))
answer = {
    "implementation": getattr(getattr(sys, "implementation", None), "name", "cpython"),
    "version": sys.version.split()[0],
    "executable": sys.executable,
    "prefix": getattr(sys, "base_prefix", sys.prefix),
    "abiflags": getattr(sys, "abiflags", ""),
    "loaded": sorted(loaded),
}
for name in ("LDLIBRARY", "INSTSONAME", "LDVERSION", "LIBDIR", "LIBPL", "MULTIARCH"):
    answer[name] = sysconfig.get_config_var(name) or ""
print(json.dumps(answer))
`;

/** The library of the interpreter at that path. Rejects with ERR_PYTHON_LIBRARY, one sentence that says what to do. */
export async function findLibpython(python: string): Promise<Libpython> {
  return libraryOf(await askInterpreter(python));
}

/** Runs the interpreter for a moment, to be told what it is. */
export async function askInterpreter(python: string): Promise<Interpreter> {
  const said = await new Promise<string>((done, fail) => {
    const options = { encoding: "utf8", timeout: answersWithin, killSignal: "SIGKILL" } as const;
    execFile(python, ["-S", "-c", question], options, (failure, stdout, stderr) => {
      if (failure === null) return done(stdout);
      const ended = failure.killed ? "it gives no answer" : `${failure.signal ?? failure.code}`;
      const status = typeof failure.code === "number" ? `exit status ${failure.code}` : ended;
      const why = (stderr.trim().split("\n").at(-1) || status).replace(/\.$/u, "");
      fail(refusal(`The Python interpreter ${python} cannot be run: ${why}; name another with --python.`, failure));
    });
  });
  const answer = v.safeParse(interpreterSchema, parse(said));
  if (answer.success) return answer.output;
  throw refusal(`${python} is not a Python interpreter: asked what it is, it does not say; name one with --python.`);
}

/** Its library, found and looked at. */
export async function libraryOf(interpreter: Interpreter): Promise<Libpython> {
  refuseUnsuited(interpreter);
  const { version, executable } = interpreter;
  const rejected: string[] = [];
  for (const library of candidates(interpreter)) {
    const stated = await versionOf(library);
    if (stated === version) return { library, version, executable };
    rejected.push(stated instanceof Error ? stated.message : `${library} is that of ${stated}`);
  }
  if (rejected.length === 0) throw refusal(missing(interpreter));
  const wrong = `The shared library of ${executable} (Python ${version}) cannot be used: ${rejected.join("; ")}.`;
  throw refusal(`${wrong} ${remedy(interpreter)}`);
}

function refuseUnsuited({ implementation, version, executable, abiflags }: Interpreter): void {
  if (implementation !== "cpython") {
    throw refusal(
      `Embedded mode needs CPython, and ${executable} is ${implementation}: name another interpreter with --python, or run without --embedded.`,
    );
  }
  const [major = 0, minor = 0] = version.split(".").map(Number);
  if (major < 3 || (major === 3 && minor < oldest)) {
    throw refusal(
      `${executable} is Python ${version}: name an interpreter of Python 3.${oldest} or newer with --python.`,
    );
  }
  // What a request uses is shared with the front's own thread, and the lock is what says whose turn it is (PEP 703).
  if (abiflags.includes("t")) {
    throw refusal(
      `${executable} is a free-threaded build of Python ${version}: embedded mode relies on the interpreter lock; name a build that has it with --python, or run without --embedded.`,
    );
  }
}

/** Files that may be the library, the likeliest first; each exists. */
function candidates(interpreter: Interpreter): readonly string[] {
  const { loaded, prefix, executable, LDLIBRARY, INSTSONAME, LDVERSION, LIBDIR, LIBPL, MULTIARCH } = interpreter;
  if (loaded.length > 0) return loaded;
  const names = [INSTSONAME, LDLIBRARY, `libpython${LDVERSION}.so.1.0`, `libpython${LDVERSION}.so`];
  // The executable of a virtual environment is a link to the installation's.
  const beside = join(dirname(resolved(executable)), "..", "lib");
  const folders = [join(prefix, "lib"), join(prefix, "lib", MULTIARCH), beside, LIBDIR, join(LIBDIR, MULTIARCH), LIBPL];
  const paths = folders
    .filter((folder) => folder.startsWith("/"))
    .flatMap((folder) => names.filter((name) => name.includes(".so")).map((name) => join(folder, name)))
    .filter((path) => existsSync(path));
  // libpython3.11.so is a link to libpython3.11.so.1.0.
  return [...new Set(paths.map(resolved))];
}

function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch {
    return path;
  }
}

/** The version a library states; an Error, with the system's word, where it is none that this process can load. */
async function versionOf(library: string): Promise<string | Error> {
  const { default: koffi } = await import("koffi");
  try {
    const loaded = koffi.load(library);
    try {
      // const char *Py_GetVersion(void): needs no interpreter that is initialised (C API, "Before Python Initialization").
      const stated: unknown = loaded.func("const char *Py_GetVersion()")();
      return String(stated).split(" ")[0] ?? "";
    } finally {
      loaded.unload();
    }
  } catch (error) {
    return error instanceof Error ? error : new Error(String(error));
  }
}

function missing(interpreter: Interpreter): string {
  const { executable, version } = interpreter;
  return `Embedded mode needs Python's shared library, and ${executable} (Python ${version}) has none. ${remedy(interpreter)}`;
}

/** What to do, for each way Python comes to a machine. */
function remedy({ executable, prefix, version, abiflags, LDVERSION, LIBDIR, MULTIARCH }: Interpreter): string {
  const short = LDVERSION.replace(/[a-z]+$/u, "") || version.split(".").slice(0, 2).join(".");
  if (prefix === "/usr" && MULTIARCH !== "" && LIBDIR.endsWith(MULTIARCH)) {
    const name = `libpython${short}${abiflags.includes("d") ? "-dbg" : ""}`;
    return `Install Debian's package of it, of the same version: apt install ${name}.`;
  }
  if (existsSync(join(prefix, "conda-meta"))) {
    return `conda installs it with Python: conda install --prefix ${prefix} --force-reinstall python=${version}.`;
  }
  if (basename(dirname(prefix)) === "versions" && existsSync(join(prefix, "..", "..", "shims"))) {
    const command = `PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force ${basename(prefix)}`;
    return `pyenv builds it when told to: ${command}.`;
  }
  return `Take a Python that was built with it (./configure --enable-shared) in place of ${executable}, or run without --embedded.`;
}

function refusal(sentence: string, cause?: unknown): VivariumError {
  return vivariumError("ERR_PYTHON_LIBRARY", sentence, cause === undefined ? undefined : { cause });
}

function parse(line: string): unknown {
  try {
    return JSON.parse(line);
  } catch {
    return undefined;
  }
}

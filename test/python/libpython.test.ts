import assert from "node:assert/strict";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { VivariumError } from "../../src/errors.js";
import { askInterpreter, findLibpython, type Interpreter, libraryOf } from "../../src/python/libpython.js";
import { run } from "../support/processes.js";
import { python, pythons, removeFolder, temporaryFolder } from "../support/tools.js";

let folder = "";
/** What the machine's own interpreter says, and its library. */
let own: Interpreter;
let library = "";

before(async () => {
  folder = temporaryFolder("libpython");
  own = await askInterpreter(python());
  library = (await findLibpython(python())).library;
});
after(() => removeFolder(folder));

/** An installation without anything in it, and what an interpreter linked statically would say there. */
function installation(path: string, said: Partial<Interpreter> = {}): Interpreter {
  const prefix = join(folder, path);
  mkdirSync(join(prefix, "lib"), { recursive: true });
  const executable = join(prefix, "bin", "python");
  const elsewhere = { LIBDIR: "/install/lib", LIBPL: "/install/lib/config", MULTIARCH: "" };
  return { ...own, ...elsewhere, loaded: [], prefix, executable, ...said };
}

function refused(sentence: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof VivariumError, String(error));
    assert.equal(error.code, "ERR_PYTHON_LIBRARY");
    assert.match(error.message, sentence);
    assert.doesNotMatch(error.message, /\n|undefined|\.\./u);
    return true;
  };
}

function program(name: string, script: string): string {
  const path = join(folder, name);
  writeFileSync(path, `#!/bin/sh\n${script}\n`);
  chmodSync(path, 0o755);
  return path;
}

describe("the library is found", () => {
  for (const { version, path } of [...pythons(), { version: "", path: python() }]) {
    test(`of Python ${version} at ${path}, with its whole version`, async () => {
      const found = await findLibpython(path);
      const { stdout } = await run(path, ["-c", "import sys; print(sys.version.split()[0], sys.executable)"]);
      assert.equal(`${found.version} ${found.executable}`, stdout.trim());
      assert.match(basename(found.library), new RegExp(`^libpython${found.version.split(".", 2).join("\\.")}`, "u"));
      assert.equal(found.library, realpathSync(found.library));
    });

    test(`of a virtual environment of Python ${version} at ${path}, whose executable is its own`, async () => {
      const environment = join(folder, `venv${version}`);
      const made = await run(path, ["-m", "venv", "--without-pip", environment]);
      assert.equal(made.code, 0, made.stderr);
      const found = await findLibpython(join(environment, "bin", "python"));
      assert.deepEqual(found, { ...(await findLibpython(path)), executable: join(environment, "bin", "python") });
    });
  }

  test("beside an executable that is not linked against it, wherever the build says it was put", async () => {
    const said = installation("relocated");
    const moved = join(said.prefix, "lib", basename(library));
    copyFileSync(library, moved);
    assert.deepEqual(await libraryOf(said), { library: moved, version: own.version, executable: said.executable });
  });

  test("beside what the executable is a link to", async () => {
    const said = installation("environment");
    const installed = installation("installed");
    for (const each of [said, installed]) mkdirSync(dirname(each.executable));
    writeFileSync(installed.executable, "");
    symlinkSync(installed.executable, said.executable);
    const moved = join(installed.prefix, "lib", basename(library));
    copyFileSync(library, moved);
    assert.equal((await libraryOf(said)).library, moved);
  });

  test("where one of another version is found before it", async () => {
    const said = installation("two", { LIBDIR: join(folder, "two", "right"), version: own.version });
    const other = pythons().find(({ path }) => path !== python());
    assert.ok(other !== undefined);
    const wrong = (await findLibpython(other.path)).library;
    symlinkSync(wrong, join(said.prefix, "lib", own.INSTSONAME));
    mkdirSync(said.LIBDIR);
    const right = join(said.LIBDIR, own.INSTSONAME);
    copyFileSync(library, right);
    assert.equal((await libraryOf(said)).library, right);
  });

  test("though the current directory holds modules of the names that the question needs", async () => {
    const trap = join(folder, "trap");
    mkdirSync(trap);
    for (const name of ["json", "sysconfig", "re"]) writeFileSync(join(trap, `${name}.py`), "raise SystemExit(9)\n");
    const before = process.cwd();
    process.chdir(trap);
    try {
      assert.equal((await findLibpython(python())).library, library);
    } finally {
      process.chdir(before);
    }
  });
});

describe("a library that is not this interpreter's is refused", () => {
  test("of another version, named with its own", async () => {
    const said = installation("other", { version: "3.11.99" });
    const wrong = join(said.prefix, "lib", own.INSTSONAME);
    copyFileSync(library, wrong);
    const version = own.version.replaceAll(".", "\\.");
    await assert.rejects(
      libraryOf(said),
      refused(new RegExp(`\\(Python 3\\.11\\.99\\) cannot be used: ${wrong} is that of ${version}\\. \\S`, "u")),
    );
  });

  test("built for another kind of machine", async () => {
    const said = installation("machine");
    const octets = Buffer.from(readFileSync(library));
    octets.writeUInt8(1, 4); // e_ident[EI_CLASS], elf(5): ELFCLASS32
    writeFileSync(join(said.prefix, "lib", own.INSTSONAME), octets);
    await assert.rejects(libraryOf(said), refused(/cannot be used: .*wrong ELF class.* run without --embedded\.$/u));
  });

  test("not a library at all", async () => {
    const said = installation("text");
    writeFileSync(join(said.prefix, "lib", own.INSTSONAME), "INPUT(libpython.so)\n");
    await assert.rejects(libraryOf(said), refused(/cannot be used: .* run without --embedded\.$/u));
  });
});

describe("where there is none, one sentence says what to do", () => {
  // No Debian has had 3.99, so that nothing of it lies in the directories of this machine's.
  const absent = {
    version: "3.99.1",
    LDVERSION: "3.99",
    INSTSONAME: "libpython3.99.so.1.0",
    LDLIBRARY: "libpython3.99.so",
  };

  test("with Debian's Python", async () => {
    const said = { prefix: "/usr", LIBDIR: "/usr/lib/x86_64-linux-gnu", MULTIARCH: "x86_64-linux-gnu" };
    const executable = "/usr/bin/python3.99";
    const debian = installation("debian", { ...absent, ...said, executable });
    await assert.rejects(
      libraryOf(debian),
      refused(/\/usr\/bin\/python3\.99 \(Python 3\.99\.1\) has none\. .* apt install libpython3\.99\.$/u),
    );
    const debug = { ...debian, abiflags: "d", LDVERSION: "3.99d" };
    await assert.rejects(libraryOf(debug), refused(/apt install libpython3\.99-dbg\.$/u));
  });

  test("with pyenv's", async () => {
    mkdirSync(join(folder, "pyenv", "shims"), { recursive: true });
    const said = installation("pyenv/versions/3.99.1", { ...absent, LDLIBRARY: "libpython3.99.a", INSTSONAME: "" });
    await assert.rejects(
      libraryOf(said),
      refused(/: PYTHON_CONFIGURE_OPTS=--enable-shared pyenv install --force 3\.99\.1\.$/u),
    );
  });

  test("with conda's", async () => {
    const said = installation("conda", absent);
    mkdirSync(join(said.prefix, "conda-meta"));
    await assert.rejects(
      libraryOf(said),
      refused(/conda install --prefix \S+\/conda --force-reinstall python=3\.99\.1\.$/u),
    );
  });

  test("with any other", async () => {
    const said = installation("opt", { ...absent, LDLIBRARY: "libpython3.99.a", INSTSONAME: "libpython3.99.a" });
    writeFileSync(join(said.prefix, "lib", "libpython3.99.a"), "!<arch>\n");
    await assert.rejects(
      libraryOf(said),
      refused(/\(\.\/configure --enable-shared\) in place of \S+, or run without --embedded\.$/u),
    );
  });
});

describe("what cannot be embedded is refused, whatever library it has", () => {
  test("a free-threaded build", async () => {
    const said = { ...own, abiflags: "t" };
    await assert.rejects(
      libraryOf(said),
      refused(/is a free-threaded build of Python .*, or run without --embedded\.$/u),
    );
  });

  test("another implementation than CPython", async () => {
    await assert.rejects(libraryOf({ ...own, implementation: "pypy" }), refused(/needs CPython, and \S+ is pypy: /u));
  });

  test("a Python that is too old", async () => {
    for (const version of ["3.7.17", "2.7.18"]) {
      await assert.rejects(libraryOf({ ...own, version }), refused(/is Python [\d.]+: name .* Python 3\.8 or newer/u));
    }
  });

  test("an interpreter that is not there, fails, or is something else", async () => {
    await assert.rejects(
      findLibpython("/nonexistent/python"),
      refused(/\/nonexistent\/python cannot be run: ENOENT; name/u),
    );
    const broken = program("broken", "echo 'Fatal Python error: no encodings.' >&2; exit 1");
    await assert.rejects(findLibpython(broken), refused(/cannot be run: Fatal Python error: no encodings; name/u));
    await assert.rejects(findLibpython(program("silent", "exit 4")), refused(/cannot be run: exit status 4; name/u));
    await assert.rejects(
      findLibpython(program("echo", "echo hello")),
      refused(/is not a Python interpreter: .*--python\.$/u),
    );
    await assert.rejects(
      findLibpython(program("json", "echo '{}'")),
      refused(/is not a Python interpreter: .*--python\.$/u),
    );
  });
});

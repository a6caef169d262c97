// The application of probes.py, served, and what the same questions are answered by the interpreter alone: that is what
// the tests compare with. Each has a folder of its own to run in.
import assert from "node:assert/strict";
import { copyFileSync, existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { run } from "../support/processes.js";
import { removeFolder, root, temporaryFolder } from "../support/tools.js";
import { startVivarium, type Vivarium } from "../support/vivarium.js";

const source = join(root, "test/python/probes.py");

export type Environment = Readonly<Record<string, string | undefined>>;

export interface ProbedOptions {
  readonly python: string;
  readonly env?: Environment;
  readonly mode: "daemon" | "embedded";
  /** Further ones of `vivarium run`. */
  readonly args?: readonly string[];
}

export class Probed {
  readonly vivarium: Vivarium;
  /** Where the application is, and the current directory. */
  readonly folder: string;
  readonly #python: string;
  readonly #env: Environment;

  static async start({ python, mode, env = {}, args = [] }: ProbedOptions): Promise<Probed> {
    const folder = temporaryFolder("embedded");
    copyFileSync(source, join(folder, "probes.py"));
    const common = ["--chdir", folder, "--python", python, "--workers", "1", "--access-log", "off"];
    const server = [...common, ...(mode === "embedded" ? ["--embedded"] : []), ...args];
    const vivarium = await startVivarium("probes:application", { args: server, cwd: folder, env });
    return new Probed(vivarium, folder, python, env);
  }

  private constructor(vivarium: Vivarium, folder: string, python: string, env: Environment) {
    this.vivarium = vivarium;
    this.folder = folder;
    this.#python = python;
    this.#env = env;
  }

  /** What the application answers to a question; `query` is what follows the `?`. */
  async ask(name: string, query = ""): Promise<unknown> {
    const response = await fetch(`${this.vivarium.url}/${name}?${query}`);
    const text = await response.text();
    assert.equal(response.status, 200, `${name}: ${text}\n${this.vivarium.output}`);
    const answer: unknown = JSON.parse(text);
    return answer;
  }

  /** What the interpreter itself answers. */
  async reference(name: string): Promise<unknown> {
    const { stdout, stderr, code } = await run(this.#python, [join(this.folder, "probes.py"), name], {
      cwd: this.folder,
      env: this.#env,
    });
    assert.equal(code, 0, stderr);
    const answer: unknown = JSON.parse(stdout.trimEnd().split("\n").at(-1) ?? "");
    return answer;
  }

  /** Asserts that the application is answered what Python alone would answer. */
  async same(name: string): Promise<void> {
    const expected = await this.reference(name);
    assert.deepEqual(await this.ask(name), expected);
  }

  /** What was written to a file of the folder. */
  written(name: string): string {
    const path = join(this.folder, name);
    return existsSync(path) ? readFileSync(path, "utf8") : "";
  }

  /** Lets what waits for a file of that name go on. */
  release(name: string): void {
    writeFileSync(join(this.folder, name), "");
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  async stop(): Promise<void> {
    await this.vivarium.stop();
    removeFolder(this.folder);
  }
}

/** A virtual environment without pip, with a package, and a .pth file that imports it when Python starts. */
export async function virtualEnvironment(python: string, folder: string): Promise<string> {
  const made = await run(python, ["-m", "venv", "--without-pip", folder]);
  assert.equal(made.code, 0, made.stderr);
  const lib = join(folder, "lib");
  const [version = ""] = readdirSync(lib);
  const site = join(lib, version, "site-packages");
  writeFileSync(join(site, "beside.py"), "import sys\nWHERE = __file__\nsys.set_by_pth = True\n");
  writeFileSync(join(site, "beside.pth"), "import beside\n");
  return join(folder, "bin", "python");
}

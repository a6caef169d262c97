// A web server in front of Vivarium: its configuration, its process, and the application behind it.
import { chmodSync, cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../support/ports.js";
import { descendants, type RunningProcess, type StartOptions, start, waitUntilGone } from "../../support/processes.js";
import { removeFolder, root, temporaryFolder } from "../../support/tools.js";
import { startVivarium, type Vivarium } from "../../support/vivarium.js";

/** The configurations, and the application of the suite beside them. */
export const interopFolder: string = join(root, "test", "interop");

/** The folder that stands in the configurations for the one with Vivarium's sockets. */
const writtenFolder = "/run/mysite";
/** Arguments that name the files of haproxy/. */
export const haproxyFiles: readonly string[] = ["defaults", "site-http", "site-fastcgi", "site-proxy"].flatMap(
  (name) => ["-f", `${name}.cfg`],
);

/** What stands there for a free port. */
const writtenPort = /:(80\d\d)\b/gu;
/** What stands there for the program, and for the folder of the application. */
const writtenProgram = "/usr/local/bin/vivarium";
const writtenApplication = "/srv/mysite";

/**
 * A folder of this test's own with a front-end's configuration, made to run there. Front-ends that root starts run as
 * another user, so everything in it may be read, and sockets made in it, by everybody.
 */
export class Site {
  readonly folder: string = temporaryFolder("front");
  readonly #ports = new Map<string, number>();
  #server: RunningProcess | undefined;

  constructor() {
    chmodSync(this.folder, 0o1777);
  }

  /**
   * Puts the files of front/NAME (or behind/NAME) into the folder. They are usable as they stand; what differs here is the folders and the
   * ports, which are free ones.
   */
  async configure(name: string, side: "front" | "behind" = "front"): Promise<void> {
    const source = join(interopFolder, side, name);
    for (const file of readdirSync(source)) {
      const text = readFileSync(join(source, file), "utf8");
      for (const [, written = ""] of text.matchAll(writtenPort)) {
        if (!this.#ports.has(written)) this.#ports.set(written, await this.#freshPort());
      }
      const here = text
        .replaceAll(writtenFolder, this.folder)
        .replaceAll(writtenProgram, join(this.folder, "vivarium"))
        .replaceAll(writtenApplication, this.folder)
        .replaceAll(writtenPort, (_, written: string) => `:${this.port(Number(written))}`);
      writeFileSync(join(this.folder, file), here, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
    }
  }

  /**
   * Puts the application and a copy of Vivarium, `vivarium`, into the folder, for front-ends that start it themselves: the
   * user they run as may have no access to this checkout.
   */
  installVivarium(): void {
    const copy = join(this.folder, "program");
    const parts = [
      "bin",
      "build/bundle",
      "python/vivarium_host",
      "package.json",
      "node_modules/koffi",
      "node_modules/@koromix",
    ];
    for (const part of parts) {
      mkdirSync(join(copy, part, ".."), { recursive: true });
      cpSync(join(root, part), join(copy, part), { recursive: true, dereference: true });
    }
    this.script("vivarium", `exec ${process.execPath} ${copy}/bin/vivarium.js "$@"`);
    cpSync(join(interopFolder, "app.py"), join(this.folder, "app.py"));
  }

  /** A free port that none of the others is: the system may name one twice as long as nobody listens there. */
  async #freshPort(): Promise<number> {
    const taken = new Set(this.#ports.values());
    let port = await freePort();
    while (taken.has(port)) port = await freePort();
    return port;
  }

  /** Puts a shell script into the folder. */
  script(name: string, text: string): void {
    writeFileSync(join(this.folder, name), `#!/bin/sh\n${text}\n`, { mode: 0o755 });
  }

  /** The port that took the place of one written in the configuration. */
  port(written: number): number {
    const port = this.#ports.get(String(written));
    if (port === undefined) throw new Error(`no configuration has the port ${written}`);
    return port;
  }

  /**
   * Starts the server, in the foreground, and waits until it accepts connections on all its ports, and at these unix
   * sockets of the folder.
   */
  async serve(
    command: string,
    args: readonly string[],
    options: StartOptions = {},
    sockets: readonly string[] = [],
  ): Promise<void> {
    this.#server = start(command, args, { cwd: this.folder, ...options });
    for (const port of this.#ports.values()) await this.#server.accepting(port);
    for (const socket of sockets) await this.#server.accepting(join(this.folder, socket));
  }

  /** Ends the front-end and removes the folder. Throws where a process outlives it, one that it started included. */
  async close(): Promise<void> {
    const server = this.#server;
    const family = server === undefined ? [] : descendants(server.pid);
    await server?.stop();
    const left = await waitUntilGone(family);
    for (const pid of left) process.kill(pid, "SIGKILL");
    removeFolder(this.folder);
    if (left.length > 0) throw new Error(`processes ${left.join(", ")} outlived it; it printed:\n${server?.output}`);
  }
}

/**
 * The suite's application in Vivarium, with `more` as its arguments, too. It listens in the folder (PROTOCOL.sock) with these
 * protocols, and at a port of its own with HTTP.
 */
export function startApplication(
  folder: string,
  protocols: readonly string[],
  more: readonly string[] = [],
): Promise<Vivarium> {
  const listen = protocols.map((protocol) => `${protocol}://unix:${folder}/${protocol}.sock`);
  return startVivarium("app.py", {
    args: [
      ...["http://127.0.0.1:0", ...listen].flatMap((url) => ["--listen", url]),
      ...["--socket-mode", "0666", "--chdir", interopFolder, "--workers", "2"],
      ...["--trusted-proxies", "unix", "--access-log", "off", ...more],
    ],
    env: { PYTHONDONTWRITEBYTECODE: "1" },
  });
}

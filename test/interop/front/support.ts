// A web server in front of Vivarium: its configuration, its process, and the application behind it.
import { chmodSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "../../support/ports.js";
import { type RunningProcess, type StartOptions, start } from "../../support/processes.js";
import { removeFolder, root, temporaryFolder } from "../../support/tools.js";
import { startVivarium, type Vivarium } from "../../support/vivarium.js";

/** The configurations, and the application of the suite beside them. */
export const interopFolder: string = join(root, "test", "interop");

/** The folder that stands in the configurations for the one with Vivarium's sockets. */
const writtenFolder = "/run/mysite";
/** An address that stands in the configurations for one on a free port. */
const writtenAddress = /127\.0\.0\.1:(80\d\d)\b/gu;

/** A folder of this test's own with a front-end's configuration, made to run there. */
export class Site {
  readonly folder: string = temporaryFolder("front");
  readonly #ports = new Map<string, number>();

  constructor() {
    // Front-ends that are started by root run as another user.
    chmodSync(this.folder, 0o755);
  }

  /**
   * Puts the files of front/NAME into the folder. They are usable as they stand; what differs here is the folder and the
   * ports, which are free ones.
   */
  async configure(name: string): Promise<void> {
    const source = join(interopFolder, "front", name);
    for (const file of readdirSync(source)) {
      const text = readFileSync(join(source, file), "utf8");
      for (const [, written = ""] of text.matchAll(writtenAddress)) {
        if (!this.#ports.has(written)) this.#ports.set(written, await freePort());
      }
      const here = text
        .replaceAll(writtenFolder, this.folder)
        .replaceAll(writtenAddress, (_, written: string) => `127.0.0.1:${this.port(Number(written))}`);
      writeFileSync(join(this.folder, file), here, { mode: text.startsWith("#!") ? 0o755 : 0o644 });
    }
  }

  /** The port that took the place of one written in the configuration. */
  port(written: number): number {
    const port = this.#ports.get(String(written));
    if (port === undefined) throw new Error(`no configuration has the port ${written}`);
    return port;
  }

  /** Starts the front-end, in the foreground, and waits until it accepts connections on all its ports. */
  async serve(command: string, args: readonly string[], options: StartOptions = {}): Promise<RunningProcess> {
    const server = start(command, args, { cwd: this.folder, ...options });
    try {
      for (const port of this.#ports.values()) await server.accepting(port);
      return server;
    } catch (error) {
      await server.stop("SIGKILL");
      throw error;
    }
  }

  remove(): void {
    removeFolder(this.folder);
  }
}

/**
 * The suite's application in Vivarium. It listens in the folder (PROTOCOL.sock) with these protocols, and at a port of its
 * own with HTTP.
 */
export function startApplication(folder: string, protocols: readonly string[]): Promise<Vivarium> {
  const listen = protocols.map((protocol) => `${protocol}://unix:${folder}/${protocol}.sock`);
  return startVivarium("app.py", {
    args: [
      ...["http://127.0.0.1:0", ...listen].flatMap((url) => ["--listen", url]),
      ...["--chdir", interopFolder, "--workers", "2", "--trusted-proxies", "unix", "--access-log", "off"],
    ],
    env: { PYTHONDONTWRITEBYTECODE: "1" },
  });
}

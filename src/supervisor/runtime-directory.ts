// A folder of this server's own for its sockets and scoreboards, which nobody else may enter.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SOCKET_PATH_MOST } from "../config/control-path.js";

/** A folder in which the socket's path is not too long: Node would cut it off without a word. */
function parent(): string {
  const wire = join(tmpdir(), "vivarium-run-XXXXXX", "wire");
  return Buffer.byteLength(wire) <= SOCKET_PATH_MOST ? tmpdir() : "/tmp";
}

export class RuntimeDirectory {
  readonly path: string;
  /** The unix socket on which the front expects workers. */
  readonly wire: string;
  /** The folder of the workers' scoreboards. */
  readonly scoreboards: string;

  constructor() {
    // mkdtemp makes it with mode 0700.
    this.path = mkdtempSync(join(parent(), "vivarium-run-"));
    this.wire = join(this.path, "wire");
    this.scoreboards = join(this.path, "scoreboards");
    mkdirSync(this.scoreboards);
  }

  /**
   * A fresh scoreboard for a worker: the id of the request it has begun last, and room to spare. A new file: the front may
   * not have read yet what the worker's predecessor had begun. Throws where it cannot be written.
   */
  newScoreboard(worker: number): void {
    const path = join(this.scoreboards, String(worker));
    rmSync(path, { force: true });
    writeFileSync(path, Buffer.alloc(64));
  }

  /** Makes the folder anew where somebody has cleaned it away with other temporary files. False: it was there. */
  restore(): boolean {
    const lost = !existsSync(this.wire);
    mkdirSync(this.scoreboards, { recursive: true, mode: 0o700 });
    return lost;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

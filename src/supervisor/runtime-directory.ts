// A folder of this server's own for its sockets and scoreboards, which nobody else may enter.
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SOCKET_PATH_MOST } from "../config/control-path.js";
import { scoreboardName } from "../front/messages.js";

/** A folder in which a socket's path is not too long: Node would cut it off without a word. */
function parent(): string {
  const wire = join(tmpdir(), "vivarium-run-XXXXXX", wireName(999));
  return Buffer.byteLength(wire) <= SOCKET_PATH_MOST ? tmpdir() : "/tmp";
}

export class RuntimeDirectory {
  readonly path: string;
  /** The folder of the workers' scoreboards. */
  readonly scoreboards: string;

  constructor() {
    // mkdtemp makes it with mode 0700.
    this.path = mkdtempSync(join(parent(), "vivarium-run-"));
    this.scoreboards = join(this.path, "scoreboards");
    mkdirSync(this.scoreboards);
  }

  /** The unix socket on which the front expects the workers of this pool, by its place in the configuration. */
  wire(pool: number): string {
    return join(this.path, wireName(pool));
  }

  /**
   * A fresh scoreboard for a worker: the id of the request it has begun last, and room to spare. A new file: the front may
   * not have read yet what the worker's predecessor had begun. Throws where it cannot be written.
   */
  newScoreboard(generation: number, worker: number): void {
    const path = join(this.scoreboards, scoreboardName(generation, worker));
    rmSync(path, { force: true });
    writeFileSync(path, Buffer.alloc(64));
  }

  removeScoreboard(generation: number, worker: number): void {
    rmSync(join(this.scoreboards, scoreboardName(generation, worker)), { force: true });
  }

  /**
   * Makes the folder anew where somebody has cleaned it away with other temporary files. Whether it was gone, and with it
   * this socket of the front's.
   */
  restore(wire: string): boolean {
    const lost = !existsSync(wire);
    mkdirSync(this.scoreboards, { recursive: true, mode: 0o700 });
    return lost;
  }

  remove(): void {
    rmSync(this.path, { recursive: true, force: true });
  }
}

function wireName(pool: number): string {
  return `wire-${pool}`;
}

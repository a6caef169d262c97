// A PostgreSQL server of one's own: Debian's package, a fresh cluster in a temporary folder, a free port.
import { chownSync } from "node:fs";
import { join } from "node:path";
import { freePort } from "./ports.js";
import { type RunningProcess, run, start } from "./processes.js";
import { postgresBin, removeFolder, temporaryFolder } from "./tools.js";

export interface Postgres {
  readonly port: number;
  /** The folder with its unix socket. */
  readonly socketFolder: string;
  /** For DATABASE_URL: `postgresql://vivarium@127.0.0.1:PORT/vivarium`. No password is asked on the loopback interface. */
  readonly url: string;
  readonly pid: number;
  /** Ends the server, connections and all, and removes its folder. */
  stop(): Promise<void>;
}

/** Who runs the server: initdb and postgres refuse to run as root, so then the package's own user, postgres. */
async function serverUser(): Promise<{ uid: number; gid: number } | Record<string, never>> {
  if (process.getuid?.() !== 0) return {};
  const ids = await Promise.all(["-u", "-g"].map((flag) => run("id", [flag, "postgres"])));
  const [uid = 65534, gid = 65534] = ids.map((id) => (id.code === 0 ? Number(id.stdout) : 65534));
  return { uid, gid };
}

function settings(folder: string, port: number): string[] {
  const values = {
    listen_addresses: "127.0.0.1",
    port: String(port),
    unix_socket_directories: folder,
    // Test data need not survive the machine: no flushing to disk.
    fsync: "off",
    synchronous_commit: "off",
    full_page_writes: "off",
    max_connections: "40",
    shared_buffers: "16MB",
  };
  return Object.entries(values).flatMap(([name, value]) => ["-c", `${name}=${value}`]);
}

/** Starts the server with a database `vivarium` owned by the user `vivarium`. */
export async function startPostgres(): Promise<Postgres> {
  const bin = postgresBin();
  const user = await serverUser();
  const folder = temporaryFolder("postgres");
  if ("uid" in user) chownSync(folder, user.uid, user.gid);
  const data = join(folder, "data");
  const options = { ...user, cwd: folder, env: { HOME: folder, PGDATA: undefined, LC_ALL: "C.UTF-8" } };
  let server: RunningProcess | undefined;
  try {
    const made = await run(
      join(bin, "initdb"),
      ["-D", data, "-U", "vivarium", "--auth=trust", "--encoding=UTF8", "--no-sync"],
      options,
    );
    if (made.code !== 0) throw new Error(`initdb failed:\n${made.stdout}${made.stderr}`);
    const port = await freePort();
    server = start(join(bin, "postgres"), ["-D", data, ...settings(folder, port)], options);
    await server.line(/database system is ready to accept connections/);
    const created = await run(
      join(bin, "createdb"),
      ["-h", "127.0.0.1", "-p", String(port), "-U", "vivarium", "vivarium"],
      options,
    );
    if (created.code !== 0) throw new Error(`createdb failed:\n${created.stderr}`);
    const { pid } = server;
    const running = server;
    return {
      port,
      pid,
      socketFolder: folder,
      url: `postgresql://vivarium@127.0.0.1:${port}/vivarium`,
      async stop(): Promise<void> {
        // INT is PostgreSQL's "fast" shutdown: it does not wait for clients to leave, as TERM would.
        await running.stop("SIGINT");
        removeFolder(folder);
      },
    };
  } catch (error) {
    await server?.stop("SIGQUIT");
    removeFolder(folder);
    throw error;
  }
}

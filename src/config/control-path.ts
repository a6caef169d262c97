// Where control sockets are: <runtime directory>/<slug>-<pid>.sock. The directory is the user's own and nobody else can
// enter it, which is what protects a server from being stopped by others.
import { lstatSync, mkdirSync } from "node:fs";
import { tmpdir, userInfo } from "node:os";
import { dirname, join } from "node:path";
import { vivariumError } from "../errors.js";

type Environment = Readonly<Record<string, string | undefined>>;

/** sizeof(sockaddr_un.sun_path) less the closing NUL (unix(7)). */
export const SOCKET_PATH_MOST = 107;

/** $XDG_RUNTIME_DIR/vivarium, else vivarium-UID in the system's directory for temporary files. */
export function runtimeDirectory(environment: Environment): string {
  const runtime = environment["XDG_RUNTIME_DIR"];
  return runtime?.startsWith("/") ? join(runtime, "vivarium") : join(tmpdir(), `vivarium-${userInfo().uid}`);
}

/** The default of `control` for the server whose supervisor is process `pid`. */
export function defaultControlPath(target: string, pid: number, environment: Environment): string {
  const slug = target
    .replace(/\.(py|wsgi)(?=:|$)/gu, "")
    .replace(/^.*\//u, "")
    .replace(/[^A-Za-z0-9]+/gu, "-");
  return join(runtimeDirectory(environment), `${slug.replace(/^-+/u, "").slice(0, 24)}-${pid}.sock`);
}

/** The process a default control socket belongs to, by its name; undefined for any other name. */
export function controlSocketPid(name: string): number | undefined {
  const [, pid] = /-(\d+)\.sock$/u.exec(name) ?? [];
  return pid === undefined ? undefined : Number(pid);
}

/**
 * Makes the directory of a control socket, where it is the default one. Throws where that directory is another user's
 * or open to others: in /tmp anybody may have made it first.
 */
export function prepareControlDirectory(control: string, environment: Environment): void {
  const directory = dirname(control);
  if (directory !== runtimeDirectory(environment)) return;
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  checkRuntimeDirectory(directory);
}

/** Throws unless `directory` is this user's alone. */
export function checkRuntimeDirectory(directory: string): void {
  const found = lstatSync(directory);
  const fault = !found.isDirectory()
    ? "is not a directory"
    : found.uid !== userInfo().uid
      ? "belongs to another user"
      : (found.mode & 0o077) !== 0
        ? "is open to other users"
        : undefined;
  if (fault === undefined) return;
  throw vivariumError(
    "ERR_CONTROL_DIRECTORY",
    `${directory}, where control sockets are kept, ${fault}: remove it, or name a socket of your own with --control.`,
  );
}

// What a peer has not taken of what was written to it. A kernel keeps megabytes for a connection, and asks for more only when a third
// of them has gone: seen from here, a client that reads 10 KB a second takes nothing for minutes, and then a megabyte.
import { libc } from "./libc.js";

/** Octets that the kernel still has of what was written to a descriptor. */
let kept: ((fd: number) => number) | undefined;
let loading = false;

/**
 * Octets in libuv's queue and in the kernel's for a handle of libuv; `queued` is what is known without it. Undefined where that cannot
 * be told yet: what tells it is loaded when it is asked for first, as few servers ever need it.
 */
export function untakenOf(handle: unknown, queued: number): number | undefined {
  if (kept === undefined) {
    if (!loading) load();
    return undefined;
  }
  if (typeof handle !== "object" || handle === null) return queued;
  const waiting: unknown = Reflect.get(handle, "writeQueueSize");
  const fd: unknown = Reflect.get(handle, "fd");
  return (typeof waiting === "number" ? waiting : queued) + (typeof fd === "number" && fd >= 0 ? kept(fd) : 0);
}

function load(): void {
  loading = true;
  libc().then(
    ({ unacknowledged }) => {
      kept = (fd) => {
        try {
          return unacknowledged(fd);
        } catch {
          return 0; // closed meanwhile, or a kind of socket that does not know
        }
      };
    },
    () => {
      kept = () => 0;
    },
  );
}

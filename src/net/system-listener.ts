// Connections are accepted by system calls, all that wait at once, so that a worker is woken once for several.
import { log } from "../channels.js";
import { backlog } from "./backlog.js";
import { later } from "./deadline.js";
import { SOCK_CLOEXEC, SOCK_NONBLOCK } from "./libc.js";
import type { Pollable, Poller } from "./poller.js";
import { accept, close, EAGAIN, errorName, lastError, listen, setNonblocking } from "./socket-calls.js";

/** Connections that are accepted before others have their turn. */
const acceptsMost = 64;
/** Milliseconds until it is tried again where the system can give none. */
const retryAfter = 100;

/** What accepts connections. */
export interface Accepting {
  close(): void;
}

/**
 * Gives the descriptors of connections to a listening socket, of which `fd` is its own from here on, to `accept`. `shared`: other
 * processes accept from it, too, and are left what this one does not come to at once.
 */
export function acceptDescriptors(
  poller: Poller,
  fd: number,
  accept: (fd: number) => void,
  shared: boolean,
): Accepting {
  return new SystemListener(poller, fd, accept, shared);
}

class SystemListener implements Pollable, Accepting {
  readonly #poller: Poller;
  readonly #fd: number;
  readonly #accept: (fd: number) => void;
  readonly #most: number;
  #open = true;
  /** It is not watched for a while. */
  #resting = false;

  constructor(poller: Poller, fd: number, accept: (fd: number) => void, shared: boolean) {
    this.#poller = poller;
    this.#fd = fd;
    this.#accept = accept;
    this.#most = shared ? 1 : acceptsMost;
    // One that was inherited may be anything.
    setNonblocking(fd);
    listen(fd, backlog);
    poller.addListening(fd, this);
  }

  ready(): void {
    for (let count = 0; this.#open && count < this.#most; count += 1) {
      const fd = accept(this.#fd, null, null, SOCK_NONBLOCK | SOCK_CLOEXEC);
      if (fd >= 0) this.#accept(fd);
      else if (!this.#goesOn(lastError())) return;
    }
  }

  /** Whether another may be had at once. */
  #goesOn(errno: number): boolean {
    if (errno === EAGAIN) return false;
    const code = errorName(errno);
    // The client has left meanwhile (accept(2)).
    if (code === "ECONNABORTED" || code === "EINTR") return true;
    log("error", "ingress", `Connections cannot be accepted: ${code}.`);
    // It would be told again without end.
    this.#resting = true;
    this.#poller.release(this.#fd);
    later(retryAfter, () => {
      this.#resting = false;
      if (this.#open) this.#poller.addListening(this.#fd, this);
    });
    return false;
  }

  close(): void {
    if (!this.#open) return;
    this.#open = false;
    // Other processes have the socket: closed, it would still be watched.
    if (!this.#resting) this.#poller.release(this.#fd);
    close(this.#fd);
  }
}

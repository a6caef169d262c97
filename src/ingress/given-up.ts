// nghttp2 gives up a connection that breaks a rule of framing, of flow control or of HPACK: it sends GOAWAY and reads nothing more, not even
// the client's FIN, and Node tells nobody. RFC 9113 §5.4.1 has the connection closed then. That it is not read any more can be found
// out: libuv refuses to begin what goes on already (UV_EALREADY).
import type { Socket } from "node:net";
import { type Deadlines, type Timed, ticks } from "../net/deadline.js";

/** Given up at two looks, it is closed: meanwhile the client has read why. */
const lookTicks = ticks(0.5);

interface Handle {
  readStart(): number;
  readStop(): number;
  /** Octets that wait to be written; with some, Node does not read either. */
  readonly writeQueueSize: number;
}

function isHandle(value: unknown): value is Handle {
  if (typeof value !== "object" || value === null) return false;
  const can = (name: string): boolean => typeof Reflect.get(value, name) === "function";
  return can("readStart") && can("readStop") && typeof Reflect.get(value, "writeQueueSize") === "number";
}

/** Whether the session that has the socket still reads it. */
function isRead(socket: Socket): boolean {
  const handle: unknown = Reflect.get(socket, "_handle");
  if (socket.readableEnded || !isHandle(handle) || handle.writeQueueSize > 0) return true;
  if (handle.readStart() !== 0) return true;
  handle.readStop();
  return false;
}

/** Looks after the socket of a session until `stop`. */
export class GivenUp implements Timed {
  deadline: number;
  readonly #socket: Socket;
  readonly #deadlines: Deadlines;
  readonly #found: () => void;
  #suspected = false;

  /** `found` is called once, or never. */
  constructor(socket: Socket, deadlines: Deadlines, found: () => void) {
    this.#socket = socket;
    this.#deadlines = deadlines;
    this.#found = found;
    this.deadline = deadlines.tick + lookTicks;
    deadlines.watch(this);
  }

  expire(): void {
    const unread = !isRead(this.#socket);
    if (unread && this.#suspected) {
      this.#found();
      return;
    }
    this.#suspected = unread;
    this.deadline = this.#deadlines.tick + lookTicks;
  }

  stop(): void {
    this.#deadlines.unwatch(this);
  }
}

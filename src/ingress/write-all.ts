import type { Socket } from "node:net";

/** What an encoder gives: one buffer, or several that belong together. */
export type Encoded = Uint8Array | readonly Uint8Array[];

/** Writes them with as few system calls as possible. `flushed` is called when all of it has left this process. */
export function writeAll(socket: Socket, octets: Encoded, flushed?: (error?: Error | null) => void): void {
  if (octets instanceof Uint8Array) {
    socket.write(octets, flushed);
    return;
  }
  const last = octets.at(-1);
  if (last === undefined) {
    // As after HEAD: nothing to write, and this still tells when all before it has left.
    if (flushed !== undefined) socket.write("", flushed);
    return;
  }
  if (octets.length > 1) socket.cork();
  for (let at = 0; at < octets.length - 1; at += 1) {
    const part = octets[at];
    if (part !== undefined) socket.write(part);
  }
  socket.write(last, flushed);
  if (octets.length > 1) socket.uncork();
}

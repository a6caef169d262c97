// The path of a unix socket, before one listens there. A server that was killed leaves its socket file behind; that one
// may be replaced, and nothing else.
import { lstatSync, unlinkSync } from "node:fs";
import { connect } from "node:net";

/** What is in the way; "nothing" also where it was a socket file nobody answers on, which is gone now. */
export type InTheWay = "nothing" | "not-a-socket" | "another-server" | "forbidden";

export async function clearStaleSocket(path: string): Promise<InTheWay> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return "nothing";
  if (!found.isSocket()) return "not-a-socket";
  const answer = await knock(path);
  if (answer === "ECONNREFUSED") unlinkSync(path);
  else if (answer !== "ENOENT") return answer === "EACCES" ? "forbidden" : "another-server";
  return "nothing";
}

/** "" where somebody answers, else the error's code. */
function knock(path: string): Promise<string> {
  return new Promise((done) => {
    const socket = connect(path);
    socket.once("connect", () => {
      socket.destroy();
      done("");
    });
    socket.once("error", (error: NodeJS.ErrnoException) => done(error.code ?? "EUNKNOWN"));
  });
}

// Ports on the loopback interface, asked from the system.
import { connect, createServer } from "node:net";
import { setTimeout as delay } from "node:timers/promises";

/**
 * A port nobody listens on at this moment. For programs that cannot be told "port 0" and say which they got; where
 * they can, do that, as another process may take this one in between.
 */
export function freePort(host = "127.0.0.1"): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer();
    server.once("error", reject);
    server.listen(0, host, () => {
      const address = server.address();
      const port = typeof address === "object" && address !== null ? address.port : 0;
      server.close(() => resolve(port));
    });
  });
}

/** Whether something accepts connections there: a TCP port of the loopback interface, or a unix socket's path. */
export function accepts(target: number | string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket =
      typeof target === "number" ? connect({ port: target, host: "127.0.0.1" }) : connect({ path: target });
    socket.once("connect", () => {
      socket.destroy();
      resolve(true);
    });
    socket.once("error", () => resolve(false));
  });
}

/** Waits until `accepts(target)`. Throws after `timeout` milliseconds, or as soon as `gaveUp` says so. */
export async function waitUntilAccepting(
  target: number | string,
  options: { readonly timeout?: number; readonly gaveUp?: () => string | undefined } = {},
): Promise<void> {
  const timeout = options.timeout ?? 20_000;
  for (let waited = 0; waited < timeout; waited += 20) {
    if (await accepts(target)) return;
    const reason = options.gaveUp?.();
    if (reason !== undefined) throw new Error(reason);
    await delay(20);
  }
  throw new Error(`nothing accepted connections at ${target} within ${timeout} ms`);
}

// A Redis server of one's own: Debian's package, nothing on disk, a free port.
import { freePort } from "./ports.js";
import { start } from "./processes.js";
import { redisServer, removeFolder, temporaryFolder } from "./tools.js";

export interface Redis {
  /** `redis://127.0.0.1:PORT/0` */
  readonly url: string;
  stop(): Promise<void>;
}

export async function startRedis(): Promise<Redis> {
  const folder = temporaryFolder("redis");
  const port = await freePort();
  const where = ["--bind", "127.0.0.1", "--port", String(port), "--dir", folder];
  const server = start(redisServer(), [...where, "--save", "", "--appendonly", "no"], { cwd: folder });
  const stop = async (): Promise<void> => {
    await server.stop();
    removeFolder(folder);
  };
  try {
    await server.line(/Ready to accept connections/);
  } catch (error) {
    await stop();
    throw error;
  }
  return { url: `redis://127.0.0.1:${port}/0`, stop };
}

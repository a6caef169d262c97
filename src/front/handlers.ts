// Who answers which request: the mounts of the configuration, put together from pools, upstream groups and files. What is
// not mounted is not loaded either.
import type { Config, MountConfig, PoolConfig, TryConfig } from "../config/config.js";
import type { Handler } from "../exchange.js";
import { Router } from "../routing/router.js";
import type { FilesConfig } from "../static/config.js";
import type { WorkerPool } from "./worker-pool.js";

export class Handlers {
  readonly router: Router;
  readonly #files: ((config: FilesConfig, next?: Handler) => Handler) | undefined;
  /** By "pool NAME" and "upstream NAME". */
  readonly #named = new Map<string, Handler>();

  static async open(config: Config, pools: ReadonlyMap<PoolConfig, WorkerPool>): Promise<Handlers> {
    const kinds = new Set(config.mounts.flatMap(({ tries }) => tries.map(({ kind }) => kind)));
    const files = kinds.has("files") ? (await import("../static/handler.js")).filesHandler : undefined;
    return new Handlers(config, pools, files);
  }

  private constructor(
    config: Config,
    pools: ReadonlyMap<PoolConfig, WorkerPool>,
    files: ((config: FilesConfig, next?: Handler) => Handler) | undefined,
  ) {
    this.#files = files;
    for (const [{ name }, pool] of pools) this.#named.set(`pool ${name}`, (exchange) => pool.handle(exchange));
    this.router = new Router(
      config.mounts.map((mount) => ({ host: mount.host, path: mount.path, handler: this.#handler(mount) })),
    );
  }

  /** From the last to the first: files hand on what they do not find. */
  #handler({ tries }: MountConfig): Handler {
    const handler = tries.reduceRight<Handler | undefined>((next, one) => this.#answers(one, next), undefined);
    if (handler === undefined) throw new Error("a mount without anybody who answers");
    return handler;
  }

  #answers(one: TryConfig, next: Handler | undefined): Handler | undefined {
    return one.kind === "files" ? this.#files?.(one.files, next) : this.#named.get(`${one.kind} ${one.name}`);
  }
}

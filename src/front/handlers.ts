// Who answers which request: the mounts of the configuration, put together from pools, upstream groups and files. What is
// not mounted is not loaded either.
import type { Config, MountConfig, PoolConfig, TryConfig } from "../config/config.js";
import type { GroupOptions, UpstreamGroup } from "../egress/group.js";
import type { Exchange, Handler } from "../exchange.js";
import { Router } from "../routing/router.js";
import type { FileRedirectRoots, FilesConfig } from "../static/config.js";
import type { Drained } from "./messages.js";

/** What runs an application. */
interface Pool {
  /** Whether it takes requests whose body has not arrived yet. */
  readonly streams: boolean;
  handle(exchange: Exchange): void;
}

/** What was loaded, because something mounted needs it. */
interface Makers {
  readonly files: ((config: FilesConfig, next?: Handler) => Handler) | undefined;
  readonly redirects: ((handler: Handler, roots: FileRedirectRoots) => Handler) | undefined;
}

export class Handlers {
  readonly router: Router;
  readonly groups: readonly UpstreamGroup[];
  readonly #makers: Makers;
  /** By "pool NAME" and "upstream NAME". */
  readonly #named = new Map<string, Handler>();

  static async open(config: Config, pools: ReadonlyMap<PoolConfig, Pool>, upstreams: GroupOptions): Promise<Handlers> {
    const { mounts } = config;
    const files = mounts.some(({ tries }) => tries.some(({ kind }) => kind === "files"));
    const redirects = mounts.some((mount) => mount.redirects !== undefined);
    const makers: Makers = {
      files: files ? (await import("../static/handler.js")).filesHandler : undefined,
      redirects: redirects ? (await import("../static/file-redirect.js")).withFileRedirects : undefined,
    };
    const groups: UpstreamGroup[] = [];
    for (const group of config.upstreams) {
      const { UpstreamGroup } = await import("../egress/group.js");
      groups.push(new UpstreamGroup(group, upstreams));
    }
    return new Handlers(config, pools, groups, makers);
  }

  private constructor(
    config: Config,
    pools: ReadonlyMap<PoolConfig, Pool>,
    groups: readonly UpstreamGroup[],
    makers: Makers,
  ) {
    this.groups = groups;
    this.#makers = makers;
    for (const [{ name }, pool] of pools) this.#named.set(`pool ${name}`, (exchange) => pool.handle(exchange));
    for (const [index, { name }] of config.upstreams.entries()) {
      const group = groups[index];
      if (group !== undefined) this.#named.set(`upstream ${name}`, group.handle);
    }
    this.router = new Router(
      config.mounts.map((mount) => ({
        host: mount.host,
        path: mount.path,
        handler: this.#handler(mount),
        streams: streamsOf(mount, pools),
        upgrades: upgradesOf(mount, config.upstreams) ?? streamsOf(mount, pools),
      })),
    );
  }

  /** From the last to the first: files hand on what they do not find. */
  #handler({ host, path, tries, redirects }: MountConfig): Handler {
    const answers = (next: Handler | undefined, one: TryConfig): Handler | undefined => {
      if (one.kind === "files") return this.#makers.files?.(one.files, next);
      const handler = this.#named.get(`${one.kind} ${one.name}`);
      return redirects === undefined ? handler : handler && this.#makers.redirects?.(handler, redirects);
    };
    const handler = tries.reduceRight<Handler | undefined>(answers, undefined);
    if (handler === undefined) throw new Error(`nobody answers at the mount ${host}${path}`);
    return handler;
  }

  /** Drains a server, or takes that back, in each group that has it, or in all (`expected`); `server` is its URL or address. */
  drain(server: string, undo: boolean, expected: boolean): Drained {
    const having = this.groups.filter((group) => (undo ? group.undrain(server) : group.drain(server, expected)));
    return {
      groups: having.map((group) => group.status().name),
      servers: [...new Set(this.groups.flatMap((group) => group.drained))],
    };
  }
}

/** A server of an upstream group that speaks HTTP can be asked for a WebSocket. */
function upgradesOf({ tries }: MountConfig, groups: Config["upstreams"]): (() => boolean) | undefined {
  const asked = tries.at(-1);
  const group = groups.find(({ name }) => asked?.kind === "upstream" && asked.name === name);
  return group?.servers.some(({ protocol }) => protocol === "http") === true ? () => true : undefined;
}

/** Only a pool takes a body, or a WebSocket, while it arrives; files before it have no use for any. */
function streamsOf({ tries }: MountConfig, pools: ReadonlyMap<PoolConfig, Pool>): (() => boolean) | undefined {
  const asked = tries.at(-1);
  const [, pool] = [...pools].find(([{ name }]) => asked?.kind === "pool" && asked.name === name) ?? [];
  return pool && (() => pool.streams);
}

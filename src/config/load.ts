// Flags, then vivarium.toml, then defaults → one frozen Config.
import { existsSync } from "node:fs";
import { dirname, resolve } from "node:path";
import { vivariumError } from "../errors.js";
import type { Config, MountConfig, PoolConfig, UpstreamGroupConfig } from "./config.js";
import { cores } from "./cores.js";
import { readConfigFile } from "./file.js";
import { frontsFor } from "./fronts.js";
import type { PlacedMount } from "./mounts.js";
import { target } from "./option-readers.js";
import { type OptionName, optionNames, options, poolOptionNames, recyclingNames, type Settings } from "./options.js";
import type { ReadContext } from "./read.js";
import { readSource, refuseUnknownKeys, type Source, sourceIn, type Table, tableAt, wrong } from "./table.js";
import type { UpstreamOptionName } from "./upstream-options.js";

/** What stands at the file's top level beside the options. */
const tableKeys = ["target", "pool", "upstream", "limit", "certificate"];

/** Whoever says one of these means https. */
const httpsNames = ["cert", "key", "clientCa", "clientCert"] as const;

export const CONFIG_FILE = "vivarium.toml";

/** What the command line names has this name: the pool of TARGET, or the upstream group of --upstream. */
export const MAIN = "main";

/** What the command line says. */
export interface Given {
  readonly target?: string | undefined;
  /**
   * Path of the configuration file; false for none. By default vivarium.toml in the current directory, where there is
   * one, whether or not a target is given: a person who keeps settings there means them.
   */
  readonly config?: string | false | undefined;
  /** Values by the names of `Settings`: text, a list of texts, or true/false for a switch. */
  readonly flags?: { readonly [Name in OptionName]?: unknown };
  /**
   * `vivarium gateway`: no application may be named anywhere. The same for the upstream group of `--upstream`, whose
   * `servers` are that flag's.
   */
  readonly gateway?: { readonly [Name in UpstreamOptionName]?: unknown };
  /** The current directory. Default: the process's. */
  readonly cwd?: string;
  readonly environment?: Readonly<Record<string, string | undefined>>;
}

export interface Loaded {
  readonly config: Config;
  /** The configuration file that was read, absolute. */
  readonly file: string | undefined;
}

/** Rejects with ERR_CONFIG_…, one sentence naming file or flag, key, and what was expected. */
export async function loadConfig(given: Given): Promise<Loaded> {
  return await new Loader(given).load();
}

class Loader {
  readonly #given: Given;
  readonly #cwd: string;
  readonly #file: string | undefined;
  /** Around every value that is no pool's. */
  readonly #outside: ReadContext;
  /** The options of the file, without its tables. */
  #root: Table | undefined;
  /** The file's tables by name. */
  #pools: ReadonlyMap<string, Table> = new Map();
  #upstreams: ReadonlyMap<string, Table> = new Map();
  /** The file, if it has [[mount]]. */
  #mounts: Table | undefined;
  /** The file, if it has [[certificate]]. */
  #certificates: Table | undefined;
  /** The file, if it has [[limit]]. */
  #limits: Table | undefined;

  constructor(given: Given) {
    this.#given = given;
    this.#cwd = given.cwd ?? process.cwd();
    this.#file = configFile(given, this.#cwd);
    const home = this.#file === undefined ? this.#cwd : dirname(this.#file);
    this.#outside = { base: home, chdir: home, target: "", environment: given.environment ?? process.env };
  }

  async load(): Promise<Loaded> {
    if (this.#file !== undefined) this.#openFile(this.#file, await readConfigFile(this.#file));
    const chdir = this.#pick("chdir", this.#outside);
    const outside: ReadContext = { ...this.#outside, chdir };
    const embedded = this.#pick("embedded", outside);
    const pools = this.#readPools(outside, embedded);
    const upstreams = await this.#readUpstreams(outside);
    const mounts = await this.#readMounts(pools, upstreams, outside);
    const context: ReadContext = { ...outside, target: pools[0]?.target ?? "gateway" };
    const listen = this.#pick("listen", context);
    const config: Config = {
      embedded,
      pools,
      upstreams,
      mounts,
      limits: await this.#readLimits(context),
      fronts: this.#readFronts({ pools, upstreams, mounts }, embedded, outside),
      chdir,
      listen,
      ...(await this.#readTls(listen, context)),
      socketMode: this.#pick("socketMode", context),
      socketOwner: this.#pick("socketOwner", context),
      trustedProxies: this.#pick("trustedProxies", context),
      accessLog: this.#pick("accessLog", context),
      control: this.#pick("control", context),
      maxBody: this.#pick("maxBody", context),
      bodyMemory: this.#pick("bodyMemory", context),
      requestMemoryTotal: this.#pick("requestMemoryTotal", context),
      responseMemory: this.#pick("responseMemory", context),
      responseMemoryTotal: this.#pick("responseMemoryTotal", context),
      responseDisk: this.#pick("responseDisk", context),
      tempDir: this.#pick("tempDir", context),
      maxTarget: this.#pick("maxTarget", context),
      maxHead: this.#pick("maxHead", context),
      maxFields: this.#pick("maxFields", context),
      http2: this.#pick("http2", context),
      keepAlive: this.#pick("keepAlive", context),
      headTimeout: this.#pick("headTimeout", context),
      stallTimeout: this.#pick("stallTimeout", context),
      minRate: this.#pick("minRate", context),
      wsMaxSize: this.#pick("wsMaxSize", context),
      wsPingInterval: this.#pick("wsPingInterval", context),
      wsPingTimeout: this.#pick("wsPingTimeout", context),
      wsCompression: this.#pick("wsCompression", context),
      touchReload: this.#pick("touchReload", context),
      gracefulTimeout: this.#pick("gracefulTimeout", context),
      hangTimeout: this.#pick("hangTimeout", context),
    };
    return { config: freeze(config), file: this.#file };
  }

  #openFile(file: string, values: Readonly<Record<string, unknown>>): void {
    const { pool, upstream, mount, limit, certificate, ...rest } = values;
    const { base } = this.#outside;
    const whole: Table = { values, where: `${file}: `, base };
    refuseUnknownKeys(whole, [...tableKeys, ...optionNames.map((name) => options[name].key)]);
    // `mount = "/blog"` is where TARGET is; [[mount]] is a list of tables.
    const several = Array.isArray(mount);
    this.#root = { ...whole, values: several || mount === undefined ? rest : { ...rest, mount } };
    this.#mounts = several ? whole : undefined;
    this.#limits = limit === undefined ? undefined : whole;
    this.#certificates = certificate === undefined ? undefined : whole;
    this.#pools = tablesAt(whole, "pool", pool);
    this.#upstreams = tablesAt(whole, "upstream", upstream);
  }

  /** What the table of a pool says itself, else the flag, else the file's top level, else the default. */
  #pick<Name extends OptionName>(name: Name, context: ReadContext, own?: Table): Settings[Name] {
    const { key, read, initial } = options[name];
    const source = sourceIn(own, key) ?? this.#source(key, this.#given.flags?.[name], `--${key}`);
    if (source !== undefined) return readSource(read, source, context);
    if (typeof initial === "function") return initial(context);
    return readSource(read, { value: initial, where: `the default of ${key}`, base: context.base }, context);
  }

  /** Where an option was said; undefined where it is at its default. */
  #said(name: OptionName, own?: Table): Source | undefined {
    const { key } = options[name];
    return sourceIn(own, key) ?? this.#source(key, this.#given.flags?.[name], `--${key}`);
  }

  #source(key: string, flag: unknown, label: string): Source | undefined {
    if (flag !== undefined) return { value: flag, where: label, base: this.#cwd };
    return sourceIn(this.#root, key);
  }

  // ---- pools

  #readPools(outside: ReadContext, embedded: boolean): readonly PoolConfig[] {
    const wanted = this.#source("target", this.#given.target, "TARGET");
    const [name] = this.#pools.keys();
    if (this.#given.gateway !== undefined && (wanted !== undefined || name !== undefined)) {
      const named = wanted === undefined ? `[pool.${name}]` : "target";
      throw wrong(
        { where: `${this.#file}: ` },
        `${named} names an application, and a gateway runs none; "vivarium run" runs this file, and --no-config leaves it out.`,
      );
    }
    const clash = this.#pools.get(MAIN);
    if (wanted !== undefined && clash !== undefined) {
      throw wrong(clash, `${MAIN} is what the pool of TARGET is called; give this one another name.`);
    }
    const pools = [
      ...(wanted === undefined ? [] : [this.#readPool(MAIN, wanted, undefined, outside)]),
      ...[...this.#pools].map(([each, table]) => {
        refuseUnknownKeys(table, ["target", ...poolOptionNames.map((option) => options[option].key)]);
        const source = sourceIn(table, "target");
        if (source === undefined) throw missingTarget(table.where);
        return this.#readPool(each, source, table, outside);
      }),
    ];
    return embedded ? [this.#embedded(pools)] : pools;
  }

  /** The pool of embedded mode: it is alone, and a process that serves clients as well executes one request at a time. */
  #embedded([pool, other]: readonly PoolConfig[]): PoolConfig {
    const where = this.#source("embedded", this.#given.flags?.embedded, "--embedded")?.where ?? "";
    if (pool === undefined) {
      throw wrong({ where }, " says where the application runs, and there is none; leave it out.");
    }
    if (other !== undefined) {
      throw wrong(
        { where },
        ` runs one application inside the server, and here are several (${pool.name}, ${other.name}); leave it out, or give each a server of its own.`,
      );
    }
    if (pool.threads !== "auto" && pool.threads > 1) {
      throw wrong(
        { where },
        ` executes one request at a time in each process, so that threads can only be 1, not ${pool.threads}; raise workers, or leave embedded out.`,
      );
    }
    if (pool.interface === "asgi") {
      throw wrong({ where }, " runs WSGI applications, and interface is asgi; leave one of them out.");
    }
    const limit =
      (pool.requestTimeout > 0 && "request-timeout") ||
      (pool.logSlow > 0 && "log-slow") ||
      (this.#limits !== undefined && "[[limit]]");
    if (limit !== false) {
      throw wrong(
        { where },
        ` executes requests on the thread that serves clients, which nobody can interrupt: leave ${limit} out (hang-timeout is the limit then), or leave embedded out.`,
      );
    }
    const recycled = recyclingNames.find((name) => pool[name] > 0);
    if (recycled !== undefined) {
      throw wrong(
        { where },
        ` has no workers that others could take the place of: leave ${options[recycled].key} out, or leave embedded out.`,
      );
    }
    return { ...pool, threads: 1 };
  }

  #readPool(name: string, wanted: Source, own: Table | undefined, outside: ReadContext): PoolConfig {
    const chdir = this.#pick("chdir", outside, own);
    const context: ReadContext = { ...outside, chdir };
    const maxWorkerMemory = this.#pick("maxWorkerMemory", context, own);
    const maxWorkerMemoryHard = this.#pick("maxWorkerMemoryHard", context, own);
    if (maxWorkerMemoryHard > 0 && maxWorkerMemoryHard <= maxWorkerMemory) {
      const { where = "" } = this.#said("maxWorkerMemoryHard", own) ?? {};
      throw wrong(
        { where },
        ` is ${maxWorkerMemoryHard}, and max-worker-memory is ${maxWorkerMemory}: workers would be killed before they are replaced; make it greater.`,
      );
    }
    return {
      name,
      target: readSource(target, wanted, context),
      workers: this.#pick("workers", context, own),
      threads: this.#pick("threads", context, own),
      interface: this.#pick("interface", context, own),
      concurrency: this.#pick("concurrency", context, own),
      eventLoop: this.#pick("eventLoop", context, own),
      python: this.#pick("python", context, own),
      chdir,
      preload: this.#pick("preload", context, own),
      bootTimeout: this.#pick("bootTimeout", context, own),
      queue: this.#pick("queue", context, own),
      queueTimeout: this.#pick("queueTimeout", context, own),
      retry: this.#pick("retry", context, own),
      requestTimeout: this.#pick("requestTimeout", context, own),
      interruptGrace: this.#pick("interruptGrace", context, own),
      maxRequests: this.#pick("maxRequests", context, own),
      maxWorkerAge: this.#pick("maxWorkerAge", context, own),
      maxWorkerMemory,
      maxWorkerMemoryHard,
      logSlow: this.#pick("logSlow", context, own),
      healthPath: this.#pick("healthPath", context, own),
      probation: this.#pick("probation", context, own),
      reloadOverlap: this.#pick("reloadOverlap", context, own),
    };
  }

  async #readLimits(context: ReadContext): Promise<Config["limits"]> {
    if (this.#limits === undefined) return [];
    return (await import("./limits.js")).readLimits(this.#limits, context);
  }

  // ---- TLS

  /** Nothing where nobody listens for https. */
  async #readTls(listen: Config["listen"], context: ReadContext): Promise<Pick<Config, "tls">> {
    const listener = listen.find(({ protocol }) => protocol === "https");
    if (listener === undefined) {
      this.#refuseIdleTls();
      return {};
    }
    const cert = this.#pick("cert", context);
    const named = cert === "" ? [] : [{ cert, key: this.#pick("key", context) || cert }];
    const others =
      this.#certificates && (await import("./certificates.js")).readCertificates(this.#certificates, context);
    const certificates = [...named, ...(others ?? [])];
    if (certificates.length === 0) {
      throw vivariumError(
        "ERR_CONFIG_VALUE",
        `${listener.url} needs a certificate: name its file with --cert, and that of its key with --key.`,
      );
    }
    const clientCa = this.#pick("clientCa", context);
    const clientCert = this.#pick("clientCert", context);
    const policy = this.#said("clientCert");
    // Without an authority no client would be asked, and whoever says "required" relies on it that each is.
    if (clientCa === "" && policy !== undefined) {
      throw wrong(
        policy,
        " needs those who sign clients' certificates: name their file with client-ca, or leave it out.",
      );
    }
    return { tls: { certificates, clientCa, clientCert, minVersion: this.#pick("tlsMinVersion", context) } };
  }

  /** Whoever names a certificate must not find out later that everything goes in clear text. --listen wins over the whole file. */
  #refuseIdleTls(): void {
    const flags = this.#given.flags ?? {};
    const name = httpsNames.find(
      (each) => flags[each] !== undefined || (flags.listen === undefined && this.#said(each)),
    );
    const said = name && this.#said(name);
    if (said === undefined) return;
    throw wrong(
      said,
      " is for https listeners, and there is none: listen on one, such as https://:443, or leave it out.",
    );
  }

  // ---- fronts

  #readFronts(
    { pools, upstreams, mounts }: Pick<Config, "pools" | "upstreams" | "mounts">,
    embedded: boolean,
    context: ReadContext,
  ): number {
    const fronts = this.#pick("fronts", context);
    if (pools.length === 0) return fronts === "auto" ? frontsFor(mounts, upstreams, cores()) : fronts;
    const source = this.#source(options.fronts.key, this.#given.flags?.fronts, `--${options.fronts.key}`);
    const [pool] = pools;
    if (embedded && pool !== undefined) {
      if (fronts === "auto" || source === undefined) return pool.workers;
      throw wrong(
        source,
        " must be left out with embedded, where the workers talk to clients themselves; say workers.",
      );
    }
    if (fronts === "auto" || fronts === 1 || source === undefined) return 1;
    throw wrong(source, " must be 1, or left out, where there is an application: its workers connect to one front.");
  }

  // ---- upstream groups

  async #readUpstreams(context: ReadContext): Promise<readonly UpstreamGroupConfig[]> {
    const flags = this.#given.gateway;
    const named = flags?.servers !== undefined;
    if (!named && this.#upstreams.size === 0) return [];
    const { readUpstream } = await import("./upstreams.js");
    const clash = this.#upstreams.get(MAIN);
    if (named && clash !== undefined) {
      throw wrong(clash, `${MAIN} is what the group of --upstream is called; give this one another name.`);
    }
    return [
      ...(named ? [readUpstream(MAIN, undefined, flags, { ...context, base: this.#cwd })] : []),
      ...[...this.#upstreams].map(([name, table]) => readUpstream(name, table, {}, context)),
    ];
  }

  // ---- mounts

  async #readMounts(
    pools: readonly PoolConfig[],
    upstreams: readonly UpstreamGroupConfig[],
    context: ReadContext,
  ): Promise<readonly MountConfig[]> {
    const folders = this.#pick("static", context);
    const given = this.#mounts !== undefined || folders.length > 0 ? await import("./mounts.js") : undefined;
    const names = { pool: pools.map(({ name }) => name), upstream: upstreams.map(({ name }) => name) };
    const placed = [...((this.#mounts && given?.readMounts(this.#mounts, names, context)) ?? [])];
    const main = this.#mainMount(names, placed, context);
    if (main !== undefined) placed.unshift(main);
    for (const { path, root } of folders) {
      const files = given?.plainFiles(root, context);
      if (files === undefined) continue;
      const there = placed.findIndex(({ mount }) => mount.host === "" && mount.path === path);
      const before = placed[there];
      const tries = [{ kind: "files", files } as const, ...(before?.mount.tries ?? [])];
      if (before === undefined) placed.push({ mount: { host: "", path, tries }, where: "--static" });
      else placed[there] = { ...before, mount: { ...before.mount, tries } };
    }
    if (placed.length === 0) throw this.#nothing(pools, upstreams);
    refuseSamePlace(placed);
    this.#refuseUnmounted(names, placed);
    return placed.map(({ mount }) => mount);
  }

  /** TARGET, or --upstream, is at --mount; where nobody says that and a [[mount]] has it, it is there alone. */
  #mainMount(
    names: Readonly<Record<"pool" | "upstream", readonly string[]>>,
    placed: readonly PlacedMount[],
    context: ReadContext,
  ): PlacedMount | undefined {
    const kind = names.pool.includes(MAIN) && !this.#pools.has(MAIN) ? "pool" : "upstream";
    const said = this.#source("mount", this.#given.flags?.mount, "--mount");
    if (kind === "upstream" && (!names.upstream.includes(MAIN) || this.#upstreams.has(MAIN))) {
      if (said === undefined) return undefined;
      const whose = this.#given.gateway === undefined ? "TARGET" : "--upstream";
      throw wrong({ where: said.where }, ` says where ${whose} is mounted, and there is none.`);
    }
    const mounted = placed.some(({ mount }) => mount.tries.some((one) => one.kind === kind && one.name === MAIN));
    if (said === undefined && mounted) return undefined;
    const path = this.#pick("mount", context);
    return {
      mount: { host: "", path, tries: [{ kind, name: MAIN }] },
      where: said?.where ?? (kind === "pool" ? "TARGET" : "--upstream"),
    };
  }

  #refuseUnmounted(
    names: Readonly<Record<"pool" | "upstream", readonly string[]>>,
    placed: readonly PlacedMount[],
  ): void {
    for (const kind of ["pool", "upstream"] as const) {
      for (const name of names[kind]) {
        const mounted = placed.some(({ mount }) => mount.tries.some((one) => one.kind === kind && one.name === name));
        if (!mounted) {
          throw wrong(
            { where: `${this.#file}: ` },
            `[${kind}.${name}] is mounted nowhere; add a [[mount]] with ${kind} = "${name}".`,
          );
        }
      }
    }
  }

  #nothing(pools: readonly PoolConfig[], upstreams: readonly UpstreamGroupConfig[]): Error {
    const [pool] = pools;
    const [upstream] = upstreams;
    const where = `${this.#file}: `;
    if (pool !== undefined) return wrong({ where }, `nothing is mounted; add a [[mount]] with pool = "${pool.name}".`);
    if (upstream !== undefined) {
      return wrong({ where }, `nothing is mounted; add a [[mount]] with upstream = "${upstream.name}".`);
    }
    if (this.#given.gateway !== undefined) {
      return vivariumError(
        "ERR_CONFIG_VALUE",
        'There is nobody to pass requests to: name a server, as in "vivarium gateway --upstream http://127.0.0.1:8000".',
      );
    }
    return this.#file === undefined
      ? vivariumError(
          "ERR_CONFIG_VALUE",
          `There is nothing to run: name an application, as in "vivarium run package.module:callable", or write a ${CONFIG_FILE} in ${this.#cwd}.`,
        )
      : missingTarget(where);
  }
}

function configFile(given: Given, cwd: string): string | undefined {
  if (given.config === false) return undefined;
  if (given.config !== undefined) return resolve(cwd, given.config);
  const path = resolve(cwd, CONFIG_FILE);
  return existsSync(path) ? path : undefined;
}

/** [pool.NAME] or [upstream.NAME], by name. */
function tablesAt({ where, base }: Table, key: "pool" | "upstream", value: unknown): ReadonlyMap<string, Table> {
  if (value === undefined) return new Map();
  const named = tableAt(value, `${where}${key}, as in [${key}.shop], `, base);
  return new Map(
    Object.entries(named.values).map(([name, table]) => {
      if (!/^[\w-]{1,40}$/u.test(name)) {
        throw wrong({ where }, `[${key}."${name}"]: a name is made of letters, digits, "-" and "_", 40 at most.`);
      }
      return [name, tableAt(table, `${where}[${key}.${name}]: `, base)];
    }),
  );
}

function missingTarget(where: string): Error {
  return wrong({ where }, 'target is missing; it names the application, as in target = "package.module:callable".');
}

function refuseSamePlace(placed: readonly PlacedMount[]): void {
  const seen = new Map<string, string>();
  for (const { mount, where } of placed) {
    const place = `${mount.host}${mount.path}/`;
    const before = seen.get(place);
    if (before !== undefined) {
      const short = (text: string): string => text.replace(/: $/u, "");
      throw vivariumError(
        "ERR_CONFIG_VALUE",
        `${short(where)} is at the same place as ${short(before).replace(/^.*: /su, "")}, ${place}; each place has one mount.`,
      );
    }
    seen.set(place, where);
  }
}

/** Freezes it and all it holds. */
function freeze<Value>(value: Value): Value {
  if (typeof value !== "object" || value === null) return value;
  for (const each of Object.values(value)) freeze(each);
  return Object.freeze(value);
}

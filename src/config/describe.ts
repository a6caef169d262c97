// The configuration in words, as the start screen, `vivarium check` and `vivarium status` show it.
import type { Config, MountConfig, PoolConfig, TryConfig, UpstreamServer } from "./config.js";

/** Whether all there is is one application at one place, of which nobody needs a table. */
export function isPlain(config: Config): boolean {
  const [mount] = config.mounts;
  return config.pools.length === 1 && config.mounts.length === 1 && mount?.tries.length === 1 && mount.host === "";
}

/** What a server serves, in short: its applications (as `application` calls them), or "gateway". */
export function serverName(config: Config, application: (pool: PoolConfig) => string): string {
  return config.pools.length === 0 ? "gateway" : config.pools.map(application).join(", ");
}

const protocolNames: Readonly<Record<string, string>> = { fastcgi: "FastCGI", scgi: "SCGI", uwsgi: "uwsgi" };

/** A listener's URL for a person: one to open in a browser, or what a web server in front is told. */
export function listenerText(url: string): string {
  const [protocol = "", place = ""] = url.split("://", 2);
  const name = Object.hasOwn(protocolNames, protocol) ? protocolNames[protocol] : undefined;
  return name === undefined ? url : `${name} on ${place}, for a web server in front`;
}

/** "pool shop", "upstream legacy", "files /srv/shop/static". */
export function tryText(one: TryConfig): string {
  return one.kind === "files" ? `files ${one.files.root}` : `${one.kind} ${one.name}`;
}

/** "/", "/api", "blog.example.com/". */
export function placeText({ host, path }: Pick<MountConfig, "host" | "path">): string {
  return `${host}${path === "" ? "/" : path}`;
}

/** "/static  files /srv/shop/static, else pool shop": a line for each mount. */
export function mountLines(config: Config): readonly string[] {
  const places = config.mounts.map(placeText);
  const width = Math.max(0, ...places.map((place) => place.length));
  return config.mounts.map(
    ({ tries }, index) => `${places[index]?.padEnd(width)}  ${tries.map(tryText).join(", else ")}`,
  );
}

/** "legacy  uwsgi://10.0.0.5:3031, uwsgi://10.0.0.6:3031 (backup)": a line for each upstream group. */
export function upstreamLines(config: Config): readonly string[] {
  const width = Math.max(0, ...config.upstreams.map(({ name }) => name.length));
  return config.upstreams.map(({ name, servers }) => `${name.padEnd(width)}  ${servers.map(serverText).join(", ")}`);
}

function serverText({ url, weight, backup }: UpstreamServer): string {
  const facts = [...(weight === 1 ? [] : [`weight ${weight}`]), ...(backup ? ["backup"] : [])];
  return facts.length === 0 ? url : `${url} (${facts.join(", ")})`;
}

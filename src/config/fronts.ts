// How many processes talk to clients where none is asked for: what `--fronts auto` means where there is no application.
import type { MountConfig, UpstreamGroupConfig, UpstreamServer } from "./config.js";

/**
 * One per core; half as many, at least one, where all there is to do is to pass requests to servers on this machine. These need cores
 * as well: on two cores, in front of uWSGI, a gateway of one process took 12 to 20 % less processor time per request than one of two with
 * 8 and 32 clients, with as many requests/s, and its slowest hundredth waited two thirds as long. With 256 it took as much, with seven to
 * twelve in a hundred fewer requests/s.
 */
export function frontsFor(
  mounts: readonly MountConfig[],
  upstreams: readonly UpstreamGroupConfig[],
  cores: number,
): number {
  const passesAll = mounts.every(({ tries }) => tries.every(({ kind }) => kind === "upstream"));
  const beside = passesAll && upstreams.every(({ servers }) => servers.every(isHere));
  return beside ? Math.ceil(cores / 2) : cores;
}

/** Whether a server is on this machine, by its address alone: no name is looked up. */
function isHere({ endpoint }: UpstreamServer): boolean {
  if (endpoint.kind === "unix") return true;
  return endpoint.kind === "tcp" && /^(?:127(?:\.\d+){3}|::1|localhost)$/u.test(endpoint.host);
}

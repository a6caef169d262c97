// The servers behind a front-end web server, and Vivarium as that front: what a door costs, in each protocol.

import type { RunningProcess } from "../test/support/processes.js";
import { nginx, uwsgi } from "../test/support/tools.js";
import { nginxVersion, startNginx, startUwsgi, uwsgiVersion } from "./peers.js";
import { applicationSocket, configure, needs, type Place, type Server } from "./server.js";
import { startCommand, startVivarium, vivariumUnavailable, vivariumVersion } from "./vivarium.js";

const workers = "`--workers 2 --access-log off`";
const lacks = "as vivarium";

/** Vivarium behind nginx: the same nginx as in front of uWSGI, over a unix socket too. */
function behindNginx(protocol: "http" | "fastcgi" | "scgi" | "uwsgi", connections: string): Server {
  // What nginx says about the client is believed over HTTP, too: the other protocols carry it anyway.
  const trust = protocol === "http" ? ["--trusted-proxies", "unix"] : [];
  return {
    name: `vivarium-${protocol}`,
    lacks,
    settings: `nginx with 2 workers over a unix socket, ${connections}, to Vivarium with ${workers}`,
    unavailable: () => vivariumUnavailable() ?? needs(nginx),
    version: async () => `${await nginxVersion()}, Vivarium ${await vivariumVersion()}`,
    start: (place) => [
      startNginx(place, protocol),
      // nginx's workers run as another user.
      startVivarium(place, `${protocol}://unix:${applicationSocket(place)}`, ["--socket-mode", "666", ...trust]),
    ],
  };
}

interface Upstream {
  readonly protocol: "uwsgi" | "fastcgi";
  /** Idle connections kept. */
  readonly keepAlive: number;
  /** Requests at once on a connection. */
  readonly multiplex: number;
  /** Processes of the gateway, each with connections of its own. */
  readonly fronts: number | "auto";
}

function startGateway(place: Place, { protocol, keepAlive, multiplex, fronts }: Upstream): RunningProcess {
  const numbers = { KEEP_ALIVE: String(keepAlive), MULTIPLEX: String(multiplex), FRONTS: JSON.stringify(fronts) };
  const values = { PROTOCOL: protocol, ...numbers };
  return startCommand(place, ["gateway", "--config", configure(place, "gateway.toml", values)]);
}

/** Vivarium behind Vivarium, over FastCGI. */
function overFastCgi(name: string, connections: string, upstream: Omit<Upstream, "protocol" | "fronts">): Server {
  return {
    name: `vivarium-${name}`,
    lacks,
    settings: `\`vivarium gateway --fronts 1\` over a unix socket, ${connections}, to Vivarium with ${workers}`,
    unavailable: vivariumUnavailable,
    version: vivariumVersion,
    start: (place) => [
      startGateway(place, { protocol: "fastcgi", fronts: 1, ...upstream }),
      startVivarium(place, `fastcgi://unix:${applicationSocket(place)}`),
    ],
  };
}

export const doorServers: readonly Server[] = [
  behindNginx("fastcgi", "connections kept (`fastcgi_keep_conn`)"),
  behindNginx("http", "connections kept"),
  behindNginx("uwsgi", "a connection per request"),
  behindNginx("scgi", "a connection per request"),
  {
    name: "vivarium-gateway",
    lacks,
    settings: "`vivarium gateway --access-log off` over a unix socket to the uWSGI of nginx+uwsgi",
    unavailable: () => vivariumUnavailable() ?? needs(uwsgi),
    version: async () => `Vivarium ${await vivariumVersion()}, ${await uwsgiVersion()}`,
    start: (place) => [
      startGateway(place, { protocol: "uwsgi", keepAlive: 0, multiplex: 1, fronts: "auto" }),
      startUwsgi(place),
    ],
  },
  overFastCgi("multiplexed", "all requests on one connection", { keepAlive: 1, multiplex: 1000 }),
  overFastCgi("kept", "as many kept connections as requests at once", { keepAlive: 64, multiplex: 1 }),
  overFastCgi("per-request", "a connection per request", { keepAlive: 0, multiplex: 1 }),
];

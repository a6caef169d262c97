// What no server of its kind can pass: the same answer with no application behind it. They are measured as servers are, and
// compared with, but are nobody's peers.
import { join } from "node:path";
import { start } from "../test/support/processes.js";
import { nginx, root } from "../test/support/tools.js";
import { nginxVersion, startNginx } from "./peers.js";
import { needs, plainEnvironment, type Server } from "./server.js";

export const limits: readonly Server[] = [
  {
    name: "nginx-constant",
    settings: "nginx with 2 workers, `return 200` of the very page",
    lacks: "runs no application",
    unavailable: () => needs(nginx),
    version: nginxVersion,
    start: (place) => [startNginx(place, "constant")],
  },
  {
    name: "node-constant",
    settings: "Node's `http` with 2 processes of `cluster`, its connections passed round, the very page",
    lacks: "runs no application",
    unavailable: () => undefined,
    version: async () => `Node ${process.versions.node}`,
    start: ({ port, workers, folder }) => {
      const args = [join(root, "build", "bench", "node-constant.js"), String(port), String(workers)];
      return [start(process.execPath, args, { cwd: folder, env: plainEnvironment })];
    },
  },
];

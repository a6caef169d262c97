// All servers that can be measured.
import { asgiServers } from "./asgi-servers.js";
import { doorServers } from "./doors.js";
import { limits } from "./limits.js";
import { peers } from "./peers.js";
import type { Server } from "./server.js";
import { vivariumServers } from "./vivarium.js";

export const servers: readonly Server[] = [...vivariumServers, ...peers, ...asgiServers, ...limits, ...doorServers];

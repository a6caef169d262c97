// All servers that can be measured.
import { doorServers } from "./doors.js";
import { limits } from "./limits.js";
import { peers } from "./peers.js";
import type { Server } from "./server.js";
import { vivariumServers } from "./vivarium.js";

export const servers: readonly Server[] = [...vivariumServers, ...peers, ...limits, ...doorServers];

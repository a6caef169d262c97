// The servers of ASGI applications that are measured beside uvicorn and Granian (peers.ts), and Vivarium as one.
import { start } from "../test/support/processes.js";
import { peersPython } from "../test/support/tools.js";
import { startGunicorn } from "./peers.js";
import { applicationFolder, needs, type Place, packageVersion, plainEnvironment, type Server } from "./server.js";
import { listenUrl, startVivarium, vivariumUnavailable, vivariumVersion } from "./vivarium.js";

const target = "asgi_app";

async function versions(...names: readonly string[]): Promise<string> {
  const found = names.map(async (name) => `${name} ${await packageVersion(peersPython(), name)}`);
  return (await Promise.all(found)).join(", ");
}

function startModule(place: Place, args: readonly string[]): ReturnType<Server["start"]> {
  return [start(peersPython(), ["-m", ...args], { cwd: applicationFolder(place), env: plainEnvironment })];
}

/** The options that give a server its certificate, where it is to have one. */
function certificateOf({ certificate }: Place, forCertificate: string, forKey: string): readonly string[] {
  return certificate === undefined ? [] : [forCertificate, certificate.cert, forKey, certificate.key];
}

const unavailable = (): string | undefined => needs(peersPython);

export const asgiServers: readonly Server[] = [
  {
    name: "vivarium-asgi",
    settings: "`--workers 2 --access-log off` with the ASGI application and uvloop",
    lacks: "buffers and bounds requests and responses, has limits and deadlines on",
    unavailable: () => vivariumUnavailable() ?? unavailable(),
    version: async () => `${await vivariumVersion()}, ${await versions("uvloop")}`,
    start: (place) => {
      const how = ["--python", peersPython(), "--event-loop", "uvloop", ...certificateOf(place, "--cert", "--key")];
      return [startVivarium({ ...place, module: target }, listenUrl(place), how)];
    },
  },
  {
    name: "gunicorn-asgi",
    settings: "`worker_class = asgi`, 2 workers, preloaded, uvloop, no lifespan, keep-alive 75 s",
    // `gunicorn[fast]` of 27.0.1 wants a gunicorn_h1c newer than any that is published; pip would take an older gunicorn instead.
    lacks:
      "its parser in C (`gunicorn[fast]`), no buffering, no files; what computes or waits without await holds up its worker",
    unavailable,
    version: () => versions("gunicorn", "uvloop"),
    start: (place) => {
      const how = ["--asgi-loop", "uvloop", "--asgi-lifespan", "off"];
      return [startGunicorn({ ...place, module: target }, "asgi", how)];
    },
  },
  {
    name: "hypercorn",
    settings: "`--worker-class uvloop --workers 2`, keep-alive 75 s",
    lacks: "no buffering, no files; what computes or waits without await holds up its worker",
    unavailable,
    version: () => versions("hypercorn", "h11", "h2", "uvloop"),
    start: (place) => {
      const where = ["--bind", `127.0.0.1:${place.port}`];
      const how = ["--worker-class", "uvloop", "--workers", String(place.workers), "--keep-alive", "75"];
      const tls = certificateOf(place, "--certfile", "--keyfile");
      return startModule(place, ["hypercorn", ...where, ...how, ...tls, "--log-level", "warning", `${target}:app`]);
    },
  },
  {
    name: "daphne",
    settings: "one process, as it has no workers, with Twisted's reactor over asyncio; no access log",
    lacks: "uses one core; no lifespan; what computes or waits without await holds it up",
    unavailable,
    version: () => versions("daphne", "twisted"),
    start: (place) => {
      const where = ["--bind", "127.0.0.1", "--port", String(place.port)];
      return startModule(place, ["daphne", ...where, "--no-server-name", "--verbosity", "0", `${target}:app`]);
    },
  },
];

// Every door in with every door out, Vivarium on both sides: an application in one, the gateway of another before it. Where
// the door in is not HTTP, nginx speaks for the suite's client.
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { nginx, unavailable } from "../support/tools.js";
import { startGateway, type Vivarium } from "../support/vivarium.js";
import { Site, startApplication } from "./front/support.js";
import { type Exceptions, runSuite } from "./suite/suite.js";

const protocols = ["http", "fastcgi", "scgi", "uwsgi"] as const;
/** Where nginx listens, in its configuration, for what it passes on in each protocol. */
const nginxPorts = { fastcgi: 8001, http: 8002, uwsgi: 8003, scgi: 8004 } as const;

type Protocol = (typeof protocols)[number];

const cut = {
  "a response cut, its length unsaid, is seen to be cut":
    "without a length the response ends with the connection, and a unix socket has no reset to tell a cut from an end",
};
/** What cannot hold wherever a protocol is on the way. */
const except: Readonly<Record<Protocol, Exceptions>> = { http: {}, fastcgi: {}, scgi: cut, uwsgi: cut };
const hostWithoutPort = {
  "environ has the host and port the client asked for":
    "Debian's parameter files for nginx send the host without its port",
};

describe("every door in and every door out", { skip: unavailable("nginx") }, () => {
  let site: Site;
  let application: Vivarium;
  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, protocols);
  });
  after(async () => {
    await application?.stop();
    await site?.close();
  });

  for (const out of protocols) {
    describe(`${out} out`, () => {
      let front: Site;
      let gateway: Vivarium;
      before(async () => {
        front = new Site();
        const listen = protocols.map((protocol) => `${protocol}://unix:${join(front.folder, protocol)}.sock`);
        gateway = await startGateway({
          args: [
            ...["--upstream", `${out}://unix:${join(site.folder, out)}.sock`, "--upstream-idle-timeout", "5"],
            ...["http://127.0.0.1:0", ...listen].flatMap((url) => ["--listen", url]),
            ...["--trusted-proxies", "unix", "--socket-mode", "666", "--access-log", "off"],
          ],
        });
        await front.configure("nginx");
        await front.serve(nginx(), ["-e", "stderr", "-p", front.folder, "-c", "main.conf"]);
      });
      after(async () => {
        await front?.close();
        await gateway?.stop();
      });

      describe("http in", () => runSuite(() => gateway.port, { except: except[out] }));
      for (const into of protocols.filter((protocol) => protocol !== "http")) {
        describe(`${into} in`, () => {
          runSuite(() => front.port(nginxPorts[into]), {
            except: { ...except[out], ...except[into], ...hostWithoutPort },
          });
        });
      }
    });
  }
});

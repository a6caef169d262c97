// nginx in front of Vivarium: fastcgi_pass, proxy_pass, uwsgi_pass, scgi_pass.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { nginx, unavailable } from "../../support/tools.js";
import type { Vivarium } from "../../support/vivarium.js";
import { environOf } from "../suite/cases.js";
import { Client } from "../suite/client.js";
import { type Exceptions, runSuite } from "../suite/suite.js";
import { Site, startApplication } from "./support.js";

const hostAlone: Exceptions = {
  "environ has the host and port the client asked for": "Debian's parameters and ours say $host, which has no port",
};
const endByClosing: Exceptions = {
  "a response cut, its length unsaid, is seen to be cut": "the protocol ends every response by closing the connection",
};

const sites: readonly { readonly name: string; readonly port: number; readonly except?: Exceptions }[] = [
  { name: "fastcgi_pass with kept connections", port: 8001, except: hostAlone },
  { name: "proxy_pass", port: 8002, except: hostAlone },
  { name: "uwsgi_pass", port: 8003, except: { ...hostAlone, ...endByClosing } },
  { name: "scgi_pass", port: 8004, except: { ...hostAlone, ...endByClosing } },
  {
    name: "fastcgi_pass without kept connections",
    port: 8005,
    except: { "a streamed response arrives piece by piece": "nginx's own buffering waits for more" },
  },
  { name: "fastcgi_pass without request buffering", port: 8006, except: hostAlone },
];

describe("nginx in front", { skip: unavailable("nginx") }, () => {
  let site: Site;
  let application: Vivarium;

  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, ["http", "fastcgi", "scgi", "uwsgi"]);
    await site.configure("nginx");
    await site.serve(nginx(), ["-e", "stderr", "-p", site.folder, "-c", "main.conf"]);
  });
  after(async () => {
    await site?.close();
    await application?.stop();
  });

  for (const protocol of ["fastcgi", "uwsgi", "scgi"]) {
    test(`${protocol}_pass under a prefix: SCRIPT_NAME says which, PATH_INFO is the rest`, async () => {
      const client = new Client(site.port(8007));
      for (const [rest, decoded] of [
        ["/environ", "/environ"],
        ["/environ/a%2Fb//c", "/environ/a/b//c"],
      ]) {
        const { SCRIPT_NAME, PATH_INFO } = environOf(await client.ask({ target: `/${protocol}${rest}` }));
        assert.deepEqual([SCRIPT_NAME, PATH_INFO], [`/${protocol}`, decoded]);
      }
    });
  }

  for (const { name, port, except = {} } of sites) describe(name, () => runSuite(() => site.port(port), { except }));
});

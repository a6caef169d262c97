// Apache in front of Vivarium: mod_proxy_fcgi, mod_proxy_http, mod_proxy_uwsgi, mod_proxy_scgi, and mod_fcgid, which starts it.
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { apache2, unavailable } from "../../support/tools.js";
import type { Vivarium } from "../../support/vivarium.js";
import { type Exceptions, runSuite } from "../suite/suite.js";
import { Site, startApplication } from "./support.js";

const cookies: Exceptions = {
  "fields Cookie that repeat are joined with semicolons": "Apache joins all repeated fields with commas",
};
const lengthWanted: Exceptions = Object.fromEntries(
  ["0 octets", "1 octet", "1 MiB"].map((size) => [
    `body of ${size} in chunks arrives whole`,
    "the module answers 411 to a body whose length it is not told",
  ]),
);
const endByClosing: Exceptions = {
  "a response cut, its length unsaid, is seen to be cut": "the protocol ends every response by closing the connection",
};
const sites: readonly { readonly name: string; readonly port: number; readonly except?: Exceptions }[] = [
  { name: "mod_proxy_fcgi", port: 8001, except: cookies },
  {
    name: "mod_proxy_http",
    port: 8002,
    except: { ...cookies, "path with two slashes at its beginning": "Apache reads such a path as one with one slash" },
  },
  { name: "mod_proxy_uwsgi", port: 8003, except: { ...cookies, ...lengthWanted, ...endByClosing } },
  { name: "mod_proxy_scgi", port: 8004, except: { ...cookies, ...lengthWanted, ...endByClosing } },
  {
    name: "mod_fcgid, which starts it",
    port: 8005,
    except: {
      ...cookies,
      "a response cut, its length unsaid, is seen to be cut": "mod_fcgid takes what it has got for the whole",
    },
  },
];

describe("Apache in front", { skip: unavailable("apache2", "mod-fcgid") }, () => {
  let site: Site;
  let application: Vivarium;

  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, ["http", "fastcgi", "scgi", "uwsgi"]);
    site.installVivarium();
    await site.configure("apache");
    await site.serve(apache2(), ["-D", "FOREGROUND", "-f", join(site.folder, "main.conf")], {
      detached: true,
    });
  });
  after(async () => {
    await site?.close();
    await application?.stop();
  });

  for (const { name, port, except = {} } of sites) describe(name, () => runSuite(() => site.port(port), { except }));
});

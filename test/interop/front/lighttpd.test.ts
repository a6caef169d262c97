// lighttpd in front of Vivarium: mod_fastcgi, also starting it, mod_scgi, mod_proxy.
import { after, before, describe } from "node:test";
import { lighttpd, unavailable } from "../../support/tools.js";
import type { Vivarium } from "../../support/vivarium.js";
import { type Exceptions, runSuite } from "../suite/suite.js";
import { Site, startApplication } from "./support.js";

const own: Exceptions = {
  "method M-SEARCH with an empty body": "lighttpd answers 501 to methods it does not know",
  "fields with an empty value": "lighttpd leaves them out",
};
const underscore: Exceptions = {
  "fields with an underscore do not take the place of one with a hyphen": "lighttpd says both in the same variable",
};
const endByClosing: Exceptions = {
  "a response cut, its length unsaid, is seen to be cut": "the protocol ends every response by closing the connection",
};

const sites: readonly { readonly name: string; readonly port: number; readonly except?: Exceptions }[] = [
  { name: "mod_fastcgi", port: 8001, except: { ...own, ...underscore } },
  { name: "mod_fastcgi that starts it", port: 8002, except: { ...own, ...underscore } },
  { name: "mod_scgi", port: 8003, except: { ...own, ...underscore, ...endByClosing } },
  { name: "mod_scgi with the uwsgi protocol", port: 8004, except: { ...own, ...underscore, ...endByClosing } },
  { name: "mod_proxy", port: 8005, except: own },
];

describe("lighttpd in front", { skip: unavailable("lighttpd") }, () => {
  let site: Site;
  let application: Vivarium;

  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, ["http", "fastcgi", "scgi", "uwsgi"]);
    site.installVivarium();
    await site.configure("lighttpd");
    await site.serve(lighttpd(), ["-D", "-f", "main.conf"]);
  });
  after(async () => {
    await site?.close();
    await application?.stop();
  });

  for (const { name, port, except = {} } of sites) describe(name, () => runSuite(() => site.port(port), { except }));
});

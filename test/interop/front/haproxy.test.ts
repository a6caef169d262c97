// HAProxy in front of Vivarium: HTTP, and FastCGI with an fcgi-app.
import { after, before, describe } from "node:test";
import { haproxy, unavailable } from "../../support/tools.js";
import type { Vivarium } from "../../support/vivarium.js";
import { type Exceptions, runSuite } from "../suite/suite.js";
import { haproxyFiles, Site, startApplication } from "./support.js";

const sites: readonly { readonly name: string; readonly port: number; readonly except?: Exceptions }[] = [
  { name: "http", port: 8001 },
  {
    name: "fcgi-app",
    port: 8002,
    except: {
      "body of 1 MiB in chunks arrives whole": "HAProxy must know its length, and has no room to wait for its end",
    },
  },
];

describe("HAProxy in front", { skip: unavailable("haproxy") }, () => {
  let site: Site;
  let application: Vivarium;

  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, ["http", "fastcgi", "scgi", "uwsgi"]);
    await site.configure("haproxy");
    await site.serve(haproxy(), ["-db", ...haproxyFiles]);
  });
  after(async () => {
    await site?.close();
    await application?.stop();
  });

  for (const { name, port, except = {} } of sites) describe(name, () => runSuite(() => site.port(port), { except }));
});

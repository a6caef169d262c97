// Caddy in front of Vivarium: reverse_proxy with HTTP and with its fastcgi transport.
import { after, before, describe } from "node:test";
import { caddy, unavailable } from "../../support/tools.js";
import type { Vivarium } from "../../support/vivarium.js";
import { type Exceptions, runSuite } from "../suite/suite.js";
import { Site, startApplication } from "./support.js";

const cut: Exceptions = {
  "a response cut, its length unsaid, is seen to be cut": "Caddy 2.6 ends what it passes on as if it were whole",
};

const sites: readonly { readonly name: string; readonly port: number; readonly except?: Exceptions }[] = [
  { name: "reverse_proxy", port: 8001, except: cut },
  {
    name: "the fastcgi transport",
    port: 8002,
    except: {
      ...cut,
      "fields Cookie that repeat are joined with semicolons": "Caddy joins all repeated fields with commas",
    },
  },
];

describe("Caddy in front", { skip: unavailable("caddy") }, () => {
  let site: Site;
  let application: Vivarium;

  before(async () => {
    site = new Site();
    application = await startApplication(site.folder, ["http", "fastcgi"], ["--http2", "all"]);
    await site.configure("caddy");
    await site.serve(caddy(), ["run", "--config", "main.caddy", "--adapter", "caddyfile"], {
      env: { HOME: site.folder },
    });
  });
  after(async () => {
    await site?.close();
    await application?.stop();
  });

  for (const { name, port, except = {} } of sites) describe(name, () => runSuite(() => site.port(port), { except }));
});

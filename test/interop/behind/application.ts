// An application server behind the gateway: its configuration, its process, and the suite that runs through the gateway.
import { cpSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe } from "node:test";
import { startGateway, type Vivarium } from "../../support/vivarium.js";
import { interopFolder, Site } from "../front/support.js";
import { type Exceptions, runSuite } from "../suite/suite.js";

/** One address of the server, and what of the suite cannot hold there. */
export interface Door {
  /** "over uwsgi" */
  readonly name: string;
  /** The upstream's URL, once the server runs. */
  readonly url: (site: Site) => string;
  /** Further arguments of `vivarium gateway`. */
  readonly args?: (site: Site) => readonly string[];
  readonly except?: Exceptions;
}

export interface Application {
  /** "uWSGI" */
  readonly name: string;
  readonly skip: string | false;
  /** The folder of its configuration, beside this file. */
  readonly configuration: string;
  /** Starts it, in the foreground. */
  readonly start: (site: Site) => Promise<void>;
  readonly doors: readonly Door[];
}

/**
 * Seconds between two parts of a response after which the gateway takes it for cut: servers that keep the connection behind
 * a response that is too short leave no other sign.
 */
const idleTimeout = "5";

/** Registers the suite against a gateway in front of an upstream that runs by then. */
export function throughGateway(
  url: () => string,
  { args = () => [], except = {} }: { readonly args?: () => readonly string[]; readonly except?: Exceptions } = {},
): void {
  let gateway: Vivarium | undefined;
  before(async () => {
    const common = ["--upstream", url(), "--upstream-idle-timeout", idleTimeout, "--access-log", "off"];
    gateway = await startGateway({ args: [...common, ...args()] });
  });
  after(async () => {
    await gateway?.stop();
  });
  runSuite(() => gateway?.port ?? 0, { except });
}

/** Registers the suite for each address of the server. */
export function behindTheGateway({ name, skip, configuration, start, doors }: Application): void {
  describe(`${name} behind the gateway`, { skip }, () => {
    let site: Site;

    before(async () => {
      site = new Site();
      await site.configure(configuration, "behind");
      cpSync(join(interopFolder, "app.py"), join(site.folder, "app.py"));
      await start(site);
    });
    after(async () => {
      await site?.close();
    });

    for (const door of doors) {
      const args = (): readonly string[] => door.args?.(site) ?? [];
      describe(door.name, () => throughGateway(() => door.url(site), { args, except: door.except ?? {} }));
    }
  });
}

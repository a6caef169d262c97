// The conformance suite with nobody in between: what an exception of a pair is measured by.
import { after, before, describe } from "node:test";
import { removeFolder, temporaryFolder } from "../support/tools.js";
import type { Vivarium } from "../support/vivarium.js";
import { startApplication } from "./front/support.js";
import { runSuite } from "./suite/suite.js";

describe("Vivarium alone, HTTP", () => {
  let folder: string;
  let application: Vivarium;

  before(async () => {
    folder = temporaryFolder("direct");
    application = await startApplication(folder, []);
  });
  after(async () => {
    await application?.stop();
    removeFolder(folder);
  });

  runSuite(() => application.port);
});

// Processes that an application forks are its own, and none of the server's.
import { describe, test } from "node:test";
import { pythons } from "../support/tools.js";
import { Probed } from "./probed.js";

const all = pythons();
const ends = [all[0], all.at(-1)].filter((each) => each !== undefined);

for (const mode of ["daemon", "embedded"] as const) {
  describe(`in ${mode} mode`, () => {
    for (const { version, path } of ends) {
      test(`multiprocessing starts and ends processes in every way (Python ${version})`, async () => {
        const server = await Probed.start({ mode, python: path });
        try {
          for (const method of ["fork", "spawn", "forkserver"]) await server.same(`multiprocessing_${method}`);
        } finally {
          await server.stop();
        }
      });
    }
  });
}

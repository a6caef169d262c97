// Extension modules of others in an embedded interpreter: they find Python's functions, have threads of their own, keep
// connections from request to request.
import { after, before, describe, test } from "node:test";
import { type Postgres, startPostgres } from "../../support/postgres.js";
import { librariesPython, unavailable } from "../../support/tools.js";
import { Probed } from "../probed.js";

for (const environment of ["venv-libraries", "venv-libraries-3.8", "venv-libraries-3.13"] as const) {
  describe(`embedded, with the packages of ${environment}`, { skip: unavailable(environment, "postgresql") }, () => {
    let postgres: Postgres;
    let server: Probed;
    before(async () => {
      postgres = await startPostgres();
      const env = { DATABASE_URL: postgres.url };
      server = await Probed.start({ mode: "embedded", python: librariesPython(environment), env });
    });
    after(async () => {
      await server.stop();
      await postgres.stop();
    });

    test("NumPy computes, with its threads", () => server.same("numpy"));
    test("NumPy computes in forked processes, too", () => server.same("numpy_in_processes"));
    test("psycopg keeps its connection from request to request", async () => {
      await server.ask("psycopg");
      await server.same("psycopg");
    });
    test("psycopg2 queries", () => server.same("psycopg2"));
    test("SQLAlchemy's pool keeps its connections", async () => {
      await server.ask("sqlalchemy");
      await server.same("sqlalchemy");
    });
  });
}

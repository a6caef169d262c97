// vivarium run: configuration → supervisor.
import type { Command } from "commander";
import { loadConfig } from "../config/load.js";
import type { ExitStatus } from "./command.js";
import { addConfigOptions, addTarget, type Flags, given } from "./config-options.js";

const HELP = `
Every option is also a key of vivarium.toml, by the same name:

  target = "mysite.wsgi:application"
  listen = ["http://0.0.0.0:80", "http://unix:/run/mysite.sock"]
  workers = 4

That file is read from the current directory where there is one. The command line wins over it, and TARGET over its
target. Sizes: 65536, 256k, 1m, 1g. Times: seconds. The whole reference: docs/configuration.md.

An application may have files served beside it, or in front of it: --static /static=static, --static /=public. A vivarium.toml may
hold several applications ([pool.NAME]), servers elsewhere ([upstream.NAME]), and what is where ([[mount]]); TARGET is one more
application then, at --mount.

Examples:
  vivarium run mysite.wsgi:application
  vivarium run app.py --workers 4 --listen 0.0.0.0:8080
  vivarium run site.wsgi --listen unix:/run/site.sock --trusted-proxies unix
  vivarium run site.wsgi --listen fastcgi://unix:/run/site.sock --socket-owner :www-data
  vivarium run --config /etc/mysite/vivarium.toml

Signals: INT, TERM and QUIT stop when running requests are done, a second one at once. USR1 opens the access log anew, for
log rotation. HUP stops a server in a terminal and does nothing elsewhere.
Exit status: 0 stopped as asked, 1 could not start or the application failed to load, 2 wrong usage.`;

export function define(command: Command, done: (status: ExitStatus) => void): void {
  addConfigOptions(addTarget(command))
    .description("Serve Python web applications from pools of worker processes, and what else vivarium.toml mounts.")
    .addHelpText("after", HELP)
    .action(async (target: string | undefined, flags: Flags) => {
      // The supervisor's modules load while the configuration is read.
      const supervisor = import("../supervisor/supervisor.js");
      supervisor.catch(() => {});
      const { config } = await loadConfig(given(target, flags));
      const { supervise } = await supervisor;
      done(await supervise(config));
    });
}

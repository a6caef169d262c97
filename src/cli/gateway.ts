// vivarium gateway: configuration without an application → supervisor.
import type { Command } from "commander";
import { type Given, loadConfig } from "../config/load.js";
import { type OptionName, optionNames } from "../config/options.js";
import { type UpstreamOptionName, upstreamOptionNames, upstreamOptions } from "../config/upstream-options.js";
import { upstreamFlag } from "../config/upstreams.js";
import type { ExitStatus } from "./command.js";
import { addConfigOptions, addOption, type Flags } from "./config-options.js";

const HELP = `
A server is named by the protocol it speaks and where it is:

  http://10.0.0.5:8000        uwsgi://10.0.0.5:3031       fastcgi://unix:/run/site.sock
  scgi://10.0.0.5:4000        http://app.internal:8000    uwsgi://srv:_uwsgi._tcp.example.com

A name stands for all its addresses in DNS, looked up again every --upstream-resolve-interval; srv: for the targets of its SRV
records. Behind the URL, in the same argument, may stand weight=N and backup: "uwsgi://10.0.0.6:3031 weight=2".

In vivarium.toml the same is [upstream.NAME], with the keys of the --upstream-… flags, and a [[mount]] for each place; there,
several groups can stand behind several hosts and paths: docs/configuration.md, docs/upstreams.md.

Examples:
  vivarium gateway --listen http://0.0.0.0:80 --upstream uwsgi://127.0.0.1:3031
  vivarium gateway --upstream http://10.0.0.5:8000 --upstream http://10.0.0.6:8000
  vivarium gateway --upstream fastcgi://unix:/run/site.sock --static /static=/srv/site/static
  vivarium gateway --upstream http://10.0.0.5:8000 --static /=public     a file where there is one, else the server

vivarium status shows the servers, vivarium drain takes one out.
Exit status: 0 stopped as asked, 1 could not start, 2 wrong usage.`;

const heading = "Upstream:";

/** The name commander gathers a flag by: `--upstream-hash-by` is upstreamHashBy. */
function gathered(name: UpstreamOptionName): string {
  return upstreamFlag(name).replace(/-(\w)/gu, (_, letter: string) => letter.toUpperCase());
}

export function define(command: Command, done: (status: ExitStatus) => void): void {
  for (const name of upstreamOptionNames) addOption(command, upstreamFlag(name), upstreamOptions[name], heading);
  addConfigOptions(command, false)
    .description(
      "Pass requests on to servers elsewhere, and serve files; without an application of its own, or Python.",
    )
    .addHelpText("after", HELP)
    .action(async (flags: Flags & Readonly<Record<string, unknown>>) => {
      const supervisor = import("../supervisor/supervisor.js");
      supervisor.catch(() => {});
      const { config } = await loadConfig(givenTo(flags));
      const { supervise } = await supervisor;
      done(await supervise(config));
    });
}

/** Parts the flags of the upstream group from the others. */
function givenTo(flags: Flags & Readonly<Record<string, unknown>>): Given {
  const gateway: { [Name in UpstreamOptionName]?: unknown } = {};
  for (const name of upstreamOptionNames) {
    const value = flags[gathered(name)];
    if (value !== undefined) gateway[name] = value;
  }
  const common: { [Name in OptionName]?: unknown } = {};
  for (const name of optionNames) if (flags[name] !== undefined) common[name] = flags[name];
  return { config: flags.config, flags: common, gateway };
}

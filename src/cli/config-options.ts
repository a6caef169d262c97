// The schema's options as flags: what `run`, `check` and `gateway` have in common.
import { type Command, Option } from "commander";
import type { Given } from "../config/load.js";
import { groups, type OptionName, optionNames, options, poolOptionNames } from "../config/options.js";

/** The options as commander gathered them: by the names of `Settings`, and `config`. */
export type Flags = NonNullable<Given["flags"]> & { readonly config?: string | false };

/** Adds TARGET. */
export function addTarget(command: Command): Command {
  return command.argument("[TARGET]", "package.module:callable, path/to/file.py[:callable] or path/to/site.wsgi");
}

/** What a flag is made of. */
interface FlagOption {
  readonly placeholder: string;
  readonly summary: string;
  readonly standard: string;
  readonly repeatable?: boolean;
}

/** Adds an option under a heading: `--key VALUE`, or `--key` and `--no-key` for a switch, of which help shows what it is not. */
export function addOption(command: Command, key: string, option: FlagOption, heading: string): void {
  const { placeholder, summary, standard, repeatable } = option;
  if (placeholder === "") {
    const off = new Option(`--no-${key}`, `do not ${summary}`);
    const on = new Option(`--${key}`, summary);
    command.addOption(standard === "true" ? on.hideHelp() : on.helpGroup(heading));
    command.addOption(standard === "true" ? off.helpGroup(heading) : off.hideHelp());
    return;
  }
  const flag = new Option(`--${key} <${placeholder}>`, `${summary} (default: ${standard})`);
  if (repeatable === true) {
    flag.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  }
  command.addOption(flag.helpGroup(heading));
}

/** Adds every option of the schema, under its heading; those of applications only `withPools`. */
export function addConfigOptions(command: Command, withPools = true): Command {
  const application = new Set<OptionName>(poolOptionNames);
  const shown = optionNames.filter((name) => withPools || !application.has(name));
  for (const group of groups) {
    for (const name of shown) {
      if (options[name].group === group) addOption(command, options[name].key, options[name], `${group}:`);
    }
  }
  const heading = withPools ? "Application:" : "Log and control:";
  return command
    .addOption(
      new Option("--config <PATH>", "configuration file (default: vivarium.toml here, if any)").helpGroup(heading),
    )
    .addOption(new Option("--no-config", "read no configuration file").helpGroup(heading));
}

export function given(target: string | undefined, { config, ...flags }: Flags): Given {
  return { target, config, flags };
}

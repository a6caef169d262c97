// The schema's options as flags: what `run` and `check` have in common.
import { type Command, Option } from "commander";
import type { Given } from "../config/load.js";
import { groups, optionNames, options } from "../config/options.js";

/** The options as commander gathered them: by the names of `Config`, and `config`. */
export type Flags = NonNullable<Given["flags"]> & { readonly config?: string | false };

/** Adds TARGET and every option of the schema, under its headings. */
export function addConfigOptions(command: Command): Command {
  command.argument("[TARGET]", "package.module:callable, path/to/file.py[:callable] or path/to/site.wsgi");
  for (const group of groups) {
    for (const name of optionNames) {
      const { key, placeholder, summary, standard, repeatable } = options[name];
      if (options[name].group !== group) continue;
      if (placeholder === "") {
        command.addOption(new Option(`--${key}`).hideHelp());
        command.addOption(new Option(`--no-${key}`, `do not ${summary}`).helpGroup(`${group}:`));
        continue;
      }
      const option = new Option(`--${key} <${placeholder}>`, `${summary} (default: ${standard})`);
      if (repeatable === true) {
        option.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
      }
      command.addOption(option.helpGroup(`${group}:`));
    }
  }
  return command
    .addOption(
      new Option("--config <PATH>", "configuration file (default: vivarium.toml here, if any)").helpGroup(
        "Application:",
      ),
    )
    .addOption(new Option("--no-config", "read no configuration file").helpGroup("Application:"));
}

export function given(target: string | undefined, { config, ...flags }: Flags): Given {
  return { target, config, flags };
}

// The one screen a start prints: what runs, where, and how to stop it.
import type { Config } from "../config/config.js";
import { version } from "../package.js";
import type { Loaded } from "../spawn/spawner.js";

export function startScreen(config: Config, urls: readonly string[], loaded: Loaded, milliseconds: number): string {
  const threads =
    config.threads === "auto" ? "threads as the application needs them" : plural(config.threads, "thread");
  const lines = [
    ["address", urls.join(`\n${" ".repeat(15)}`)],
    ["application", loaded.application],
    ["Python", `${loaded.python} (${config.python})`],
    ["workers", `${plural(config.workers, "process", "processes")}, ${threads}${sharing(config, loaded)}`],
    [
      "log",
      config.accessLog === "off"
        ? "no requests"
        : `requests to ${config.accessLog === "-" ? "here" : config.accessLog}`,
    ],
  ];
  const body = lines.map(([name = "", value = ""]) => `  ${name.padEnd(11)}  ${value}`).join("\n");
  return `vivarium ${version} is serving after ${Math.round(milliseconds)} ms\n\n${body}\n\n  Ctrl-C stops it; so does "vivarium stop". "vivarium status" shows what it is doing.\n`;
}

function sharing(config: Config, loaded: Loaded): string {
  if (loaded.preload) return "";
  return config.preload
    ? "; each imports the application itself, because importing it starts threads"
    : "; each imports the application itself";
}

function plural(count: number, one: string, many = `${one}s`): string {
  return `${count} ${count === 1 ? one : many}`;
}

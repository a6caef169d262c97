// The command: finds the subcommand, loads only its file, and turns what goes wrong into one sentence and an exit
// status. Start-up time is a promise, so nothing is imported here that `vivarium run` does not need.
import { Command, CommanderError, Option } from "commander";
import { VivariumError } from "../errors.js";
import { version } from "../package.js";
import type { Define, ExitStatus } from "./command.js";
import { paint } from "./terminal.js";

interface Entry {
  readonly summary: string;
  readonly load: () => Promise<{ readonly define: Define }>;
}

const commands: Readonly<Record<string, Entry>> = {
  run: { summary: "serve an application", load: () => import("./run.js") },
  gateway: { summary: "pass requests on to servers elsewhere, and serve files", load: () => import("./gateway.js") },
  check: { summary: "load an application and say what would run", load: () => import("./check.js") },
  status: { summary: "show a running server: workers, requests, memory", load: () => import("./status.js") },
  reload: { summary: "load the application anew, losing no request", load: () => import("./reload.js") },
  drain: { summary: "give an upstream server no more requests", load: () => import("./drain.js") },
  stop: { summary: "stop a running server, letting requests finish", load: () => import("./stop.js") },
};

const EXAMPLES = `
Examples:
  vivarium run mysite.wsgi:application          serve a WSGI application on http://127.0.0.1:8000
  vivarium run app.py --listen 0.0.0.0:80       the one in app.py, to everybody
  vivarium run                                  as vivarium.toml in this directory says
  vivarium gateway --upstream uwsgi://app:3031  be the web server in front of another server
  vivarium check mysite.wsgi                    see that it loads, without serving
  vivarium status                               what the server is doing
  vivarium reload                               newly deployed code takes over, losing nothing

vivarium COMMAND --help explains a command and its options.`;

/** Runs the command line `argv` (without node and script) and gives the exit status. Never rejects. */
export async function main(argv: readonly string[]): Promise<ExitStatus> {
  // Whoever reads may leave, as in `vivarium --help | head`.
  for (const stream of [process.stdout, process.stderr]) stream.on("error", () => {});
  // `vivarium help run` is `vivarium run --help`.
  const words = argv[0] === "help" ? [...argv.slice(1), "--help"] : [...argv];
  const name = words[0] ?? "";
  let status: ExitStatus = 0;
  const program = new Command("vivarium")
    .description("Application server for Python web applications, and web server in front of them.")
    .usage("COMMAND [options]")
    .version(`vivarium ${version}`, "-V, --version", "print the version")
    .helpOption("-h, --help", "explain")
    .helpCommand(false)
    .addHelpText("after", EXAMPLES)
    .exitOverride()
    // Its messages reach the user through `explain` alone.
    .configureOutput({ outputError: () => {} });
  for (const [key, entry] of Object.entries(commands)) {
    const command = program.command(key).summary(entry.summary);
    command.addHelpOption(new Option("-h, --help", "explain this command").helpGroup("Help:"));
    if (key === name) {
      (await entry.load()).define(command, (told) => {
        status = told;
      });
    }
  }
  try {
    if (words.length === 0) program.help();
    await program.parseAsync(words, { from: "user" });
    return status;
  } catch (error) {
    return explain(error, Object.hasOwn(commands, name) ? `vivarium ${name}` : "vivarium");
  }
}

function explain(error: unknown, command: string): ExitStatus {
  if (error instanceof CommanderError) {
    if (error.exitCode === 0) return 0;
    complain(usageSentence(error.message, command));
    return 2;
  }
  if (error instanceof VivariumError) {
    complain(error.message);
    return error.code === "ERR_CLI_USAGE" || error.code.startsWith("ERR_CONFIG_") ? 2 : 1;
  }
  // Not a user's mistake but ours: here the stack trace is what helps.
  complain(
    `internal error; please report it with this trace.\n${error instanceof Error ? error.stack : String(error)}`,
  );
  return 1;
}

/** "error: unknown option '--lisen'\n(Did you mean --listen?)" → one sentence. */
function usageSentence(message: string, command: string): string {
  const [first = "", hint] = message.replace(/^error: /u, "").split("\n");
  const what = `${first.charAt(0).toUpperCase()}${first.slice(1).replace(/\.$/u, "")}`;
  return `${what}${hint === undefined ? "" : `: ${hint.replace(/^\(D(.*)\)$/u, "d$1")}`}${hint?.endsWith("?)") ? " See" : "; see"} "${command} --help".`;
}

function complain(sentence: string): void {
  process.stderr.write(`${paint(process.stderr, "red", "vivarium:")} ${sentence}\n`);
}

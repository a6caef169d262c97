// From starting a command to its first answer.
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { freePort } from "../test/support/ports.js";
import { descendants, type RunningProcess, start, waitUntilGone } from "../test/support/processes.js";
import { benchPython, program, removeFolder, root, temporaryFolder } from "../test/support/tools.js";
import { ask } from "./client.js";
import { median } from "./statistics.js";

export interface StartUp {
  readonly name: string;
  readonly command: string;
  /** Milliseconds, the median. */
  readonly milliseconds: number;
}

interface Subject {
  readonly name: string;
  readonly command: string;
  readonly path: string;
  readonly begin: (port: number, folder: string) => RunningProcess;
}

const apps = join(root, "bench", "apps");
const guestbook = join(root, "examples", "guestbook");

function gunicorn(target: string, chdir: string): Subject["begin"] {
  return (port, folder) =>
    start(
      benchPython(),
      [
        "-m",
        "gunicorn",
        "--no-control-socket",
        "--workers",
        "2",
        "--chdir",
        chdir,
        "--bind",
        `127.0.0.1:${port}`,
        target,
      ],
      { cwd: folder, env: environment(folder) },
    );
}

/** A database of its own for the guestbook, so that measuring does not write into the checkout. */
function environment(folder: string): Record<string, string | undefined> {
  return { DATABASE_URL: undefined, GUESTBOOK_DB: join(folder, "guestbook.sqlite3"), VIRTUAL_ENV: undefined };
}

const subjects: readonly Subject[] = [
  {
    name: "vivarium",
    command: "vivarium run app:app --workers 2",
    path: "/hello",
    begin: (port, folder) => {
      const where = ["--listen", `http://127.0.0.1:${port}`, "--control", join(folder, "control.sock")];
      const what = ["--workers", "2", "--python", benchPython(), "--chdir", apps];
      const command = [join(root, "bin", "vivarium.js"), "run", "app:app", ...where, ...what];
      return start(process.execPath, command, { cwd: folder, env: environment(folder) });
    },
  },
  {
    name: "gunicorn",
    command: "gunicorn --workers 2 app:app",
    path: "/hello",
    begin: gunicorn("app:app", apps),
  },
  {
    name: "npm start",
    command: "npm start (the guestbook)",
    path: "/",
    begin: (port, folder) => {
      const where = ["--listen", `http://127.0.0.1:${port}`, "--control", join(folder, "control.sock")];
      return start(program("npm"), ["start", "--", ...where], { cwd: root, env: environment(folder) });
    },
  },
  {
    name: "gunicorn, guestbook",
    command: "gunicorn --workers 2 guestbook:application",
    path: "/",
    begin: gunicorn("guestbook:application", guestbook),
  },
];

/** npm, told to end, ends by itself and leaves the server it started: each descendant is told too. */
async function stopFamily(leader: RunningProcess): Promise<void> {
  const family = descendants(leader.pid);
  await leader.stop("SIGTERM", 5000);
  for (const signal of ["SIGTERM", "SIGKILL"] as const) {
    for (const pid of await waitUntilGone(family, signal === "SIGTERM" ? 500 : 5000)) {
      try {
        process.kill(pid, signal);
      } catch {
        // ended in between
      }
    }
  }
  await waitUntilGone(family);
}

/** Milliseconds until the first answer with status 200. */
async function once(subject: Subject): Promise<number> {
  const folder = temporaryFolder("startup");
  const port = await freePort();
  const began = performance.now();
  const server = subject.begin(port, folder);
  try {
    for (;;) {
      const answer = await ask(`http://127.0.0.1:${port}${subject.path}`).catch(() => undefined);
      const elapsed = performance.now() - began;
      if (answer?.status === 200) return elapsed;
      if (server.exit !== undefined || elapsed > 30_000) {
        throw new Error(`${subject.command} did not answer; it printed:\n${server.output}`);
      }
      await delay(2);
    }
  } finally {
    await stopFamily(server);
    removeFolder(folder);
  }
}

/** Each command several times, in turn. One that does not start is reported and left out. */
export async function measureStartUp(rounds: number, say: (line: string) => void): Promise<readonly StartUp[]> {
  const times = new Map<Subject, number[]>(subjects.map((subject) => [subject, []]));
  for (let round = 0; round < rounds; round += 1) {
    for (const [subject, list] of [...times]) {
      try {
        list.push(await once(subject));
      } catch (error) {
        say(`start-up of ${subject.name} is left out: ${error instanceof Error ? error.message : error}`);
        times.delete(subject);
      }
    }
  }
  return [...times].map(([{ name, command }, list]) => ({ name, command, milliseconds: median(list) }));
}

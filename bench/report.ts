// The run as text: aligned tables for a terminal, Markdown for bench/RESULTS.md.
import { type BenchRun, find, metrics, referenceOf, subject } from "./run.js";
import { scaleSections } from "./scale/scale.js";
import { scenarios } from "./scenarios.js";
import { median } from "./statistics.js";
import { format, markdownTable, percent, plainTable, type Row, type Section } from "./table.js";
import { targets } from "./targets.js";
import { shortfalls } from "./verdicts.js";
import { connections } from "./wrk.js";

function scenarioHead(scenario: string): Row {
  const base = referenceOf(scenario);
  return ["server", ...metrics.map(({ name }) => name), `requests/s vs ${base}`, `CPU vs ${base}`, "CPU ±", "errors"];
}

function scenarioRows(run: BenchRun, scenario: string): readonly Row[] {
  const base = find(run, scenario, referenceOf(scenario));
  return run.results
    .filter((result) => result.scenario === scenario)
    .map((result) => {
      const against = (value: number, other: number | undefined): string =>
        other === undefined ? "" : `${(value / other).toFixed(2)} ×`;
      const errors = [
        ...(result.badStatus > 0 ? [`${result.badStatus} bad status`] : []),
        ...(result.socketErrors > 0 ? [`${result.socketErrors} socket`] : []),
      ];
      return [
        result.server,
        ...metrics.map(({ of, digits }) => format(of(result), digits)),
        against(result.requestsPerSecond, base?.requestsPerSecond),
        against(result.cpuPerRequest, base?.cpuPerRequest),
        percent(result.noise),
        errors.join(", ") || "0",
      ];
    });
}

function measuredScenarios(run: BenchRun): typeof scenarios {
  return scenarios.filter(({ name }) => run.results.some((result) => result.scenario === name));
}

function shortfallRows(run: BenchRun): readonly Row[] {
  return shortfalls(run).map((s) => [
    s.subject === subject ? s.scenario : `${s.scenario}, ${s.subject}`,
    s.metric,
    format(s.ours, s.digits),
    `${format(s.theirs, s.digits)} (${s.server})`,
    `${s.factor.toFixed(2)} ×`,
  ]);
}

const shortfallHead: Row = ["scenario", "metric", "Vivarium", "the best peer", "worse by"];

function targetRows(run: BenchRun): readonly Row[] {
  return targets(run).flatMap(({ what, found, reached }) =>
    found === undefined ? [] : [[what, found, reached ? "reached" : "missed"]],
  );
}

const targetHead: Row = ["target", "found", "verdict"];

function startUpRows(run: BenchRun): readonly Row[] {
  return run.startUps.map(({ name, command, milliseconds }) => [`${name}: ${command}`, format(milliseconds, 0)]);
}

function transferRows(run: BenchRun): readonly Row[] {
  return run.transfers.map((t) => [`${t.server}, ${t.direction}`, format(t.rate / 2 ** 20, 0), format(t.growth, 1)]);
}

const transferHead: Row = ["1 GiB through", "MiB/s", "memory grows by MiB"];

function bareRows(run: BenchRun): readonly Row[] {
  return run.bare.map(({ python, cpuPerCall }) => [`Python ${python}`, format(cpuPerCall, 2)]);
}

function sections(run: BenchRun): readonly Section[] {
  const measured = run.results.some(({ server }) => server.startsWith(subject));
  const all: readonly Section[] = [
    {
      title: "Where Vivarium is behind",
      head: shortfallHead,
      rows: shortfallRows(run),
      empty: measured ? "Nowhere by more than 3 %." : "Vivarium itself was not measured under load.",
    },
    { title: "Targets", head: targetHead, rows: targetRows(run) },
    ...measuredScenarios(run).map(({ name, title }) => ({
      title: `${name}: ${title}`,
      head: scenarioHead(name),
      rows: scenarioRows(run, name),
    })),
    {
      title: "The application alone: hello called in a loop, a fresh environ each time",
      head: ["interpreter", "CPU µs/call"],
      rows: bareRows(run),
    },
    { title: "Start-up to the first answer", head: ["command", "ms"], rows: startUpRows(run) },
    ...scaleSections(run.scale),
    { title: "1 GiB", head: transferHead, rows: transferRows(run) },
  ];
  return all.filter((section) => section.rows.length > 0 || section.empty !== undefined);
}

export function terminalReport(run: BenchRun): string {
  return sections(run)
    .map(
      ({ title, head: columns, rows, empty }) => `${title}\n${rows.length > 0 ? plainTable(columns, rows) : empty}\n`,
    )
    .join("\n");
}

/** "2 % (at most 5 %)": the median over all servers and scenarios, and the most. */
function disturbance(run: BenchRun): string {
  const shares = run.results.map(({ others }) => others);
  return shares.length === 0
    ? "an unknown share"
    : `${percent(median(shares))} (at most ${percent(Math.max(...shares))})`;
}

function method(run: BenchRun): string {
  return `wrk with ${connections} connections (512 in asgi-await) from one thread, or for WebSockets as many clients of our own, or h2load, kept alive where the server can, on the same machine as the servers.
In each of ${run.rounds} rounds every server of a scenario is started, must give the right answers, and warms up until a second costs no less CPU per request than
the one before; then they are measured in turn, a second each, ${run.seconds} times, and all but the one that is measured are stopped (SIGSTOP). The p50 and p99 of a round are the medians
of its seconds. Figures are medians of the rounds, errors are sums. CPU is user and system time of all processes of the server, children that ended included, over the requests
answered, "CPU ±" how far the farthest round lay from the median; memory is, after the load, what each of them has for itself, and of what they share the most that one of each program has. All run the same WSGI application (bench/apps/app.py), which does not
log, or where the table of servers says so the same pages as an ASGI application (bench/apps/asgi_app.py: it waits with await), with 2 workers, and 1 thread per worker except in wait and mix, where it is 8. Where mod_wsgi-embedded has one thread, its two
processes belong to two connections at a time: its p50 is theirs, its p99 what the waiting ones see; with more threads, it closes kept-alive
connections while all threads are busy, which wrk counts as errors. In mix, wrk's p99 says little, as it sees only the
connections that were free to ask. 2 ms of computing were ${run.iterations} iterations here.
On an idle connection of the scale part one request was answered; memory of each is what the server's processes grew by, without
what the kernel holds; nginx makes its table of connections when it starts, so that it does not grow. Each step to more workers or connections
and each server is measured in turn. A reload is ordered as the server's documentation says, with one request after another
asked meanwhile, each on a connection of its own (mod_wsgi-embedded reads a changed script anew by itself); 200 MB are Python objects, of which requests read a twentieth.`;
}

export function markdownReport(run: BenchRun): string {
  const facts = run.servers.map((s) => [s.name, s.version, s.settings, s.lacks].join(" | "));
  const parts = [
    "# Benchmark: Vivarium and its peers",
    "Written by `npm run bench`; not by hand.",
    `- date: ${run.date}\n- machine: ${run.machine}\n- Python ${run.python}, Node ${run.node}` +
      `\n- other processes used ${disturbance(run)} of the machine while it was measured`,
    "![requests/s and CPU per request](results.svg)",
    ...sections(run).map(
      ({ title, head: columns, rows, empty }) =>
        `## ${title}\n\n${rows.length > 0 ? markdownTable(columns, rows) : empty}`,
    ),
    `## Method\n\n${method(run)}`,
    `## Servers\n\n| server | version | settings | what it leaves out |\n| --- | --- | --- | --- |\n${facts.map((fact) => `| ${fact} |`).join("\n")}`,
  ];
  return `${parts.join("\n\n")}\n`;
}

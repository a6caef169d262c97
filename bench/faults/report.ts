// The run as Markdown, for bench/FAULTS.md.
import { outcomes } from "../../test/support/load.js";
import { markdownTable, type Row } from "../table.js";
import { contestants } from "./contestants.js";
import { clients, type Finding } from "./course.js";
import type { FaultEvent } from "./event.js";
import { events, type FaultResult, type FaultRun, resultOf } from "./run.js";
import { failed } from "./trace.js";

const wrong = outcomes.filter((outcome) => outcome !== "right");

function share(value: number | undefined): string {
  return value === undefined ? "" : value.toFixed(2);
}

/** In a line, for the table of all and for a terminal. */
export function summary({ observation }: Finding): string {
  const { counts, goodput, down } = observation;
  const parts = [
    `${failed(counts).toLocaleString("en-US")} of ${(failed(counts) + counts.right).toLocaleString("en-US")} failed`,
    ...(goodput === undefined ? [] : [`goodput ${share(goodput)}`]),
    ...(down > 0 ? [`down ${down.toFixed(1)} s`] : []),
  ];
  return parts.join(", ");
}

/** Whether all targets are reached, and which are not. */
export function missed({ checks }: Finding): string {
  const missing = checks.filter(({ reached }) => !reached);
  if (missing.length === 0) return "reached";
  return `missed: ${missing.map(({ found, target }) => `${found} (${target})`).join(", ")}`;
}

function isFinding(result: FaultResult | undefined): result is FaultResult & { readonly found: Finding } {
  return result !== undefined && typeof result.found !== "string";
}

function recoveryWords({ recovery }: Finding["observation"]): string {
  if (recovery === undefined) return "";
  return recovery === "never" ? "never" : `${recovery.toFixed(1)} s`;
}

function rowOf({ server, found }: FaultResult & { readonly found: Finding }, columns: readonly string[]): Row {
  const { observation, figures } = found;
  return [
    server,
    observation.counts.right.toLocaleString("en-US"),
    ...wrong.map((outcome) => observation.counts[outcome].toLocaleString("en-US")),
    share(observation.goodput),
    `${observation.down.toFixed(1)} s`,
    recoveryWords(observation),
    ...columns.map((column) => figures[column] ?? ""),
    missed(found),
  ];
}

/** What each was told for this event, and what must be known of it. */
function notes({ need }: FaultEvent, servers: readonly string[]): readonly string[] {
  return contestants
    .filter(({ name }) => servers.includes(name))
    .flatMap(({ name, options, remarks }) => {
      const told = options[need];
      const words = [...(told === undefined ? [] : [`\`${told.join(" ")}\`.`]), remarks[need] ?? ""].filter(Boolean);
      return words.length === 0 ? [] : [`- ${name}: ${words.join(" ")}`];
    });
}

function section(run: FaultRun, event: FaultEvent): readonly string[] {
  const results = run.results.filter((result) => result.event === event.name);
  if (results.length === 0) return [];
  const found = results.filter(isFinding);
  const [first] = found;
  const columns = first === undefined ? [] : Object.keys(first.found.figures);
  const head = ["server", "right", ...wrong, "goodput", "down", "recovery", ...columns, "targets"];
  const targets = first === undefined ? "" : first.found.checks.map(({ target }) => target).join(", ");
  const left = results.filter((result) => typeof result.found === "string");
  const told = notes(
    event,
    results.map(({ server }) => server),
  );
  return [
    `## ${event.title}`,
    event.text,
    ...(targets === "" ? [] : [`Targets: ${targets}.`]),
    ...(told.length === 0 ? [] : [told.join("\n")]),
    ...(found.length === 0
      ? []
      : [
          markdownTable(
            head,
            found.map((result) => rowOf(result, columns)),
          ),
        ]),
    ...left.map(({ server, found }) => `${server} is left out: ${String(found).split("\n")[0]}`),
  ];
}

function overview(run: FaultRun): string {
  const servers = Object.keys(run.versions);
  const rows = events
    .filter(({ name }) => run.results.some(({ event }) => event === name))
    .map((event) => [
      event.title,
      ...servers.map((server) => {
        const result = resultOf(run, event.name, server);
        if (!isFinding(result)) return result === undefined ? "" : "left out";
        const all = result.found.checks.every(({ reached }) => reached);
        return `${all ? "**reached**: " : ""}${summary(result.found)}`;
      }),
    ]);
  return markdownTable(["event", ...servers], rows);
}

function method(run: FaultRun): string {
  return `Each server is started for each event alone, with 2 workers of 8 threads, and is let alone under load for three seconds, of which the first
warms it up; then the event comes, then what follows is watched until goodput is as before, for some seconds at most. Unless an event says otherwise there are ${clients} clients, each with one
request at a time on a connection that it keeps while the server does, for a page that waits 20 ms. They never retry, and count every request as exactly one
of the columns: "right" is status 200 and the very answer that this request must have, "wrong content" any other answer with a status below 400, "refused" that no connection could
be made, "reset" that a connection ended before the head of the answer was whole, "truncated" before its body was, "timed out" that nothing came for 10 s.
Whoever fails asks again at once (after 1 ms where it was refused), as its next request: a server that refuses quickly has more failures than one that lets clients wait.
Counts are from the beginning of the event to the end of watching, goodput is right answers a second during the event over those before it, "down" the seconds in gaps of
more than 0.2 s without any right answer, "recovery" the time from the end of the event until goodput is 0.9 of what it was for half a second (0.0 where it never fell
by half). Clients and server share the machine. The longest event takes ${run.seconds} s.`;
}

export function faultsReport(run: FaultRun): string {
  const facts = contestants
    .filter(({ name }) => name in run.versions)
    .map(({ name, settings }) => [name, run.versions[name] ?? "", settings]);
  const parts = [
    "# When things go wrong: Vivarium and its peers",
    "Written by `npm run bench -- faults`; not by hand. What Vivarium promises is in [docs/promises.md](../docs/promises.md).",
    `- date: ${run.date}\n- machine: ${run.machine}\n- Python ${run.python}, Node ${run.node}`,
    overview(run),
    "![right answers and failures around the events](faults.svg)",
    ...events.flatMap((event) => section(run, event)),
    `## Method\n\n${method(run)}`,
    `## Servers\n\n| server | version | settings |\n| --- | --- | --- |\n${facts.map((row) => `| ${row.join(" | ")} |`).join("\n")}`,
    "Each in the settings that its documentation has against the event, which stand at the event where they are more than these.",
  ];
  return `${parts.join("\n\n")}\n`;
}

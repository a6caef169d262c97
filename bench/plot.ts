// The run as a picture: for each scenario a group of bars, requests/s on the left and CPU per request on the right,
// each group on a scale of its own (hello and compute are two orders of magnitude apart).
import { type BenchRun, referenceOf, subject } from "./run.js";
import { limitNames, type Scenario, scenarios } from "./scenarios.js";

const width = 980;
const margin = 16;
const labelWidth = 150;
const valueWidth = 64;
const gap = 36;
const bar = 13;
const pitch = 18;
const groupHead = 30;
const groupFoot = 16;
const top = 76;
const panelWidth = (width - 2 * margin - labelWidth - gap - 2 * valueWidth) / 2;
const panels = [margin + labelWidth, margin + labelWidth + panelWidth + valueWidth + gap] as const;

/** Words and lines. Legible on white and on black; GitHub and browsers tell an SVG which of the two the page is. */
export const baseStyle = `
  text { font: 12px system-ui, "DejaVu Sans", sans-serif; fill: #24292f; }
  .title { font-size: 18px; font-weight: 600; }
  .group { font-size: 13px; font-weight: 600; }
  .quiet { fill: #57606a; }
  line { stroke: #d0d7de; }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3; }
    .quiet { fill: #9198a1; }
    line { stroke: #3d444d; }
  }`;

const style = `${baseStyle}
  .ours { font-weight: 600; }
  rect { fill: #a9b1ba; }
  rect.ours { fill: #1f883d; }
  rect.reference { fill: #6e7781; }
  rect.limit { fill: none; stroke: #6e7781; }
  @media (prefers-color-scheme: dark) {
    rect { fill: #57606a; }
    rect.ours { fill: #3fb950; }
    rect.reference { fill: #8b949e; }
    rect.limit { fill: none; stroke: #8b949e; }
  }`;

export function escapeXml(text: string): string {
  return text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;");
}

export function text(x: number, y: number, content: string, attributes = ""): string {
  return `<text x="${x.toFixed(1)}" y="${y.toFixed(1)}"${attributes}>${escapeXml(content)}</text>`;
}

function format(value: number): string {
  return value.toLocaleString("en-US", { maximumFractionDigits: value < 100 ? 1 : 0 });
}

function kind(server: string, scenario: string): string {
  if (server === referenceOf(scenario)) return "reference";
  if (limitNames.includes(server)) return "limit";
  return server.startsWith(subject) ? "ours" : "";
}

function classOf(name: string): string {
  return name === "" ? "" : ` class="${name}"`;
}

interface Bar {
  readonly server: string;
  readonly values: readonly [number, number];
  readonly errors: number;
}

function groupOf(run: BenchRun, name: string): readonly Bar[] {
  return run.results
    .filter((result) => result.scenario === name)
    .map(({ server, requestsPerSecond, cpuPerRequest, badStatus, socketErrors }) => ({
      server,
      values: [requestsPerSecond, cpuPerRequest],
      errors: badStatus + socketErrors,
    }));
}

function drawGroup(y: number, { name, title }: Scenario, bars: readonly Bar[]): string {
  const largest = [0, 1].map((panel) => Math.max(...bars.map(({ values }) => values[panel] ?? 0), Number.MIN_VALUE));
  const parts = [
    `<line x1="${margin}" x2="${width - margin}" y1="${y}" y2="${y}"/>`,
    text(margin, y + 20, `${name}: ${title}`, ' class="group"'),
  ];
  bars.forEach(({ server, values, errors }, index) => {
    const barTop = y + groupHead + index * pitch;
    const baseline = barTop + bar - 2.5;
    const look = kind(server, name);
    parts.push(text(panels[0] - 8, baseline, server, ` text-anchor="end"${classOf(look === "ours" ? look : "")}`));
    values.forEach((value, panel) => {
      const x = panels[panel] ?? 0;
      const remark = panel === 0 && errors > 0 ? `, ${format(errors)} errors` : "";
      const length = Math.max(1, (value / (largest[panel] ?? 1)) * panelWidth);
      parts.push(
        `<rect${classOf(look)} x="${x.toFixed(1)}" y="${barTop}" width="${length.toFixed(1)}" height="${bar}" rx="2"/>`,
        text(x + length + 6, baseline, `${format(value)}${remark}`, classOf(look === "ours" ? look : "quiet")),
      );
    });
  });
  return parts.join("\n");
}

function limitsNote(run: BenchRun): string {
  if (!run.results.some(({ server }) => limitNames.includes(server))) return "";
  return `\n${text(width - margin, 46, "outlined: no application behind it", ' class="quiet" text-anchor="end"')}`;
}

/** An SVG of its own, no fonts or scripts from elsewhere. */
export function drawPlot(run: BenchRun): string {
  let y = top;
  const groups: string[] = [];
  for (const scenario of scenarios) {
    const bars = groupOf(run, scenario.name);
    if (bars.length === 0) continue;
    groups.push(drawGroup(y, scenario, bars));
    y += groupHead + bars.length * pitch + groupFoot;
  }
  const date = run.date.slice(0, 10);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>Requests per second and CPU per request of Vivarium and its peers</title>
<style>${style}
</style>
${text(margin, 28, "Vivarium and its peers", ' class="title"')}
${text(margin, 46, `${date}, ${run.machine}`, ' class="quiet"')}
${text(panels[0], 68, "requests/s (longer is better)", ' class="group"')}
${text(panels[1], 68, "CPU µs per request (shorter is better)", ' class="group"')}
${groups.join("\n")}${limitsNote(run)}
</svg>
`;
}

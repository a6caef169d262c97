// The run as a picture: for each event a row, for each server a field with the right answers of each tenth of a second as an area,
// and those that failed as bars below it. What was right when nothing happened is the same height everywhere.
import { baseStyle, escapeXml, text } from "../plot.js";
import type { Picture } from "./course.js";
import { events, type FaultRun, resultOf } from "./run.js";

const margin = 16;
const gap = 14;
const field = 236;
const areaHeight = 56;
const failureHeight = 22;
const rowHead = 26;
const rowFoot = 20;
const top = 98;
/** Above what was right when nothing happened there is so much room, as a share. */
const headroom = 1.3;

const style = `${baseStyle}
  .area { fill: #1f883d; fill-opacity: 0.75; }
  .failure { fill: #cf222e; }
  .event { fill: #6e7781; fill-opacity: 0.15; }
  @media (prefers-color-scheme: dark) {
    .area { fill: #3fb950; }
    .failure { fill: #f85149; }
    .event { fill: #8b949e; fill-opacity: 0.2; }
  }`;

function fixed(...values: readonly number[]): string {
  return values.map((value) => value.toFixed(1)).join(" ");
}

/** Intervals of the longest picture of a row: its fields have one scale of time. */
function drawField(x: number, y: number, picture: Picture, intervals: number): string {
  const step = field / Math.max(1, intervals);
  const floor = y + areaHeight;
  const height = (count: number): number =>
    (Math.min(headroom, count / Math.max(picture.undisturbed, 1)) / headroom) * areaHeight;
  const steps = picture.right.map((count, index) => {
    const level = floor - height(count);
    return `L${fixed(x + index * step, level)} L${fixed(x + (index + 1) * step, level)}`;
  });
  const end = x + picture.right.length * step;
  const bars = picture.failed.flatMap((count, index) => {
    if (count === 0) return [];
    const depth = Math.max(2, Math.min(1, count / Math.max(picture.undisturbed, 1)) * failureHeight);
    return [
      `<rect class="failure" x="${fixed(x + index * step)}" y="${fixed(floor + 1)}" width="${fixed(Math.max(1, step))}" height="${fixed(depth)}"/>`,
    ];
  });
  const event = [x + picture.begin * step, Math.max(1, (picture.end - picture.begin) * step)] as const;
  return [
    `<rect class="event" x="${fixed(event[0])}" y="${y}" width="${fixed(event[1])}" height="${areaHeight + failureHeight}"/>`,
    `<path class="area" d="M${fixed(x, floor)} ${steps.join(" ")} L${fixed(end, floor)} Z"/>`,
    `<line x1="${x}" x2="${x + field}" y1="${floor}" y2="${floor}"/>`,
    ...bars,
  ].join("\n");
}

function pictureIn(run: FaultRun, event: string, server: string): Picture | undefined {
  const found = resultOf(run, event, server)?.found;
  return found === undefined || typeof found === "string" ? undefined : found.observation.picture;
}

/** An SVG of its own, no fonts or scripts from elsewhere. */
export function drawFaults(run: FaultRun): string {
  const servers = Object.keys(run.versions);
  const left = (index: number): number => margin + index * (field + gap);
  const width = left(servers.length) - gap + margin;
  const rows: string[] = [];
  let y = top;
  for (const { name, title, drawn } of events) {
    const pictures = servers.map((server) => pictureIn(run, name, server));
    if (!drawn || pictures.every((picture) => picture === undefined)) continue;
    const intervals = Math.max(...pictures.map((picture) => picture?.right.length ?? 0));
    rows.push(text(margin, y + 16, `${title} (${(intervals / 10).toFixed(0)} s)`, ' class="group"'));
    pictures.forEach((picture, index) => {
      if (picture !== undefined) rows.push(drawField(left(index), y + rowHead, picture, intervals));
    });
    y += rowHead + areaHeight + failureHeight + rowFoot;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${y}" width="${width}" height="${y}" role="img">
<title>${escapeXml("Right answers and failures of each tenth of a second around the events")}</title>
<style>${style}
</style>
${text(margin, 28, "When things go wrong: Vivarium and its peers", ' class="title"')}
${text(margin, 46, `${run.date.slice(0, 10)}, ${run.machine}`, ' class="quiet"')}
${text(margin, 62, "right answers of each tenth of a second (green), failures (red), the event (grey); one scale of time in each row", ' class="quiet"')}
${servers.map((server, index) => text(left(index), 88, server, ' class="group"')).join("\n")}
${rows.join("\n")}
</svg>
`;
}

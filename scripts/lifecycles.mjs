// npm run docs: draws docs/lifecycles.md from the tables that the supervisor executes; they must have been built. With --check
// it writes nothing, and says with its exit status whether the file is as it would write it.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const path = join(root, "docs", "lifecycles.md");
const { lifecycles } = await import(join(root, "build/src/supervisor/lifecycles.js"));

const head = `# Lifecycles

What the server looks after, and through which states it goes. \`npm run docs\` draws this page from the tables that the server itself
executes (\`src/supervisor/lifecycles.ts\`): what has no arrow here cannot happen.
`;

/** Of one table: the diagram, then a line for each state and each event. */
function section({ title, about, first, states, events }) {
  const arrows = Object.entries(states).flatMap(([from, { on }]) => {
    const out = Object.entries(on).map(([event, to]) => `    ${from} --> ${to}: ${event}`);
    return out.length === 0 ? [`    ${from} --> [*]`] : out;
  });
  return `
## ${title}

${about}

\`\`\`mermaid
stateDiagram-v2
    [*] --> ${first}
${arrows.join("\n")}
\`\`\`

| state | |
| --- | --- |
${Object.entries(states)
  .map(([state, { means }]) => `| ${state} | ${means} |`)
  .join("\n")}

| event | |
| --- | --- |
${Object.entries(events)
  .map(([event, text]) => `| ${event} | ${text} |`)
  .join("\n")}
`;
}

const page = head + lifecycles.map(section).join("");
if (process.argv[2] !== "--check") writeFileSync(path, page);
else if (readFileSync(path, "utf8") !== page) {
  process.stderr.write("docs/lifecycles.md is not what the tables say: npm run docs\n");
  process.exitCode = 1;
}

// The process `startControlServer` starts: node control-server-main.js OPTIONS.
import { createServer } from "node:net";
import type { ControlServerOptions } from "./control-server.js";
import { exampleStatus } from "./control-server.js";

const options: ControlServerOptions = JSON.parse(process.argv[2] ?? "");
const { path, status, answer, stops = true } = options;

function reply(command: unknown): string {
  if (answer !== undefined) return answer;
  return `${JSON.stringify(command === "status" ? { ...exampleStatus, pid: process.pid, ...status } : { ok: true })}\n`;
}

createServer((socket) => {
  socket.setEncoding("utf8").on("error", () => {});
  socket.on("data", (line: string) => {
    const { command }: { command: unknown } = JSON.parse(line);
    socket.end(reply(command), () => {
      if (command === "stop" && stops) process.exit(0);
    });
  });
}).listen(path, () => process.stdout.write("listening\n"));

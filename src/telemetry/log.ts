// The server's log: the log channel's lines on standard error, in one format for all processes of a server.
import { writeSync } from "node:fs";
import { isatty } from "node:tty";
import {
  configureSync,
  getAnsiColorFormatter,
  getLogger,
  getTextFormatter,
  type LogRecord,
  type TextFormatter,
} from "@logtape/logtape";
import { type LogLine, logLine } from "../channels.js";

/** Colour only where a person looks, and not where they said no (no-color.org). */
function formatter(fd: number): TextFormatter {
  const options = { timestamp: "date-time", level: "full", category: ".", value: String } as const;
  const colours = isatty(fd) && (process.env["NO_COLOR"] ?? "") === "";
  return colours
    ? getAnsiColorFormatter({ ...options, timestampStyle: "dim", categoryStyle: null })
    : getTextFormatter(options);
}

/**
 * Written at once, and in one piece: what a process says last is what one wants to read after it has died. A log that
 * cannot be written (full disk, closed pipe) is no reason to stop serving.
 */
function sink(fd: number, format: TextFormatter): (record: LogRecord) => void {
  return (record) => {
    try {
      writeSync(fd, format(record));
    } catch {
      // There is no other place to say so.
    }
  };
}

/** Subscribes to the log channel; called once by each process. `fd`: where standard error is, if it is not this process's own. */
export function logToStandardError(fd = 2): void {
  configureSync({
    sinks: { stderr: sink(fd, formatter(fd)) },
    loggers: [
      { category: [], lowestLevel: "info", sinks: ["stderr"] },
      { category: ["logtape", "meta"], lowestLevel: "warning", sinks: ["stderr"] },
    ],
  });
  logLine.subscribe((message) => {
    const { level, area, message: text } = message as LogLine;
    // As a property, because braces in the text of others are not placeholders.
    getLogger(area)[level]("{text}", { text });
  });
}

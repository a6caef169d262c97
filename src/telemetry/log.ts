// The server's log: the log channel's lines on standard error, in one format for all processes of a server.
import { writeSync } from "node:fs";
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
function formatter(): TextFormatter {
  const options = { timestamp: "date-time", level: "full", category: ".", value: String } as const;
  const colours = process.stderr.isTTY && (process.env["NO_COLOR"] ?? "") === "";
  return colours
    ? getAnsiColorFormatter({ ...options, timestampStyle: "dim", categoryStyle: null })
    : getTextFormatter(options);
}

/**
 * Written at once, and in one piece: what a process says last is what one wants to read after it has died. A log that
 * cannot be written (full disk, closed pipe) is no reason to stop serving.
 */
function sink(format: TextFormatter): (record: LogRecord) => void {
  return (record) => {
    try {
      writeSync(2, format(record));
    } catch {
      // There is no other place to say so.
    }
  };
}

/** Subscribes to the log channel; called once by each process. */
export function logToStandardError(): void {
  configureSync({
    sinks: { stderr: sink(formatter()) },
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

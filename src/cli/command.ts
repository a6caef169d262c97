import type { Command } from "commander";

/** Of the process: 0 as asked, 1 could not start or do it, 2 wrong usage or configuration. */
export type ExitStatus = number;

/** What a command's file exports as `define`: adds arguments, options and help, and an action that tells its status. */
export type Define = (command: Command, done: (status: ExitStatus) => void) => void;

// The access log. Each line is the Combined Log Format of Apache and nginx, with the milliseconds from the request being
// whole to its response being whole as one more column:
//
//     192.0.2.7 - - [22/Nov/2026:15:06:09 +0000] "GET /a?b=1 HTTP/1.1" 200 1234 "https://example.org/" "curl/8.5" 1.3
//
// A client that left before it was answered has status 499, as in nginx. Lines are gathered and written in batches, in
// order, by asynchronous writes: never on the path of a request. A log that cannot be written costs its lines, no request.
import { close, closeSync, constants, fstatSync, openSync, write } from "node:fs";
import { dirname } from "node:path";
import { log, type RequestEnded, requestEnded } from "../channels.js";
import { vivariumError } from "../errors.js";
import { later } from "../net/deadline.js";

/** Milliseconds a line waits at most before it is written. */
const gatherTime = 100;
/** Characters gathered that are written without waiting longer. */
const gatherMost = 65536;
/** Characters that wait for a slow disk or reader, beyond which lines are lost rather than memory. */
const waitingMost = 8 * 1024 * 1024;

/** Milliseconds that the end of the log waits for a reader that does not read. */
const closeTime = 1000;

/**
 * PIPE_BUF (pipe(7)): a write to a pipe of at most so many octets is whole or not done, where a longer one to a pipe that is
 * nearly full is cut, and another process's lines may come between its parts. A file is appended to in whole writes anyhow.
 */
const wholeMost = 4096;

/**
 * Never to wait in a system call: a pipe whose reader stopped reading would hold one of the few threads that all file
 * operations share, and the end of the process with it.
 */
const openFlags = constants.O_WRONLY | constants.O_NONBLOCK | constants.O_NOCTTY;

const lineEnd = 10;

const month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const unsafe = /["\\]|[^\x20-\x7e]/;
const unsafeEach = /["\\]|[^\x20-\x7e]/g;

/** What a client wrote, so that it stays within its quotes and its line, whatever it holds (CWE-117). ASCII only. */
function quoted(text: string): string {
  if (text === "") return "-";
  return unsafe.test(text) ? text.replace(unsafeEach, escaped) : text;
}

function escaped(character: string): string {
  if (character === '"' || character === "\\") return `\\${character}`;
  return `\\x${character.charCodeAt(0).toString(16).padStart(2, "0")}`;
}

/** `22/Nov/2026:15:06:09 +0000`, in the server's time zone. */
export function logTime(now: Date): string {
  const two = (n: number): string => String(n).padStart(2, "0");
  const offset = -now.getTimezoneOffset();
  const zone = `${offset < 0 ? "-" : "+"}${two(Math.floor(Math.abs(offset) / 60))}${two(Math.abs(offset) % 60)}`;
  const day = `${two(now.getDate())}/${month[now.getMonth()]}/${now.getFullYear()}`;
  return `${day}:${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())} ${zone}`;
}

/** One line, with its line end. `time` is `logTime` of now. */
export function logFormat(request: RequestEnded, time: string): string {
  const { method, target, protocol, status, octets } = request;
  const line = method === "" ? "-" : `${quoted(method)} ${quoted(target)} ${quoted(protocol)}`;
  const milliseconds = Math.round(request.milliseconds * 10) / 10;
  const address = request.remoteAddress === "" ? "-" : request.remoteAddress;
  return `${address} - - [${time}] "${line}" ${status === 0 ? 499 : status} ${octets} "${quoted(request.referer)}" "${quoted(
    request.userAgent,
  )}" ${milliseconds}\n`;
}

/** Throws ERR_ACCESS_LOG where a configured log cannot be written: said before anything is started. */
export function checkAccessLog(where: string): void {
  if (where === "off" || where === "-") return;
  try {
    closeSync(openSync(where, "a"));
  } catch (error) {
    const code = error instanceof Error && "code" in error ? error.code : undefined;
    const why =
      code === "ENOENT"
        ? `the directory ${dirname(where)} does not exist`
        : code === "EISDIR"
          ? "it is a directory"
          : code === "EACCES"
            ? "this user may not write it"
            : String(code);
    throw vivariumError(
      "ERR_ACCESS_LOG",
      `The access log ${where} cannot be written: ${why}. Give another --access-log.`,
      {
        cause: error,
      },
    );
  }
}

export class AccessLog {
  readonly #path: string;
  readonly #shared: boolean;
  readonly #standardOutput: number;
  #fd: number;
  #waiting = "";
  #writing: Promise<void> | undefined;
  #cancelGathering: (() => void) | undefined;
  #lost = 0;
  #second = 0;
  #time = "";
  readonly #subscriber = (message: unknown): void => this.#append(message);

  /**
   * Begins logging to a file's path or to "-", standard output, which is at that descriptor. "off" gives undefined, and nothing
   * is subscribed. `shared`: other processes write there, too.
   */
  static open(where: string, shared = false, standardOutput = 1): AccessLog | undefined {
    return where === "off" ? undefined : new AccessLog(where, shared, standardOutput);
  }

  private constructor(path: string, shared: boolean, standardOutput: number) {
    this.#path = path;
    this.#shared = shared;
    this.#standardOutput = standardOutput;
    this.#fd = this.#openFile();
    requestEnded.subscribe(this.#subscriber);
  }

  /** Opens the file anew, after another program renamed it. What was gathered before goes to the new file. */
  reopen(): void {
    if (this.#path === "-") return;
    const before = this.#fd;
    this.#fd = this.#openFile();
    // A write under way has its descriptor still.
    void (this.#writing ?? Promise.resolve()).then(() => this.#closeFile(before));
  }

  /** Ends logging; resolves when all that was gathered is written, or cannot be for a while. */
  async close(): Promise<void> {
    requestEnded.unsubscribe(this.#subscriber);
    this.#cancelGathering?.();
    await new Promise<void>((resolve) => {
      const cancel = later(closeTime, resolve, true);
      void this.#finish().then(() => {
        cancel();
        resolve();
      });
    });
  }

  async #finish(): Promise<void> {
    while (this.#waiting !== "" || this.#writing !== undefined) {
      this.#flush();
      await this.#writing;
    }
    this.#closeFile(this.#fd);
    this.#fd = -1;
  }

  #openFile(): number {
    if (this.#path === "-") return openStandardOutput(this.#standardOutput);
    try {
      return openSync(this.#path, openFlags | constants.O_APPEND | constants.O_CREAT, 0o640);
    } catch (error) {
      this.#lose(0, error);
      return -1;
    }
  }

  #closeFile(fd: number): void {
    if (fd >= 0 && fd !== this.#standardOutput) close(fd, () => {});
  }

  #append(message: unknown): void {
    if (!isRequestEnded(message)) return;
    const now = Date.now();
    const second = Math.floor(now / 1000);
    if (second !== this.#second) {
      this.#second = second;
      this.#time = logTime(new Date(now));
    }
    const line = logFormat(message, this.#time);
    if (this.#waiting.length > waitingMost) {
      this.#lose(1, new Error("it is written too slowly"));
      return;
    }
    this.#waiting += line;
    if (this.#waiting.length >= gatherMost) this.#flush();
    else this.#cancelGathering ??= later(gatherTime, () => this.#flush());
  }

  #flush(): void {
    this.#cancelGathering?.();
    this.#cancelGathering = undefined;
    if (this.#writing !== undefined || this.#waiting === "") return;
    const octets = Buffer.from(this.#waiting, "latin1");
    this.#waiting = "";
    this.#writing = (this.#shared ? writeLines : writeWhole)(this.#fd, octets)
      .then(
        () => this.#recover(),
        (error: unknown) => this.#lose(octets.toString("latin1").split("\n").length - 1, error),
      )
      .then(() => {
        this.#writing = undefined;
        // What came meanwhile waited for this write as long as it would have for the timer.
        if (this.#waiting.length >= gatherMost) this.#flush();
        else if (this.#waiting !== "") this.#cancelGathering ??= later(gatherTime, () => this.#flush());
      });
  }

  /** Lines are lost; said once, until one could be written again. */
  #lose(lines: number, error: unknown): void {
    const first = this.#lost === 0;
    this.#lost += Math.max(lines, 1);
    if (!first) return;
    const where = this.#path === "-" ? "standard output" : this.#path;
    const reason = error instanceof Error ? error.message : String(error);
    log(
      "error",
      "telemetry",
      `The access log cannot be written to ${where}: ${reason}. Requests are served without it.`,
    );
  }

  #recover(): void {
    if (this.#lost === 0) return;
    log("warning", "telemetry", `The access log can be written again; about ${this.#lost} lines were lost.`);
    this.#lost = 0;
  }
}

/** Standard output, or where it is a pipe or terminal, the same opened anew: its flags are shared with other processes. */
function openStandardOutput(standardOutput: number): number {
  try {
    const kind = fstatSync(standardOutput);
    if (kind.isFIFO() || kind.isCharacterDevice()) return openSync(`/proc/self/fd/${standardOutput}`, openFlags);
  } catch {
    // Closed, or opened by another user: what can be said about it is said when it is written.
  }
  return standardOutput;
}

/** Channels carry values of unknown type; what is published on this one is typed where it is published. */
function isRequestEnded(message: unknown): message is RequestEnded {
  return typeof message === "object" && message !== null && "remoteAddress" in message;
}

/** Writes `octets`, which are whole lines, such that each stays whole among those of other processes, if it can. */
async function writeLines(fd: number, octets: Uint8Array): Promise<void> {
  if (fd >= 0 && !fstatSync(fd).isFIFO()) return writeWhole(fd, octets);
  for (let start = 0, end = 0; start < octets.length; start = end) {
    const last = octets.lastIndexOf(lineEnd, start + wholeMost - 1);
    end = (last < start ? octets.indexOf(lineEnd, start) : last) + 1;
    await writeWhole(fd, octets.subarray(start, end));
  }
}

/** Writes all of `octets` behind what is there. */
async function writeWhole(fd: number, octets: Uint8Array): Promise<void> {
  if (fd < 0) throw new Error("it is not open");
  let written = 0;
  while (written < octets.length) {
    written += await new Promise<number>((resolve, reject) => {
      write(fd, octets, written, octets.length - written, null, (error, count) => {
        if (error === null) resolve(count);
        // A pipe or terminal whose reader is slow.
        else if (error.code === "EAGAIN") later(gatherTime, () => resolve(0));
        else reject(error);
      });
    });
  }
}

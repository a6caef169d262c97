// Between a worker and a client that takes its response slowly: what the client has not taken goes to a temporary file, so that the worker is
// done and has others to answer. Five hundred clients that take their time would else have every thread of every worker.
//
// It begins only when a client has been behind for a moment: what is taken fast never gets to the disk. The file has no name. Where there is
// no room for it, the worker waits for the client, as it would without a spool.
import { randomBytes } from "node:crypto";
import { constants } from "node:fs";
import { type FileHandle, open, unlink } from "node:fs/promises";
import { join } from "node:path";
import { log } from "../channels.js";
import type { Exchange, ResponseHead } from "../exchange.js";
import { type Deadlines, later, type Timed, ticks } from "../net/deadline.js";
import type { ResponseMemory } from "../net/response-memory.js";

/** Milliseconds after which is looked whether a client that has much to take is behind; a worker may be waiting meanwhile. */
const lookAfter = 20;
/** It is if it has taken less than this in that time, 6 MB/s, */
const behindMost = 128 * 1024;
/** and has more than this to take. */
const muchToTake = 32 * 1024;
/** How often is looked whether a response that waits in a file was cut. */
const lookTicks = ticks(1);
/** Octets read at once, and given to the client before the next are read; less where memory is scarce. */
const pieceMost = 256 * 1024;

/** What the responses of a front share. */
export class SpoolSpace {
  readonly directory: string;
  readonly deadlines: Deadlines;
  /** Calls an action after a moment. */
  readonly soon: (action: () => void) => void;
  readonly #memory: ResponseMemory;
  /** Octets on the disk, of all responses, that may not be exceeded. */
  readonly #most: number;
  #used = 0;
  /** Once is enough: a disk that is full stays so for a while. */
  complained = false;

  constructor(
    directory: string,
    most: number,
    memory: ResponseMemory,
    deadlines: Deadlines,
    soon: SpoolSpace["soon"] = inTime,
  ) {
    this.soon = soon;
    this.#memory = memory;
    this.directory = directory;
    this.#most = most;
    this.deadlines = deadlines;
  }

  get piece(): number {
    return Math.min(pieceMost, this.#memory.most);
  }

  /** Octets on the disk now. */
  get used(): number {
    return this.#used;
  }

  /** Whether there is room for so many octets, which are used from then on. */
  take(octets: number): boolean {
    if (this.#used + octets > this.#most) return false;
    this.#used += octets;
    return true;
  }

  give(octets: number): void {
    this.#used -= octets;
  }

  complain(error: unknown): void {
    if (this.complained) return;
    this.complained = true;
    const reason = error instanceof Error ? error.message : String(error);
    log(
      "warning",
      "pool",
      `Responses for slow clients cannot be kept in ${this.directory} (${reason}): their workers wait for the clients.`,
    );
  }
}

/** One response that comes in parts. */
export class ResponseSpool implements Timed {
  deadline = 0;
  readonly #exchange: Exchange;
  readonly #space: SpoolSpace;
  readonly #credit: ((octets: number) => void) | undefined;
  /** "direct": to the client; "file": behind what is in the file; "full": there is no room, the worker waits. */
  #mode: "direct" | "file" | "full" = "direct";
  /** Octets that the client's connection has and that have not left, and of them those the worker was told that they had. */
  #ahead = 0;
  #forgiven = 0;
  /** Octets that have left since the last look. */
  #taken = 0;
  #looksSoon = false;
  /** What waits for the disk, or in memory where there is no room on it. */
  #held: Buffer[] = [];
  #file: FileHandle | undefined;
  #written = 0;
  #read = 0;
  #busy = false;
  #last = false;
  #closed = false;

  /** To the exchange's handler, what is stored has left for the client. */
  constructor(exchange: Exchange, space: SpoolSpace) {
    this.#exchange = exchange;
    this.#space = space;
    const { onFlushed, onGone } = exchange;
    this.#credit = onFlushed;
    exchange.onFlushed = (octets) => this.#flushed(octets);
    exchange.onGone = () => {
      this.#close();
      onGone?.();
    };
  }

  respond(head: ResponseHead, body: Buffer | undefined): void {
    this.#ahead += body?.length ?? 0;
    this.#wait();
    this.#exchange.respond(head, body, false);
  }

  write(octets: Buffer, last: boolean): void {
    if (this.#closed || this.#exchange.ended) return;
    if (last) this.#last = true;
    if (this.#mode === "direct") {
      this.#give(octets);
      return;
    }
    if (octets.length > 0) this.#held.push(octets);
    this.#work();
  }

  /** Gives octets to the client, with the response's end where they are the last. */
  #give(octets: Buffer): void {
    const last = this.#last && this.#held.length === 0 && this.#read === this.#written;
    if (last) this.#close();
    else {
      this.#ahead += octets.length;
      this.#wait();
    }
    this.#exchange.write(octets, last);
  }

  #wait(): void {
    if (this.#looksSoon || this.#ahead < muchToTake) return;
    this.#looksSoon = true;
    this.#taken = 0;
    this.#space.soon(() => this.#look());
  }

  #flushed(octets: number): void {
    this.#ahead -= octets;
    this.#taken += octets;
    const known = Math.min(octets, this.#forgiven);
    this.#forgiven -= known;
    if (octets > known) this.#credit?.(octets - known);
    if (this.#mode !== "direct") this.#work();
  }

  #look(): void {
    this.#looksSoon = false;
    if (this.#closed || this.#exchange.ended || this.#mode !== "direct") return;
    if (this.#taken >= behindMost || this.#ahead < muchToTake) {
      this.#wait();
      return;
    }
    this.#mode = "file";
    this.deadline = this.#space.deadlines.tick + lookTicks;
    this.#space.deadlines.watch(this);
    // What the client has not taken stays in memory; the worker need not wait for that.
    const owed = this.#ahead - this.#forgiven;
    this.#forgiven += owed;
    this.#credit?.(owed);
  }

  expire(): void {
    if (this.#exchange.ended) this.#close();
    else this.deadline = this.#space.deadlines.tick + lookTicks;
  }

  /** Does what is to be done next, one operation on the file at a time. */
  #work(): void {
    if (this.#busy || this.#closed) return;
    this.#busy = true;
    this.#step()
      .catch((error: unknown) => {
        this.#space.complain(error);
        // What the file has cannot be had again.
        this.#close();
        this.#exchange.cut();
      })
      .finally(() => {
        this.#busy = false;
        if (this.#closed) this.#closeFile();
        // What came meanwhile found it busy.
        else if (this.#mode === "file" && this.#held.length > 0) this.#work();
        else if (this.#mode !== "direct" && this.#ahead < this.#space.piece) this.#work();
      });
  }

  async #step(): Promise<void> {
    while (!this.#closed) {
      if (this.#mode === "file" && this.#held.length > 0) await this.#store();
      else if (this.#ahead >= this.#space.piece) return;
      else if (this.#read < this.#written) await this.#load();
      else if (this.#held.length > 0) this.#give(this.#held.shift() ?? nothing);
      else {
        await this.#rest();
        return;
      }
    }
  }

  /** All that came is given: what comes next goes to the client again. */
  async #rest(): Promise<void> {
    if (this.#last) {
      this.#give(nothing);
      return;
    }
    this.#mode = "direct";
    this.deadline = 0;
    this.#space.deadlines.unwatch(this);
    this.#wait();
    this.#space.give(this.#written);
    this.#written = 0;
    this.#read = 0;
    await this.#file?.truncate();
  }

  #close(): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#held = [];
    this.#space.give(this.#written);
    this.#space.deadlines.unwatch(this);
    if (!this.#busy) this.#closeFile();
  }

  #closeFile(): void {
    this.#file?.close().catch((error: unknown) => this.#space.complain(error));
    this.#file = undefined;
  }

  async #store(): Promise<void> {
    const octets = Buffer.concat(this.#held);
    if (!this.#space.take(octets.length)) {
      this.#mode = "full";
      return;
    }
    const from = this.#written;
    this.#held = [];
    try {
      this.#file ??= await openUnnamed(this.#space.directory);
      for (let at = 0; at < octets.length; ) {
        at += (await this.#file.write(octets, at, octets.length - at, from + at)).bytesWritten;
      }
    } catch (error) {
      this.#space.give(octets.length);
      this.#space.complain(error);
      this.#held.unshift(octets);
      this.#mode = "full";
      return;
    }
    if (this.#closed) {
      this.#space.give(octets.length);
      return;
    }
    this.#space.complained = false;
    this.#written += octets.length;
    this.#credit?.(octets.length);
  }

  async #load(): Promise<void> {
    const octets = Buffer.allocUnsafeSlow(Math.min(this.#space.piece, this.#written - this.#read));
    const { bytesRead = 0 } = (await this.#file?.read(octets, 0, octets.length, this.#read)) ?? {};
    if (bytesRead === 0) throw new Error("the file is shorter than it was");
    if (this.#closed) return;
    this.#read += bytesRead;
    // Its octets were credited when they were stored.
    this.#forgiven += bytesRead;
    this.#give(octets.subarray(0, bytesRead));
  }
}

const nothing = Buffer.alloc(0);

function inTime(action: () => void): void {
  later(lookAfter, action);
}

async function openUnnamed(directory: string): Promise<FileHandle> {
  const path = join(directory, `vivarium-response-${randomBytes(12).toString("hex")}`);
  const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
  const file = await open(path, flags, 0o600);
  await unlink(path).catch(async (error: unknown) => {
    await file.close();
    throw error;
  });
  return file;
}

// Receives a request's body until it is whole, so that a slow client occupies no worker. Up to a bound it stays in memory;
// a larger one goes to a temporary file that has no name from the moment it is open, so that nothing is left behind
// whatever happens to this process. The disk may be slower than the client: `congested` says when to stop reading. Where all
// requests together have more memory than they may, small ones go to a file too, and reading waits for the disk each time.
import { randomBytes } from "node:crypto";
import { close, constants, open, unlink, writev } from "node:fs";
import { join } from "node:path";
import { log } from "../channels.js";
import { type VivariumError, vivariumError } from "../errors.js";
import type { Body, FileBody } from "../exchange.js";
import { lacksDescriptor } from "../net/descriptors.js";
import { littleMemory, type RequestMemory } from "./request-memory.js";
import type { Shortage } from "./shortage.js";

/** Who receives a body; told what could not be said at once. */
export interface BodyOwner {
  /** `congested` has become false. */
  bodyFlows(): void;
  /** The body is whole. Not called when `end` gave it. */
  bodyWhole(body: Body): void;
  /** The body cannot be kept (ERR_INGRESS_BODY_DISK, with a status); nothing of it is left. */
  bodyFailed(error: VivariumError): void;
}

/** Where bodies are kept. */
export interface BodyStore {
  /** Octets of a body that may be in memory. */
  readonly bodyMemory: number;
  /** The folder for temporary files. */
  readonly tempDir: string;
  readonly memory: RequestMemory;
  readonly shortage: Pick<Shortage, "descriptors" | "requestRefused">;
}

/** Octets waiting for the disk beyond which reading pauses, and below which it goes on. */
const waitingMost = 1024 * 1024;

/** This many pieces are put together to one, so that a client that sends single octets does not cost an object for each. */
const piecesMost = 64;

const emptyBody: Body = { kind: "empty" };

export class BodyReceiver {
  readonly #owner: BodyOwner;
  readonly #store: BodyStore;
  /** In memory: all of it. With a file: what waits for the disk. */
  #chunks: Uint8Array[] = [];
  /** Pieces at the end of `chunks` that were not put together yet. */
  #pieces = 0;
  #held = 0;
  #size = 0;
  #file: "none" | "opening" | "open" | "writing" | "closed" = "none";
  #fd = -1;
  #written = 0;
  #ended = false;
  /** Whether more is waiting for the disk than should. */
  congested = false;

  constructor(owner: BodyOwner, store: BodyStore) {
    this.#owner = owner;
    this.#store = store;
  }

  /** Octets received so far; once the body ended, its length. */
  get size(): number {
    return this.#size;
  }

  #isCongested(): boolean {
    return this.#file !== "none" && this.#held > (this.#store.memory.scarce ? 0 : waitingMost);
  }

  /** Takes octets, which must not change afterwards. */
  add(octets: Uint8Array): void {
    if (this.#file === "closed" || octets.length === 0) return;
    this.#chunks.push(octets);
    this.#held += octets.length;
    this.#store.memory.take(octets.length);
    this.#size += octets.length;
    this.#pieces += 1;
    if (this.#pieces === piecesMost) {
      this.#chunks.push(Buffer.concat(this.#chunks.splice(-piecesMost)));
      this.#pieces = 0;
    }
    if (this.#file === "none") {
      const { bodyMemory, memory } = this.#store;
      if (this.#held > bodyMemory || (memory.scarce && this.#held > littleMemory)) this.#open();
    } else {
      this.#write();
    }
    this.congested = this.#isCongested();
  }

  /** There is no more. The body, whose memory is its exchange's to release from now on, or undefined where the disk must catch up first (`bodyWhole` or `bodyFailed` follow). */
  end(): Body | undefined {
    this.#ended = true;
    if (this.#file !== "none") {
      if (this.#file !== "open" || this.#held > 0) return undefined;
      return this.#handOver();
    }
    const [first] = this.#chunks;
    if (first === undefined) return emptyBody;
    const bytes = this.#chunks.length === 1 ? first : Buffer.concat(this.#chunks, this.#size);
    this.#chunks = [];
    this.#held = 0;
    return { kind: "memory", bytes };
  }

  /** The body is not wanted any more. Frees all there is of it; nothing is told to the owner afterwards. */
  discard(): void {
    const file = this.#file;
    this.#file = "closed";
    this.#chunks = [];
    this.#store.memory.free(this.#held);
    this.#held = 0;
    // While an operation is under way its callback closes the file: a descriptor closed under it could be another's already.
    if (file === "open") closeFile(this.#fd);
  }

  #open(): void {
    this.#file = "opening";
    const path = join(this.#store.tempDir, `vivarium-body-${randomBytes(12).toString("hex")}`);
    const flags = constants.O_RDWR | constants.O_CREAT | constants.O_EXCL | constants.O_NOFOLLOW;
    open(path, flags, 0o600, (openError, fd) => {
      if (openError !== null) {
        this.#fail(openError);
        return;
      }
      this.#fd = fd;
      unlink(path, (unlinkError) => {
        const scarce = fd >= this.#store.shortage.descriptors.requestsEnd;
        if (this.#settled(unlinkError ?? (scarce ? noDescriptor : null))) this.#write();
      });
    });
  }

  /** After an operation on the file: whether to go on. */
  #settled(error: NodeJS.ErrnoException | null): boolean {
    if (this.#file === "closed") {
      closeFile(this.#fd);
      return false;
    }
    this.#file = "open";
    if (error === null) return true;
    this.#fail(error);
    return false;
  }

  /** Writes what waits, one operation at a time, in order. */
  #write(): void {
    if (this.#file !== "open" || this.#held === 0) return;
    this.#file = "writing";
    const chunks = this.#chunks;
    this.#chunks = [];
    this.#pieces = 0;
    writev(this.#fd, chunks, this.#written, (error, octets) => {
      if (!this.#settled(error)) return;
      const wasCongested = this.congested;
      this.#written += octets;
      this.#held -= octets;
      this.#store.memory.free(octets);
      this.congested = this.#isCongested();
      // A file system may take less than it was given, as when it is nearly full.
      this.#chunks = [...remainder(chunks, octets), ...this.#chunks];
      this.#write();
      if (this.#ended && this.#held === 0) this.#owner.bodyWhole(this.#handOver());
      else if (wasCongested && !this.congested) this.#owner.bodyFlows();
    });
  }

  #handOver(): FileBody {
    this.#file = "closed";
    return new HeldFile(this.#fd, this.#size);
  }

  #fail(cause: NodeJS.ErrnoException): void {
    const wanted = this.#file !== "closed";
    this.discard();
    if (!wanted) return;
    const directory = this.#store.tempDir;
    if (lacksDescriptor(cause)) {
      this.#store.shortage.requestRefused();
      const sentence = `A request body cannot be kept in ${directory}: ${cause.message}.`;
      this.#owner.bodyFailed(vivariumError("ERR_INGRESS_DESCRIPTORS", sentence, { cause, status: 503 }));
      return;
    }
    const full = cause.code === "ENOSPC" || cause.code === "EDQUOT";
    const sentence = full
      ? `A request body does not fit into ${directory}: the disk is full (${cause.code}).`
      : `A request body cannot be kept in ${directory}: ${cause.message}.`;
    log("error", "ingress", sentence);
    // RFC 4918 §11.5: 507 says that the server lacks room, for now.
    this.#owner.bodyFailed(vivariumError("ERR_INGRESS_BODY_DISK", sentence, { cause, status: full ? 507 : 500 }));
  }
}

/** There are descriptors, but the last ones are kept. */
const noDescriptor: NodeJS.ErrnoException = Object.assign(new Error("too many open files"), { code: "EMFILE" });

/** What is left of `chunks` behind the first `octets` octets. */
function remainder(chunks: readonly Uint8Array[], octets: number): Uint8Array[] {
  let skip = octets;
  const left: Uint8Array[] = [];
  for (const chunk of chunks) {
    if (skip >= chunk.length) {
      skip -= chunk.length;
    } else {
      left.push(skip === 0 ? chunk : chunk.subarray(skip));
      skip = 0;
    }
  }
  return left;
}

/** A file that is closed when the last of its holders released it. Whoever it is handed to holds it. */
class HeldFile implements FileBody {
  readonly kind = "file";
  readonly fd: number;
  readonly size: number;
  #holders = 1;

  constructor(fd: number, size: number) {
    this.fd = fd;
    this.size = size;
  }

  hold(): void {
    this.#holders += 1;
  }

  release(): void {
    this.#holders -= 1;
    if (this.#holders === 0) closeFile(this.fd);
  }
}

function closeFile(fd: number): void {
  close(fd, (error) => {
    if (error !== null) log("error", "ingress", `A temporary file could not be closed: ${error.message}.`);
  });
}

// Memory that another process can have, too: a file that has no name (memfd_create(2)), mapped into both.
import { closeSync, ftruncateSync } from "node:fs";
import koffi from "koffi";

export interface SharedMemory {
  readonly octets: Uint8Array;
  /** Where another process of this user finds it, until `found`. */
  readonly path: string;
  /** The other has it: no descriptor is needed any more. */
  found(): void;
  /** Of this process only. Whoever uses `octets` after that ends it. */
  release(): void;
}

const MFD_CLOEXEC = 1;
const MFD_ALLOW_SEALING = 2;
const F_ADD_SEALS = 1033;
/** It can be made no smaller, by which who uses it would be ended, no larger, and these stay (fcntl(2)). */
const seals = 0x1 | 0x2 | 0x4;
const PROT_READ_WRITE = 3;
const MAP_SHARED = 1;
/** What mmap(2) gives where it fails. */
const MAP_FAILED = 0xffff_ffff_ffff_ffffn;

interface Calls {
  memfdCreate(name: string, flags: number): number;
  fcntl(fd: number, command: number, value: number): number;
  mmap(at: null, size: number, protection: number, flags: number, fd: number, offset: number): unknown;
  munmap(memory: unknown, size: number): number;
}

let calls: Calls | undefined;

/**
 * Throws where the C library has no such call. Not before the first use, and nothing of socket-calls.ts, which loads the library as it is imported:
 * a front with an interpreter inside has to configure FFI before that.
 */
function load(): Calls {
  const library = koffi.load(null);
  return {
    memfdCreate: library.func("int memfd_create(const char *, uint)"),
    fcntl: library.func("int fcntl(int, int, long)"),
    mmap: library.func("void *mmap(void *, ulong, int, int, int, long)"),
    munmap: library.func("int munmap(void *, ulong)"),
  };
}

/** `size` octets of zero; they take memory as they are written. Undefined where the system has none to give, or cannot. */
export function sharedMemory(size: number): SharedMemory | undefined {
  try {
    calls ??= load();
  } catch {
    return undefined;
  }
  const { memfdCreate, fcntl, mmap, munmap } = calls;
  let fd = memfdCreate("vivarium", MFD_CLOEXEC | MFD_ALLOW_SEALING);
  if (fd < 0) return undefined;
  const found = (): void => {
    if (fd >= 0) closeSync(fd);
    fd = -1;
  };
  try {
    ftruncateSync(fd, size);
  } catch {
    found();
    return undefined;
  }
  const memory = fcntl(fd, F_ADD_SEALS, seals) < 0 ? null : mmap(null, size, PROT_READ_WRITE, MAP_SHARED, fd, 0);
  if (memory === null || koffi.address(memory) === MAP_FAILED) {
    found();
    return undefined;
  }
  return {
    octets: new Uint8Array(koffi.view(memory, size)),
    path: `/proc/${process.pid}/fd/${fd}`,
    found,
    release: () => {
      found();
      munmap(memory, size);
    },
  };
}

// How the kernel gives this thread a processor (sched(7)).
import koffi from "koffi";

const SCHED_OTHER = 0;
const SCHED_BATCH = 3;
const self = 0;

/**
 * Woken, this thread does not interrupt who runs, while all share the processors as before. Whoever started the server under another
 * policy keeps that. Any user may ask for it; where it cannot be had, all stays as it was.
 */
export function interruptNobody(): void {
  const library = koffi.load(null);
  const policy: (thread: number) => number = library.func("int sched_getscheduler(int)");
  // struct sched_param has one member, the priority, which is 0 here.
  const setPolicy: (thread: number, policy: number, parameter: Uint8Array) => number = library.func(
    "int sched_setscheduler(int, int, const void *)",
  );
  if (policy(self) === SCHED_OTHER) setPolicy(self, SCHED_BATCH, new Uint8Array(4));
}

// Files that are touched to have the server reload, as uWSGI has it. Their times are looked at rather than events awaited: a
// deploy may replace the file, or the folder it is in, and file systems over a network tell no events.
import { type StatsListener, unwatchFile, watchFile } from "node:fs";

/** Milliseconds between two looks. */
const interval = 500;

/** Calls `touched` when the time of modification of one of `files` changes, or one appears. Returns what ends that. */
export function watchTouched(files: readonly string[], touched: (file: string) => void): () => void {
  const listeners = files.map((file): readonly [string, StatsListener] => {
    const listener: StatsListener = (now, before) => {
      if (now.mtimeMs !== before.mtimeMs && now.mtimeMs !== 0) touched(file);
    };
    watchFile(file, { interval, persistent: false }, listener);
    return [file, listener];
  });
  return () => {
    for (const [file, listener] of listeners) unwatchFile(file, listener);
  };
}

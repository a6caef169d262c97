// Connections that were made at once, as those to unix sockets are. The server learns of one before anything is written on it: a worker
// that is idle wakes up, accepts it, finds nothing to read and goes back to sleep. So what is to be written waits until the turn of the event
// loop is over, and then the connection made last comes first: on those made first a worker waits by now, who finds, when it has answered,
// that the next ones have all they need. uWSGI on two cores goes to sleep once in five requests so, and did three times in five.

export interface JustConnected {
  /** Octets may be written from now on. */
  tellConnected(): void;
}

/** So many wait at most: on a machine with more cores there may be a worker for each. */
const most = 16;

const waiting: JustConnected[] = [];

/** Tells it soon, and not at once. */
export function tellLastFirst(connected: JustConnected): void {
  if (waiting.length === most) tellAll();
  if (waiting.push(connected) === 1) queueMicrotask(tellAll);
}

function tellAll(): void {
  for (let last = waiting.pop(); last !== undefined; last = waiting.pop()) last.tellConnected();
}

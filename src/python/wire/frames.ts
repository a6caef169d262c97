// The wire's numbers; README.md beside this file says what they mean, python/vivarium_host/wire.py has the same.

export const toWorkerHeader = 16;
export const toFrontHeader = 24;

/** Of a type, in either direction: the body is in memory that both have (shared-bodies.ts), and these octets, the payload's last, say where. */
export const placed = 64;
export const placeSize = 8;

export const toWorker = {
  request: 1,
  cancel: 2,
  credit: 3,
  limit: 4,
  end: 5,
  inputEnded: 6,
  shared: 7,
  body: 8,
  message: 9,
  close: 10,
} as const;
export const requestFlag = {
  handOver: 1,
  bodyInFile: 2,
  bodyFollows: 4,
  webSocket: 8,
  takesHints: 16,
  takesTrailers: 32,
  littleMemory: 64,
  numbered: 128,
} as const;

export const bodyFlag = { last: 1 } as const;

/** Octets that a message of a WebSocket counts in either direction beyond its own: empty ones are bounded, too. */
export const messageCost = 64;
/** In either direction. */
export const messageFlag = { text: 8 } as const;

export const toFront = {
  hello: 1,
  response: 2,
  data: 3,
  fail: 4,
  returned: 5,
  dropped: 6,
  late: 7,
  retire: 8,
  bodyCredit: 9,
  inform: 10,
  trailers: 11,
  path: 12,
  message: 13,
  close: 14,
  shared: 15,
} as const;
export const responseFlag = { last: 1, hasLength: 2, hasDate: 4, closes: 8 } as const;
export const sharedFlag = { has: 1 } as const;
export const lateFlag = { slow: 1, replaced: 2, over: 4 } as const;

import assert from "node:assert/strict";
import { test } from "node:test";
import { scaleSections } from "../../bench/scale/scale.js";

test("the memory of a connection is told from 1,000 on, and a server without reload has a dash", () => {
  const figures = { perConnection: 2048, memory: 50, requestsPerSecond: 1000, p50: 1, p99: 2, lost: 0 };
  const [connections, webSockets, workers, memory, starts] = scaleSections({
    connections: [100, 1000].map((idle) => ({ server: "vivarium", idle, ...figures })),
    webSockets: [
      { server: "vivarium-asgi", idle: 10_000, front: 8192, worker: 5632, messagesPerSecond: 9000, p99: 9, lost: 0 },
    ],
    workers: [],
    memory: [{ server: "vivarium", atStart: 250.4, afterLoad: 262 }],
    starts: [
      { server: "vivarium", start: 150, reload: undefined },
      { server: "uvicorn", start: 400, reload: { firstNew: 38, lastOld: 778, failed: 1 } },
    ],
  });
  assert.deepEqual(connections?.rows, [
    ["vivarium", "100", "", "50.0", "1,000", "1.00", "2.00", "0"],
    ["vivarium", "1,000", "2.0", "50.0", "1,000", "1.00", "2.00", "0"],
  ]);
  assert.deepEqual(webSockets?.rows, [["vivarium-asgi", "10,000", "8.0", "5.5", "9,000", "9.00", "0"]]);
  assert.deepEqual(workers?.rows, []);
  assert.deepEqual(memory?.rows, [["vivarium", "250", "262"]]);
  assert.deepEqual(starts?.rows, [
    ["vivarium", "150", "–", "–", "–"],
    ["uvicorn", "400", "38", "778", "1"],
  ]);
});

// What takes more than one request, or a look at a response while it is being made.
import assert from "node:assert/strict";
import { chmodSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { removeFolder, temporaryFolder } from "../../support/tools.js";
import { type TalkCase, textOf } from "./cases.js";
import { type Client, onOneConnection } from "./client.js";
import { patternDigest } from "./pattern.js";

interface Mark {
  /** The path of the file where the application and the test leave each other signs. */
  readonly path: string;
  /** Makes the file in the test's place after so many milliseconds: else the application would wait for ever. */
  makeLate(patience: number): void;
}

/** The application may run as another user, so the file is in a folder where everybody may write. */
async function withMark(use: (mark: Mark) => Promise<void>): Promise<void> {
  const folder = temporaryFolder("suite");
  chmodSync(folder, 0o777);
  const path = join(folder, "mark");
  const over = new AbortController();
  const makeLate = (patience: number): void => {
    void delay(patience, undefined, { signal: over.signal }).then(
      () => writeFileSync(path, ""),
      () => undefined,
    );
  };
  try {
    await use({ path, makeLate });
  } finally {
    over.abort();
    removeFolder(folder);
  }
}

/** Waits for the application's sign; undefined where none came. */
async function signAt(path: string, patience: number): Promise<string | undefined> {
  for (let waited = 0; waited < patience; waited += 10) {
    if (existsSync(path)) return readFileSync(path, "utf8");
    await delay(10);
  }
  return undefined;
}

const markQuery = (mark: Mark): string => `mark=${encodeURIComponent(mark.path)}`;

async function firstPieceBeforeTheLast(client: Client, patience: number): Promise<void> {
  await withMark(async (mark) => {
    mark.makeLate(patience);
    const incoming = await client.begin({ target: `/stream?${markQuery(mark)}` });
    let seen = "";
    let inTime = false;
    for await (const piece of incoming.pieces()) {
      seen += piece.toString();
      // Only now may the application make the rest. Of a server that held the first piece back, patience made it.
      if (seen !== "first" || existsSync(mark.path)) continue;
      inTime = true;
      writeFileSync(mark.path, "");
    }
    assert.equal(seen, "first last");
    assert.equal(incoming.whole, true);
    assert.ok(inTime, "the first piece arrives before the last is made");
  });
}

/** A server may answer with an error as long as it has sent nothing; after that, only a cut connection tells. */
function cutIsSeen(query: string): TalkCase["run"] {
  return async (client, patience) => {
    await withMark(async (mark) => {
      mark.makeLate(patience);
      const incoming = await client.begin({ target: `/cut?${query}${markQuery(mark)}` });
      for await (const piece of incoming.pieces()) if (piece.length > 0) writeFileSync(mark.path, "");
      assert.ok(!incoming.whole || incoming.status >= 500, "the response does not look like a whole one");
    });
  };
}

async function clientThatLeaves(client: Client, patience: number): Promise<void> {
  await withMark(async (mark) => {
    const incoming = await client.begin({ target: `/endless?${markQuery(mark)}` });
    for await (const piece of incoming.pieces()) {
      assert.ok(piece.length > 0);
      break;
    }
    incoming.leave();
    const sign = await signAt(mark.path, patience);
    assert.equal(sign, "closed", "close() of the iterable is called when the client has left");
  });
}

async function hundredAtOnce(client: Client): Promise<void> {
  const bodies = Array.from({ length: 100 }, (_, at) => `request ${at} `.repeat(1 + at * 7));
  const answers = await Promise.all(bodies.map((body) => client.ask({ method: "POST", target: "/echo", body })));
  assert.deepEqual(answers.map(textOf), bodies);
}

async function severalOnOneConnection(client: Client): Promise<void> {
  await onOneConnection(async (agent) => {
    const first = await client.begin({ target: "/environ" }, agent);
    const { socket } = first.message;
    textOf(await first.answer());
    for (let at = 0; at < 20; at += 1) {
      const body = `body ${at}`.repeat(at * 100);
      const incoming = await client.begin({ method: "POST", target: "/echo", body }, agent);
      assert.equal(incoming.message.socket, socket, "the connection is the same");
      assert.equal(textOf(await incoming.answer()), body);
    }
  });
}

/** What is behind a response that promised less than it sent must not be taken for the next one. */
async function surplusOnOneConnection(client: Client): Promise<void> {
  await onOneConnection(async (agent) => {
    const lie = await client.ask({ target: "/lie?said=50&sent=100" }, agent);
    assert.ok(lie.status === 200 || lie.status >= 500);
    for (let at = 0; at < 3; at += 1) {
      assert.equal(
        textOf(await client.ask({ method: "POST", target: "/echo", body: `next ${at}` }, agent)),
        `next ${at}`,
      );
    }
  });
}

/** A connection that is kept towards the application must not be upset by what went wrong on it. */
async function failuresThenSuccess(client: Client): Promise<void> {
  for (const target of ["/fail?when=called", "/lie?said=100&sent=50", "/fail?when=started", "/lie?said=50&sent=100"]) {
    await client.ask({ target }).catch(() => undefined);
    assert.equal(textOf(await client.ask({ method: "POST", target: "/echo", body: "still here" })), "still here");
  }
}

/** An application that does not read the body leaves it on the connection, where the next request must not meet it. */
async function unreadBody(client: Client): Promise<void> {
  await onOneConnection(async (agent) => {
    for (let at = 0; at < 3; at += 1) {
      const answer = await client.ask({ method: "POST", target: "/fields?count=1&size=1", body: 200_000 }, agent);
      assert.equal(textOf(answer), "fields");
    }
  });
}

async function continueIsSaid(client: Client): Promise<void> {
  const ask = { method: "POST", target: "/echo", body: "after the word", fields: ["Expect", "100-continue"] };
  const incoming = await client.begin(ask);
  assert.equal(textOf(await incoming.answer()), "after the word");
}

async function hundredMegabytes(client: Client): Promise<void> {
  const incoming = await client.begin({ target: "/make?size=100000000&length=1" });
  assert.equal(incoming.status, 200);
  assert.deepEqual(await incoming.digest(), { length: 100_000_000, sha256: patternDigest(100_000_000) });
  assert.equal(incoming.whole, true);
}

export const talkCases: readonly TalkCase[] = [
  { name: "a streamed response arrives piece by piece", run: firstPieceBeforeTheLast },
  { name: "a response cut before its length is seen to be cut", run: cutIsSeen("raise=1&length=1&") },
  { name: "a response cut, its length unsaid, is seen to be cut", run: cutIsSeen("raise=1&") },
  { name: "a body shorter than its Content-Length is seen to be cut", run: cutIsSeen("length=1&") },
  { name: "a client that leaves ends the response", run: clientThatLeaves },
  { name: "100 requests at once get their own answers", run: hundredAtOnce },
  { name: "21 requests on one connection", run: severalOnOneConnection },
  { name: "a body longer than its Content-Length does not disturb the next request", run: surplusOnOneConnection },
  { name: "a failure does not disturb the next request", run: failuresThenSuccess },
  { name: "a body the application does not read does not disturb the next request", run: unreadBody },
  { name: "a client that waits for 100 Continue gets it", run: continueIsSaid },
  { name: "response of 100 MB", run: hundredMegabytes },
];

import assert from "node:assert/strict";
import { test } from "node:test";
import { VivariumError, vivariumError } from "../../../src/errors.js";
import { decodePairs, encodePairs, RecurringParams } from "../../../src/protocol/fastcgi/params.js";
import { Random } from "../../fuzz/random.js";

const malformed = (sentence: string) => vivariumError("ERR_FASTCGI_BAD_REQUEST", sentence);

test("parameters that come a third time are not read again", () => {
  const params = new RecurringParams<readonly string[]>();
  let reads = 0;
  const meaning = (variables: string) =>
    params.meaning(encodePairs(variables), malformed, (pairs) => {
      reads += 1;
      return pairs;
    });
  const first = meaning("A\0b\0C\0d");
  assert.deepEqual(first, ["A", "b", "C", "d"]);
  const second = meaning("A\0b\0C\0d");
  const third = meaning("A\0b\0C\0d");
  assert.equal(reads, 2);
  assert.deepEqual(second, first);
  assert.equal(third, second);
});

test("as many clients as a web server has at once do not make each other forgotten", () => {
  const params = new RecurringParams<readonly string[]>();
  let reads = 0;
  const clients = Array.from({ length: 64 }, (_, index) => encodePairs(`REMOTE_PORT\0${40_000 + 7 * index}`));
  for (let round = 0; round < 50; round += 1) {
    for (const octets of clients) {
      params.meaning(octets, malformed, (pairs) => {
        reads += 1;
        return pairs;
      });
    }
  }
  assert.equal(reads, 2 * clients.length);
});

test("parameters that differ in one octet are told apart, whatever came before", () => {
  const random = new Random(7);
  const params = new RecurringParams<readonly string[]>();
  for (let round = 0; round < 20_000; round += 1) {
    const variables = `REQUEST_URI\0/${random.below(50)}\0REMOTE_PORT\0${40_000 + random.below(60)}${"x".repeat(random.below(5))}`;
    assert.deepEqual(
      params.meaning(encodePairs(variables), malformed, (pairs) => pairs),
      variables.split("\0"),
    );
  }
});

test("parameters that are malformed are so each time", () => {
  const params = new RecurringParams<readonly string[]>();
  for (let time = 0; time < 4; time += 1) {
    assert.throws(() => params.meaning(Buffer.from([5, 1, 65]), malformed, (pairs) => pairs), VivariumError);
  }
});

test("parameters of any length are read", () => {
  const params = new RecurringParams<readonly string[]>();
  for (const length of [0, 1, 2040, 2050, 100_000, 2040, 2040, 100_000]) {
    const variables = `A\0${"b".repeat(length)}`;
    assert.deepEqual(
      params.meaning(encodePairs(variables), malformed, (pairs) => pairs),
      decodePairs(encodePairs(variables), malformed),
    );
  }
});

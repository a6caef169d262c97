// The conformance suite of servers that bring requests to a WSGI application and its responses back: one list of cases
// for every pair of a door in and a door out, with Vivarium on either side or both. The application is ../app.py.
import assert from "node:assert/strict";
import { test } from "node:test";
import type { AskCase, Facts, TalkCase } from "./cases.js";
import { type Answer, type Ask, Client, clientAddress } from "./client.js";
import { bodyCases, environCases, fieldCases, methodCases, pathCases } from "./requests.js";
import { failureCases, responseCases, statusCases } from "./responses.js";
import { talkCases } from "./talks.js";

export const askCases: readonly AskCase[] = [
  ...methodCases,
  ...pathCases,
  ...fieldCases,
  ...environCases,
  ...bodyCases,
  ...statusCases,
  ...responseCases,
  ...failureCases,
];

/** Case → the reason why it cannot hold for a pair. Where such a case holds all the same, its test fails. */
export type Exceptions = Readonly<Record<string, string>>;

export interface SuiteOptions {
  readonly except?: Exceptions;
}

/** Milliseconds. Generous, as machines of CI are slow; where a case is declared not to hold, nothing is waited for long. */
const patienceOf = (reason: string | undefined): number => (reason === undefined ? 15_000 : 1000);

/** Registers the test of a case: that it holds, or, where it is an exception, that it does not. */
function register(name: string, reason: string | undefined, run: () => Promise<void>): void {
  if (reason === undefined) return void test(name, run);
  test(`${name}: not here, because ${reason}`, async () => {
    const failure = await run().then(
      () => undefined,
      (error: unknown) => error,
    );
    assert.ok(failure !== undefined, "the exception is declared, yet the case holds: take the declaration away");
  });
}

function checkNames(except: Exceptions, cases: readonly { readonly name: string }[]): void {
  const names = new Set(cases.map(({ name }) => name));
  assert.equal(names.size, cases.length, "names of cases are unique");
  for (const name of Object.keys(except)) assert.ok(names.has(name), `an exception names no case: ${name}`);
}

/**
 * Registers one test per case against an HTTP server on `port()` of 127.0.0.1, which is asked when the tests run: call
 * this inside a `describe` whose `before` starts the server.
 */
export function runSuite(port: () => number, { except = {} }: SuiteOptions = {}): void {
  const cases: readonly (AskCase | TalkCase)[] = [...askCases, ...talkCases];
  checkNames(except, cases);
  for (const each of cases) {
    register(each.name, except[each.name], async () => {
      const client = new Client(port());
      if ("run" in each) await each.run(client, patienceOf(except[each.name]));
      else each.check(await client.ask(each.ask), { port: client.port, client: clientAddress });
    });
  }
}

/**
 * The same for a client that is not HTTP and can do no more than ask: the cases of one request and one response that
 * `applies` chooses.
 */
export function runAskCases(
  ask: (ask: Ask) => Promise<Answer>,
  facts: () => Facts,
  { except = {}, applies = () => true }: SuiteOptions & { readonly applies?: (name: string) => boolean } = {},
): void {
  const cases = askCases.filter(({ name }) => applies(name));
  checkNames(except, cases);
  for (const each of cases) {
    register(each.name, except[each.name], async () => each.check(await ask(each.ask), facts()));
  }
}

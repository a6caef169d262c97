// What a case of the suite is, and what cases ask of an answer.
import assert from "node:assert/strict";
import { type Answer, type Ask, type Client, valuesOf } from "./client.js";

/** What the application must be told about the connection. */
export interface Facts {
  /** The port clients connect to. */
  readonly port: number;
  /** The address they connect from. */
  readonly client: string;
}

/** One request, one response: what any client can do. */
export interface AskCase {
  readonly name: string;
  readonly ask: Ask;
  readonly check: (answer: Answer, facts: Facts) => void;
}

/** More than that: several requests, pieces of a response, a client that leaves. */
export interface TalkCase {
  readonly name: string;
  /** `patience`: milliseconds to wait for what a server must do by itself before it counts as not done. */
  readonly run: (client: Client, patience: number) => Promise<void>;
}

/** What /environ shows. */
export interface ShownEnviron {
  readonly strings: Readonly<Record<string, string | undefined>>;
  readonly version: readonly number[];
  readonly flags: readonly unknown[];
  /** Whether wsgi.input and wsgi.errors have their methods. */
  readonly methods: readonly boolean[];
  readonly dict: boolean;
  readonly names: boolean;
}

/** What /digest says of a request. */
export interface ShownDigest {
  readonly method: string;
  readonly query: string;
  readonly length: number;
  readonly sha256: string;
}

/** The answer as text, after a look at its status and whether it is whole. */
export function textOf(answer: Answer): string {
  const text = answer.body.toString("latin1");
  assert.equal(answer.status, 200, text);
  assert.equal(answer.whole, true, "the response is whole");
  return text;
}

export function digestOf(answer: Answer): ShownDigest {
  return JSON.parse(textOf(answer));
}

export function shownEnvironOf(answer: Answer): ShownEnviron {
  return JSON.parse(textOf(answer));
}

/** The strings among the environ that /environ shows. */
export function environOf(answer: Answer): ShownEnviron["strings"] {
  return shownEnvironOf(answer).strings;
}

/** A field that is there once. */
export function fieldOf(answer: { readonly fields: readonly string[] }, name: string): string {
  const values = valuesOf(answer, name);
  assert.equal(values.length, 1, `${name} is there once`);
  return values[0] ?? "";
}

/** A case that looks at some variables of the environ: undefined says that the variable must not be there. */
export function environCase(name: string, ask: Ask, wanted: Readonly<Record<string, string | undefined>>): AskCase {
  return {
    name,
    ask,
    check(answer) {
      const environ = environOf(answer);
      const found = Object.fromEntries(Object.keys(wanted).map((key) => [key, environ[key]]));
      assert.deepEqual(found, { ...wanted });
    },
  };
}

// Reads the vectors of the wire; test/vectors/wire/README.md says how they are written.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { lateFlag, requestFlag } from "../../../src/python/wire/frames.js";
import { sharedSize } from "../../../src/python/wire/shared-bodies.js";
import { root } from "../../support/tools.js";

export type Text = string | { readonly times: number; readonly of: string };

export type Frame =
  | {
      readonly frame: "REQUEST";
      readonly id: number;
      readonly handOver: boolean;
      readonly inFile: boolean;
      readonly follows?: boolean;
      readonly webSocket?: boolean;
      readonly takes?: readonly (keyof typeof requestFlag)[];
      /** By which the variables are to be kept; with `kept` they are, and are not in the frame. */
      readonly number?: number;
      readonly kept?: boolean;
      readonly shared?: Readonly<Record<string, Text>>;
      readonly variables: Readonly<Record<string, Text>>;
      readonly body: Text;
      readonly at?: number;
    }
  | {
      readonly frame: "BODY";
      readonly id: number;
      readonly body: Text;
      readonly last: boolean;
      readonly at?: number;
    }
  /** From a front it says where the memory is, from a worker whether it has it. */
  | { readonly frame: "SHARED"; readonly path?: string; readonly has?: boolean }
  | { readonly frame: "MESSAGE"; readonly id: number; readonly text: boolean; readonly body: Text }
  /** From a worker it says whether it is the last; from a front it does not. */
  | { readonly frame: "CLOSE"; readonly id: number; readonly code: number; readonly because: string }
  | {
      readonly frame: "CLOSE";
      readonly id: number;
      readonly code: number;
      readonly because: string;
      readonly last: boolean;
      readonly wall: number;
      readonly cpu: number;
    }
  | { readonly frame: "CANCEL" | "INPUT-ENDED"; readonly id: number }
  | { readonly frame: "END" }
  | { readonly frame: "CREDIT"; readonly id: number; readonly octets: number }
  | { readonly frame: "LIMIT"; readonly id: number; readonly milliseconds: number }
  | { readonly frame: "HELLO"; readonly worker: number; readonly pid: number; readonly threads: number }
  | {
      readonly frame: "RESPONSE";
      readonly id: number;
      readonly status: number;
      readonly reason: string;
      readonly fields: string;
      readonly hasLength: boolean;
      readonly hasDate: boolean;
      /** Where it is so. */
      readonly closes?: boolean;
      readonly body: Text;
      readonly at?: number;
      readonly last: boolean;
      readonly wall: number;
      readonly cpu: number;
    }
  | {
      readonly frame: "DATA";
      readonly id: number;
      readonly body: Text;
      readonly at?: number;
      readonly last: boolean;
      readonly wall: number;
      readonly cpu: number;
    }
  | { readonly frame: "FAIL"; readonly id: number; readonly wall: number; readonly cpu: number }
  | { readonly frame: "RETURNED" | "DROPPED"; readonly id: number }
  | { readonly frame: "RETIRE"; readonly kib: number }
  | { readonly frame: "BODY_CREDIT"; readonly id: number; readonly octets: number }
  | { readonly frame: "INFORM"; readonly id: number; readonly status: number; readonly fields: string }
  | {
      readonly frame: "TRAILERS";
      readonly id: number;
      readonly fields: string;
      readonly wall: number;
      readonly cpu: number;
    }
  | {
      readonly frame: "PATH";
      readonly id: number;
      readonly status: number;
      readonly reason: string;
      readonly fields: string;
      readonly hasLength: boolean;
      readonly hasDate: boolean;
      /** Where it is so. */
      readonly closes?: boolean;
      readonly path: string;
      readonly wall: number;
      readonly cpu: number;
    }
  | {
      readonly frame: "LATE";
      readonly id: number;
      readonly flags: readonly (keyof typeof lateFlag)[];
      readonly stack: string;
    };

export interface Vector {
  readonly name: string;
  readonly octets: Buffer;
  readonly frames: readonly Frame[];
}

export function text(value: Text): string {
  return typeof value === "string" ? value : value.of.repeat(value.times);
}

/** As in `Request.variables`. */
export function joined(variables: Readonly<Record<string, Text>>): string {
  return Object.entries(variables)
    .flatMap(([name, value]) => [name, text(value)])
    .join("\0");
}

/** Memory that both sides have, with the bodies in it that frames say are there (`at`). */
export function memoryOf(frames: readonly Frame[]): Buffer {
  const memory = Buffer.alloc(sharedSize);
  for (const frame of frames) {
    if ("at" in frame && frame.at !== undefined) memory.write(text(frame.body), frame.at, "latin1");
  }
  return memory;
}

function parseOctets(block: string): Buffer {
  const parts: Buffer[] = [];
  const token = /\s*(?:([0-9a-f]{2})(?![0-9a-f])|("(?:[^"\\]|\\.)*")(?: x (\d+))?|;.*)\s*/gy;
  for (let at = 0; at < block.length; at = token.lastIndex) {
    token.lastIndex = at;
    const match = token.exec(block);
    if (match === null) throw new Error(`not octets: ${block.slice(at)}`);
    const [, octet, quoted, times = "1"] = match;
    if (octet !== undefined) parts.push(Buffer.from(octet, "hex"));
    if (quoted === undefined) continue;
    const string: string = JSON.parse(quoted);
    parts.push(Buffer.from(string.repeat(Number(times)), "latin1"));
  }
  return Buffer.concat(parts);
}

function block(section: string, kind: string): string {
  const found = new RegExp(`^\`\`\`${kind}\n(.*?)^\`\`\`$`, "ms").exec(section)?.[1];
  if (found === undefined) throw new Error(`no ${kind} block in: ${section}`);
  return found;
}

/** The cases of `requests.md` or `responses.md`. */
export function vectors(file: "requests" | "responses"): Vector[] {
  const [, ...sections] = readFileSync(join(root, "test/vectors/wire", `${file}.md`), "utf8").split(/^## /m);
  return sections.map((section) => ({
    name: section.slice(0, section.indexOf("\n")),
    octets: parseOctets(block(section, "octets")),
    frames: block(section, "frames")
      .trim()
      .split("\n")
      .map((line): Frame => JSON.parse(line)),
  }));
}

/** Where to cut octets in two: everywhere, or where they are long around their ends and every now and then between. */
export function cuts(length: number): number[] {
  return Array.from({ length: length + 1 }, (_, at) => at).filter(
    (at) => length < 2000 || at < 100 || at > length - 100 || at % 4099 === 0,
  );
}

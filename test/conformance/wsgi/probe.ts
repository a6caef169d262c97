// The probe application, served by Vivarium, as the cases ask it.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { temporaryFolder } from "../../support/tools.js";
import type { Vivarium } from "../../support/vivarium.js";
import { Connection, type Response } from "./connection.js";

let keys = 0;

/** A key no other request has; what the probe remembers is remembered under one. */
export function freshKey(): string {
  keys += 1;
  return `key-${keys}`;
}

export interface Ask {
  readonly method?: string;
  /** Further field lines, each ending in CR LF. */
  readonly fields?: string;
  readonly body?: string | Uint8Array;
}

/** A request as octets. A body goes with its Content-Length, unless `fields` say how it is framed. */
export function request(path: string, { method = "GET", fields = "", body }: Ask = {}): Buffer {
  const octets = typeof body === "string" ? Buffer.from(body, "latin1") : Buffer.from(body ?? []);
  const framed = body === undefined || /^(content-length|transfer-encoding):/im.test(fields);
  const length = framed ? "" : `Content-Length: ${octets.length}\r\n`;
  return Buffer.concat([
    Buffer.from(`${method} ${path} HTTP/1.1\r\nHost: probe\r\n${fields}${length}\r\n`, "latin1"),
    octets,
  ]);
}

export class Probe {
  /** The folder of the gates that are open. */
  readonly gates: string = temporaryFolder("gates");
  #server: Vivarium | undefined;
  get server(): Vivarium {
    assert.ok(this.#server !== undefined, "the server has not started");
    return this.#server;
  }
  set server(server: Vivarium) {
    this.#server = server;
  }

  /** Lets the request with this key pass its gate. */
  openGate(key: string): void {
    writeFileSync(join(this.gates, key), "");
  }

  connection(): Connection {
    return new Connection(this.server.port);
  }

  /** One request on a connection of its own. */
  async ask(path: string, options: Ask = {}): Promise<Response> {
    const connection = this.connection();
    try {
      connection.send(request(path, options));
      return await connection.response(options.method);
    } finally {
      connection.close();
    }
  }

  /** The request to the probe as it is, and to the probe wrapped in wsgiref.validate. */
  async both(path: string, options: Ask = {}): Promise<readonly Response[]> {
    return [await this.ask(path, options), await this.ask(`/validated${path}`, options)];
  }

  async json(path: string, options: Ask = {}): Promise<unknown> {
    const response = await this.ask(path, options);
    assert.equal(response.status, 200, response.text);
    return JSON.parse(response.text);
  }

  /**
   * Asserts that exactly these events were remembered under a key. They may come a moment after the response, so it waits
   * for as many; an event too many is seen because answering is itself a round through the application.
   */
  async remembered(key: string, expected: readonly string[]): Promise<void> {
    let events: unknown = [];
    for (let tries = 0; tries < 500; tries += 1) {
      events = await this.json(`/record?key=${key}`);
      if (Array.isArray(events) && events.length >= expected.length) break;
      await delay(20);
    }
    assert.deepEqual(events, expected);
  }

  /**
   * Asserts that the connection is still in order after a response: the next request on it gets its own answer, and
   * nothing of the one before.
   */
  async goesOn(connection: Connection): Promise<void> {
    connection.send(request("/start/once"));
    const next = await connection.response();
    assert.deepEqual([next.status, next.text], [200, "once"]);
  }

  /** Waits until the server's log has a line like that. */
  async logged(pattern: RegExp): Promise<void> {
    await this.server.process.line(pattern, 10_000);
  }

  /** Asserts that the server answers, on a new connection. */
  async alive(): Promise<void> {
    const response = await this.ask("/start/once");
    assert.deepEqual([response.status, response.text], [200, "once"]);
  }
}

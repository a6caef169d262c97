// A visitor of a site: fetch with a cookie jar, redirects seen one by one, forms sent as a browser sends them.
import assert from "node:assert/strict";

export interface Page {
  readonly status: number;
  readonly headers: Headers;
  readonly text: string;
}

export class Visitor {
  readonly #site: string;
  readonly #cookies = new Map<string, string>();

  constructor(site: string) {
    this.#site = site;
  }

  cookie(name: string): string | undefined {
    return this.#cookies.get(name);
  }

  /** One request; redirects are not followed. */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.#cookies.size > 0) {
      headers.set("Cookie", [...this.#cookies].map(([name, value]) => `${name}=${value}`).join("; "));
    }
    const response = await fetch(new URL(path, this.#site), { ...init, headers, redirect: "manual" });
    for (const line of response.headers.getSetCookie()) this.#keep(line);
    return response;
  }

  #keep(line: string): void {
    const [pair = "", ...attributes] = line.split(";");
    const [name = "", ...value] = pair.split("=");
    // A site deletes a cookie by an expiry in the past.
    if (attributes.some((each) => /^\s*(max-age=0|expires=thu, 01[ -]jan[ -]1970.*)$/i.test(each)))
      this.#cookies.delete(name);
    else this.#cookies.set(name, value.join("="));
  }

  async get(path: string): Promise<Page> {
    const response = await this.fetch(path);
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  async post(path: string, fields: Readonly<Record<string, string>> | FormData): Promise<Page> {
    const body = fields instanceof FormData ? fields : new URLSearchParams(fields);
    const response = await this.fetch(path, { method: "POST", body });
    return { status: response.status, headers: response.headers, text: await response.text() };
  }

  /** Posts a form, expects to be sent elsewhere, and goes there. */
  async submit(path: string, fields: Readonly<Record<string, string>>): Promise<Page> {
    const answer = await this.post(path, fields);
    assert.ok([302, 303].includes(answer.status), `${answer.status}: ${answer.text}`);
    return this.get(answer.headers.get("Location") ?? "");
  }

  async json(path: string, init: RequestInit = {}): Promise<Record<string, unknown>> {
    const response = await this.fetch(path, init);
    const value: unknown = await response.json();
    assert.ok(typeof value === "object" && value !== null && !Array.isArray(value));
    return { ...value };
  }
}

/** The value of a hidden field in a page's form. */
export function hiddenField(page: Page, name: string): string {
  const match = new RegExp(`name="${name}" value="([^"]*)"`).exec(page.text);
  assert.ok(match !== null, `no field ${name} in:\n${page.text}`);
  return match[1] ?? "";
}

/** Which processes answered `count` requests that were under way at once, at a path that answers {"pid": …}. */
export async function processesThatAnswer(site: string, path: string, count: number): Promise<Set<unknown>> {
  const answers = await Promise.all(Array.from({ length: count }, () => new Visitor(site).json(path)));
  return new Set(answers.map(({ pid }) => pid));
}

/** Reads a streamed body line by line; `next` is called with each line before the following one is read. */
export async function readLines(response: Response, next: (line: string, number: number) => void): Promise<string[]> {
  assert.ok(response.body !== null);
  const lines: string[] = [];
  let rest = "";
  for await (const chunk of response.body) {
    rest += Buffer.from(chunk).toString("utf8");
    const parts = rest.split("\n");
    rest = parts.pop() ?? "";
    for (const line of parts) {
      next(line, lines.length);
      lines.push(line);
    }
  }
  assert.equal(rest, "");
  return lines;
}

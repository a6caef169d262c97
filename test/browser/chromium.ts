// Headless Chromium, driven over the DevTools protocol. It speaks it over two pipes (--remote-debugging-pipe: JSON messages,
// each ended by NUL, in on descriptor 3 and out on 4), so neither a port nor a WebSocket client is needed.
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { Readable, Writable } from "node:stream";
import { descendants, waitUntilGone } from "../support/processes.js";
import { chromium, removeFolder, temporaryFolder } from "../support/tools.js";

type Fields = Readonly<Record<string, unknown>>;

function fields(value: unknown): Fields {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

export class Chromium {
  readonly #child: ChildProcess;
  readonly #folder: string;
  readonly #commands: Writable;
  #received = "";
  #last = 0;
  readonly #answers = new Map<number, (message: Fields) => void>();
  readonly #listeners = new Set<(message: Fields) => void>();

  /** `more`: further arguments of its command. */
  constructor(more: readonly string[] = []) {
    this.#folder = temporaryFolder("chromium");
    const quiet = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"];
    const offline = ["--disable-background-networking", "--disable-component-update", "--disable-extensions"];
    const own = ["--remote-debugging-pipe", `--user-data-dir=${this.#folder}`, "--window-size=1200,900", "about:blank"];
    this.#child = spawn(chromium(), [...quiet, ...offline, ...more, ...own], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"],
      env: { ...process.env, HOME: this.#folder },
    });
    const [, , , commands, messages] = this.#child.stdio;
    assert.ok(commands instanceof Writable && messages instanceof Readable);
    this.#commands = commands;
    commands.on("error", () => undefined);
    messages.setEncoding("utf8").on("data", (text: string) => this.#receive(text));
    this.#child.once("exit", () => {
      for (const answer of [...this.#answers.values()]) answer({ error: "Chromium has ended" });
    });
  }

  #receive(text: string): void {
    this.#received += text;
    const messages = this.#received.split("\0");
    this.#received = messages.pop() ?? "";
    for (const each of messages) {
      const message = fields(JSON.parse(each));
      const id = message["id"];
      if (typeof id === "number") this.#answers.get(id)?.(message);
      else for (const listener of [...this.#listeners]) listener(message);
    }
  }

  /** Sends a command and gives its result. */
  send(method: string, params: Fields = {}, session?: string): Promise<Fields> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) {
      return Promise.reject(new Error(`${method}: Chromium has ended`));
    }
    this.#last += 1;
    const id = this.#last;
    const answered = new Promise<Fields>((resolve, reject) => {
      this.#answers.set(id, (message) => {
        this.#answers.delete(id);
        if ("error" in message) reject(new Error(`${method}: ${JSON.stringify(message["error"])}`));
        else resolve(fields(message["result"]));
      });
    });
    this.#commands.write(`${JSON.stringify({ id, method, params, sessionId: session })}\0`);
    return answered;
  }

  /** Calls `listener` with each event of a session until the returned function is called. */
  listen(session: string, listener: (method: string, params: Fields) => void): () => void {
    const filtered = (message: Fields): void => {
      if (message["sessionId"] === session) listener(String(message["method"]), fields(message["params"]));
    };
    this.#listeners.add(filtered);
    return () => void this.#listeners.delete(filtered);
  }

  async tab(): Promise<Tab> {
    const { targetId } = await this.send("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await this.send("Target.attachToTarget", { targetId, flatten: true });
    const tab = new Tab(this, String(sessionId));
    await tab.prepare();
    return tab;
  }

  async close(): Promise<void> {
    const family = descendants(this.#child.pid ?? 0);
    const exited = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.kill("SIGKILL");
    await exited;
    for (const pid of await waitUntilGone(family, 2000)) process.kill(pid, "SIGKILL");
    await waitUntilGone(family);
    removeFolder(this.#folder);
  }
}

export class Tab {
  readonly #browser: Chromium;
  readonly #session: string;
  /** What the page complained about: errors of scripts, refused by its policy, not loaded. */
  readonly complaints: string[] = [];

  constructor(browser: Chromium, session: string) {
    this.#browser = browser;
    this.#session = session;
  }

  send(method: string, params: Fields = {}): Promise<Fields> {
    return this.#browser.send(method, params, this.#session);
  }

  async prepare(): Promise<void> {
    this.#browser.listen(this.#session, (method, params) => {
      if (method === "Log.entryAdded") this.complaints.push(String(fields(params["entry"])["text"]));
      if (method === "Runtime.exceptionThrown") this.complaints.push(JSON.stringify(params));
    });
    for (const domain of ["Page", "Runtime", "Log"]) await this.send(`${domain}.enable`);
  }

  /** Does something that loads a page, and waits until it has. */
  async loading(action: () => Promise<unknown>): Promise<void> {
    let stop = (): void => undefined;
    const loaded = new Promise<void>((resolve) => {
      stop = this.#browser.listen(this.#session, (method) => {
        if (method === "Page.loadEventFired") resolve();
      });
    });
    await action();
    await loaded;
    stop();
  }

  async open(url: string): Promise<void> {
    await this.loading(() => this.send("Page.navigate", { url }));
  }

  /** The value of an expression in the page. */
  async evaluate(expression: string): Promise<unknown> {
    const answer = await this.send("Runtime.evaluate", { expression, returnByValue: true, awaitPromise: true });
    if ("exceptionDetails" in answer) throw new Error(`${expression}: ${JSON.stringify(answer["exceptionDetails"])}`);
    return fields(answer["result"])["value"];
  }

  /** Types text into whatever has the focus, as a keyboard would. */
  async type(text: string): Promise<void> {
    await this.send("Input.insertText", { text });
  }

  async press(key: "Tab" | "Enter"): Promise<void> {
    const code = key === "Tab" ? 9 : 13;
    const what = { key, code: key, windowsVirtualKeyCode: code, ...(key === "Enter" ? { text: "\r" } : {}) };
    await this.send("Input.dispatchKeyEvent", { type: "keyDown", ...what });
    await this.send("Input.dispatchKeyEvent", { type: "keyUp", ...what });
  }
}

// A client of HTTPS that shows what was negotiated, and keeps its session.
import { once } from "node:events";
import { type ConnectionOptions, connect, type TLSSocket } from "node:tls";

export interface Answer {
  /** Status line, fields and body, latin-1. */
  readonly text: string;
  /** The body's lines NAME=VALUE. */
  readonly values: ReadonlyMap<string, string>;
}

export class TlsClient {
  readonly socket: TLSSocket;
  /** The ticket received last. */
  session: Buffer | undefined;
  #received = "";
  #closed = false;
  #error: Error | undefined;

  /** Resolves when the handshake is over. Rejects where the server refuses it. */
  static async connect(port: number, options: ConnectionOptions = {}): Promise<TlsClient> {
    const client = new TlsClient(port, options);
    await once(client.socket, "secureConnect");
    return client;
  }

  private constructor(port: number, options: ConnectionOptions) {
    this.socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false, ...options });
    this.socket.setEncoding("latin1");
    this.socket.on("data", (text: string) => {
      this.#received += text;
    });
    this.socket.on("session", (session) => {
      this.session = session;
    });
    this.socket.on("error", (error) => {
      this.#error = error;
    });
    this.socket.on("close", () => {
      this.#closed = true;
    });
  }

  /** Subject of the certificate that the server has shown. */
  get shown(): string {
    return this.socket.getPeerX509Certificate()?.subject ?? "";
  }

  /** GET; the connection is kept. Rejects where it ends before the answer, with what TLS says of it if anything. */
  async get(path = "/", fields = ""): Promise<Answer> {
    this.#received = "";
    this.socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n${fields}\r\n`);
    for (;;) {
      const [, length] = /\r\ncontent-length: (\d+)\r\n/i.exec(this.#received) ?? [];
      const body = this.#received.indexOf("\r\n\r\n") + 4;
      if (length !== undefined && body > 3 && this.#received.length >= body + Number(length)) {
        const lines = this.#received.slice(body).split("\n");
        const values = new Map(
          lines.map((line): [string, string] => {
            const at = line.indexOf("=");
            return [line.slice(0, at), line.slice(at + 1)];
          }),
        );
        return { text: this.#received, values };
      }
      if (this.#closed) throw this.#error ?? new Error("the connection ended before the answer");
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
  }

  close(): void {
    this.socket.destroy();
  }
}

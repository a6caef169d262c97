// One side of a WebSocket, at the server: notes what it is told.
import type { Exchange, Upgrade, WebSocketOwner, WebSocketStream } from "../../src/exchange.js";

const none = new Uint8Array(0);

export class Accepted implements WebSocketOwner {
  readonly messages: string[] = [];
  closed = "";
  stream: WebSocketStream | undefined;
  readonly upgrade: Upgrade;
  readonly exchange: Exchange;

  constructor(exchange: Exchange) {
    const { upgrade } = exchange;
    if (upgrade === undefined) throw new Error("no upgrade");
    this.exchange = exchange;
    this.upgrade = upgrade;
  }

  accept(fields: Uint8Array = none): this {
    this.stream = this.upgrade.accept(fields, this);
    return this;
  }

  socketMessage(octets: Uint8Array, text: boolean): void {
    const shown = Buffer.from(octets);
    this.messages.push(text ? shown.toString() : `0x${shown.toString("hex")}`);
  }

  socketClosed(code: number, reason: string): void {
    this.closed = `${code} ${reason}`.trim();
  }
}

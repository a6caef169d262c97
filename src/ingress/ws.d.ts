// What is used of the library ws, which brings no types: its codec, without its sockets.
declare module "ws" {
  import type { Writable } from "node:stream";

  export class PerMessageDeflate {
    static readonly extensionName: string;
    constructor(options: {
      readonly isServer: boolean;
      readonly maxPayload: number;
      readonly serverMaxWindowBits?: number;
      readonly zlibDeflateOptions?: { readonly memLevel: number };
    });
    readonly params: Readonly<Record<string, unknown>>;
    /** Throws where no offer can be accepted. */
    accept(offers: readonly Offer[]): void;
    cleanup(): void;
  }

  export type Offer = Readonly<Record<string, unknown>>;
  export type Extensions = Readonly<Record<string, PerMessageDeflate>>;

  export const extension: {
    /** Throws where the field's value is malformed. */
    parse(value: string): Readonly<Record<string, readonly Offer[] | undefined>>;
    format(extensions: Readonly<Record<string, readonly Offer[]>>): string;
  };

  /** Emits "message" (octets, whether binary), "ping", "pong" (octets), "conclude" (code, reason), "error". Changes what is written to it. */
  export class Receiver extends Writable {
    constructor(options: {
      readonly isServer: boolean;
      readonly maxPayload: number;
      readonly extensions: Extensions;
    });
  }

  /** Where a Sender writes frames. */
  export interface FrameSink {
    /** The peer is gone. */
    readonly destroyed: boolean;
    cork(): void;
    write(octets: Uint8Array, flushed?: () => void): void;
    uncork(): void;
  }

  export class Sender {
    constructor(sink: FrameSink, extensions: Extensions);
    send(
      octets: Uint8Array,
      options: { readonly fin: boolean; readonly binary: boolean; readonly compress: boolean; readonly mask: boolean },
      flushed?: (error?: Error) => void,
    ): void;
    /** Without a code the frame has none. Throws for one that may not be sent, and for a reason that is too long. */
    close(code: number | undefined, reason: Uint8Array | string | undefined, mask: boolean): void;
    ping(octets: Uint8Array, mask: boolean): void;
    pong(octets: Uint8Array, mask: boolean): void;
  }
}

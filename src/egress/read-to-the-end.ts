import { Socket } from "node:net";

/**
 * Node destroys a socket when a write fails, and with it what was received and not yet read. A server may answer before it
 * has read the whole body, and close (gunicorn does, above 64 KiB): the write fails, and its answer is there to be read.
 * Here a failed write only means that nothing more is sent; what ends the connection is read, too.
 */
export class ReadToTheEnd extends Socket {
  /** Why nothing is sent any more. */
  broken: NodeJS.ErrnoException | undefined;
  #callback: ((error?: Error | null) => void) | undefined;
  readonly #written = (error?: NodeJS.ErrnoException | null): void => {
    const callback = this.#callback;
    if (error?.code !== "EPIPE" && error?.code !== "ECONNRESET") callback?.(error);
    else {
      this.broken = error;
      callback?.();
    }
  };

  override _write(chunk: Uint8Array, encoding: BufferEncoding, callback: (error?: Error | null) => void): void {
    if (this.broken !== undefined) callback();
    else {
      this.#callback = callback;
      super._write(chunk, encoding, this.#written);
    }
  }

  override _writev(
    chunks: { chunk: Uint8Array; encoding: BufferEncoding }[],
    callback: (error?: Error | null) => void,
  ): void {
    if (this.broken !== undefined) callback();
    else {
      this.#callback = callback;
      super._writev?.(chunks, this.#written);
    }
  }
}

// What a PROXY header says, in the notation of test/vectors/proxy.
import { VivariumError } from "../../../src/errors.js";
import { decodeProxyHeader, type ProxiedEnd } from "../../../src/protocol/proxy/header-decoder.js";

export function decodedHeader(octets: Buffer): string[] {
  try {
    const header = decodeProxyHeader(octets);
    if (header === undefined) return ["waiting"];
    const { ends, secure, length } = header;
    const end = ({ address, port }: ProxiedEnd): string => (port < 0 ? "unix" : `${address} ${port}`);
    return [
      ends === undefined ? "own" : `from ${end(ends.remote)} to ${end(ends.local)}`,
      ...(secure ? ["secure"] : []),
      `rest ${JSON.stringify(octets.toString("latin1", length))}`,
    ];
  } catch (error) {
    if (!(error instanceof VivariumError)) throw error;
    return [`error ${error.message}`];
  }
}

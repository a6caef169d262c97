// WebSockets on streams of HTTP/2 (RFC 8441), for a session of Node's client.
import { once } from "node:events";
import type { ClientHttp2Session, ClientHttp2Stream, IncomingHttpHeaders } from "node:http2";
import { WebSocketClient } from "./websocket-client.js";

export type StreamClient = WebSocketClient<ClientHttp2Stream>;

/** Asks for a WebSocket; `fields` are further ones, or others in place of those of the same name. */
export async function askSocket(
  session: ClientHttp2Session,
  target = "/",
  fields: Readonly<Record<string, string>> = {},
): Promise<ClientHttp2Stream> {
  if (session.remoteSettings?.enableConnectProtocol !== true) await once(session, "remoteSettings");
  if (session.remoteSettings.enableConnectProtocol !== true) throw new Error("there is no leave to send :protocol");
  const stream = session.request(
    {
      ":method": "CONNECT",
      ":protocol": "websocket",
      ":scheme": "http",
      ":authority": "example.org",
      ":path": target,
      "sec-websocket-version": "13",
      ...fields,
    },
    { endStream: false },
  );
  stream.on("error", () => {});
  return stream;
}

/** Has one. Rejects where it is refused. */
export async function openSocket(
  session: ClientHttp2Session,
  target = "/",
  fields: Readonly<Record<string, string>> = {},
): Promise<{ readonly client: StreamClient; readonly headers: IncomingHttpHeaders }> {
  const stream = await askSocket(session, target, fields);
  const headers = await new Promise<IncomingHttpHeaders>((resolve, reject) => {
    stream.once("response", resolve);
    stream.once("close", () => reject(new Error(`the stream was closed with ${stream.rstCode}`)));
  });
  if (Number(headers[":status"]) !== 200) throw new Error(`answered ${headers[":status"]}`);
  return { client: new WebSocketClient(stream, "HTTP/2 200"), headers };
}

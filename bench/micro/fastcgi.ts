// What a request costs the FastCGI codec and door, but for the socket: records to the variables written out to a worker's wire,
// and a small response back to records. Once for requests that hardly ever come again, once for those
// that do.

import { VivariumError } from "../../src/errors.js";
import { Ingress } from "../../src/ingress/ingress.js";
import { RecurringRequests } from "../../src/ingress/recurring-requests.js";
import { ResponseEncoder } from "../../src/protocol/cgi/response-encoder.js";
import { RequestDecoder } from "../../src/protocol/fastcgi/request-decoder.js";
import { encodeRequest } from "../../src/protocol/fastcgi/request-encoder.js";
import { encodeOutput } from "../../src/protocol/fastcgi/response-encoder.js";
import { Router } from "../../src/routing/router.js";
import { captured } from "../../test/protocol/cgi/received.js";
import { measure } from "./support/measure.js";

const nginx = captured().find(({ name }) => name === "nginx-fastcgi_params");
if (nginx === undefined) throw new Error("The captured request is gone.");
const config = {
  trustedProxies: [],
  maxBody: 2 ** 30,
  bodyMemory: 2 ** 18,
  requestMemoryTotal: 2 ** 26,
  tempDir: "/",
  maxTarget: 8192,
  maxHead: 65536,
  maxFields: 128,
  keepAlive: 75,
  headTimeout: 30,
  stallTimeout: 30,
  minRate: 500,
  wsMaxSize: 2 ** 24,
  wsPingInterval: 20,
  wsPingTimeout: 20,
  wsCompression: false,
};
const requests = new RecurringRequests(new Ingress(config, new Router([]), { version: "0.0.0" }));
const decoder = new RequestDecoder({ maxParams: 65536, maxRequests: 1 }, (octets, malformed) =>
  requests.read(octets, malformed),
);
const fields = Buffer.from("Content-Type: text/plain\r\nContent-Length: 13\r\n");
const head = { status: 200, reason: "OK", fields, contentLength: 13, hasDate: false };
const body = Buffer.from("Hello, world!");
const wire = Buffer.allocUnsafe(65536);

function serve(chunk: Uint8Array): void {
  decoder.receive(chunk);
  for (let event = decoder.next(); event !== undefined; event = decoder.next()) {
    if (event.type !== "request" || event.params instanceof VivariumError) continue;
    wire.write(event.params.encode({ scriptName: "", pathInfo: event.params.path }, -1), "latin1");
  }
  decoder.release(1);
  const encoder = new ResponseEncoder();
  encoder.begin("GET");
  const response = encoder.head(head, body, true);
  encodeOutput(1, response instanceof Uint8Array ? [response] : response, true);
}

for (const distinct of [60_000, 32]) {
  const text = nginx.sent.join("\0");
  const chunks = Array.from({ length: distinct }, (_, index) => {
    const encoded = encodeRequest(1, true, `REMOTE_PORT\0${index}\0${text}`, undefined, true);
    return encoded instanceof Uint8Array ? encoded : Buffer.concat(encoded);
  });
  let turn = 0;
  measure(distinct === 32 ? "fastcgi, requests that come again" : "fastcgi, requests that do not", () =>
    serve(chunks[turn++ % distinct] as Uint8Array),
  );
}

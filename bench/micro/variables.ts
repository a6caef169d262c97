// What a request's CGI variables cost, written out as a worker's wire would.
import { RequestVariables, type VariablesRequest } from "../../src/protocol/cgi/request-variables.js";
import { measure } from "./support/measure.js";

const facts = {
  software: "vivarium/0.0.0",
  localAddress: "127.0.0.1",
  localPort: 8000,
  remoteAddress: "192.0.2.7",
  remotePort: 51234,
  scheme: "http",
  host: "",
  port: -1,
} as const;
const few = ["Host", "127.0.0.1:8000", "User-Agent", "wrk", "Accept", "*/*"];
const many = [
  ...["Host", "www.example.org"],
  ...["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"],
  ...["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
  ...["Accept-Language", "de,en-US;q=0.7,en;q=0.3"],
  ...["Accept-Encoding", "gzip, deflate, br, zstd"],
  ...["Referer", "https://www.example.org/list?page=3"],
  ...["Cookie", "sessionid=9c1185a5c5e9fc54612808977ee8f548b2258d31; csrftoken=Xk2mNTtqVvZ7xZ8q"],
  ...["Connection", "keep-alive"],
  ...["Upgrade-Insecure-Requests", "1"],
  ...["Sec-Fetch-Dest", "document"],
  ...["Sec-Fetch-Mode", "navigate"],
  ...["Priority", "u=0, i"],
];
const wire = Buffer.allocUnsafe(65536);

function request(fields: readonly string[], n: number): VariablesRequest {
  const path = `/item/${n}`;
  return { method: "GET", target: `${path}?q=1`, form: "origin", path, query: "q=1", host: "www.example.org", fields };
}

function encodes(name: string, requests: readonly VariablesRequest[]): void {
  const variables = new RequestVariables(facts);
  let turn = 0;
  measure(`variables, ${name}`, () => {
    const next = requests[turn++ % requests.length] as VariablesRequest;
    wire.write(variables.encode(next, "HTTP/1.1", { scriptName: "", pathInfo: next.path }, -1), "latin1");
  });
}

const numbers = Array.from({ length: 64 }, (_, n) => n);
encodes(
  "3 fields, new each time",
  numbers.map((n) => request([...few], n)),
);
encodes(
  "12 fields, new each time",
  numbers.map((n) => request([...many], n)),
);
encodes(
  "12 fields, same fields, other targets",
  numbers.map((n) => request(many, n)),
);
encodes("12 fields, same request", [request(many, 1)]);

// What a request's CGI variables cost, written out as a worker's wire would. Goal: 2 µs for 3 fields, 6 µs for 12.
import { RequestVariables, type VariablesRequest } from "../../src/protocol/cgi/request-variables.js";

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

function measure(name: string, requests: readonly VariablesRequest[]): void {
  const variables = new RequestVariables(facts);
  let best = Number.POSITIVE_INFINITY;
  const count = 20_000;
  for (let round = 0; round < 12; round++) {
    const before = process.hrtime.bigint();
    for (let i = 0; i < count; i++) {
      const next = requests[i % requests.length];
      if (next === undefined) continue;
      wire.write(variables.encode(next, "HTTP/1.1", { scriptName: "", pathInfo: next.path }, -1), "latin1");
    }
    best = Math.min(best, Number(process.hrtime.bigint() - before) / count / 1000);
  }
  console.log(`${name.padEnd(44)} ${best.toFixed(2)} µs/request`);
}

const numbers = Array.from({ length: 64 }, (_, n) => n);
measure(
  "3 fields, new each time",
  numbers.map((n) => request([...few], n)),
);
measure(
  "12 fields, new each time",
  numbers.map((n) => request([...many], n)),
);
measure(
  "12 fields, same fields, other targets",
  numbers.map((n) => request(many, n)),
);
measure("12 fields, same request", [request(many, 1)]);

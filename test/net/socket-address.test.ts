import assert from "node:assert/strict";
import { test } from "node:test";
import type { ListenAddress } from "../../src/config/config.js";
import { libc } from "../../src/net/libc.js";
import { inheritedUrl, isExposed, sockaddrUnix, sockaddrV4, sockaddrV6 } from "../../src/net/socket-address.js";

const calls = await libc();
const address: ListenAddress = { url: "fastcgi://fd:3", protocol: "fastcgi", endpoint: { kind: "fd", fd: 3 } };

test("the loopback's addresses, of every family, and unix sockets are those that other machines do not reach", () => {
  for (const host of ["127.0.0.1", "127.9.9.9"]) assert.equal(isExposed(sockaddrV4(calls, host, 1)), false, host);
  for (const host of ["0.0.0.0", "10.0.0.1", "192.0.2.127"]) assert.equal(isExposed(sockaddrV4(calls, host, 1)), true);
  for (const host of ["::1", "::ffff:127.0.0.1"]) assert.equal(isExposed(sockaddrV6(calls, host, 1)), false, host);
  for (const host of ["::", "::2", "fe80::1", "::ffff:10.0.0.1"])
    assert.equal(isExposed(sockaddrV6(calls, host, 1)), true);
  assert.equal(isExposed(sockaddrUnix("/run/a.sock")), false);
});

test("an inherited socket's address has the protocol that is spoken there", () => {
  assert.equal(inheritedUrl(address, sockaddrV4(calls, "127.0.0.1", 9000)), "fastcgi://127.0.0.1:9000");
  assert.equal(inheritedUrl(address, sockaddrV6(calls, "::1", 9000)), "fastcgi://[::1]:9000");
  assert.equal(inheritedUrl(address, sockaddrUnix("/run/a.sock")), "fastcgi://unix:/run/a.sock");
  assert.equal(inheritedUrl(address, sockaddrUnix("")), "fastcgi://fd:3");
});

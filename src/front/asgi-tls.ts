// What the "tls" extension of ASGI says of a connection, made of mod_ssl's variables (ingress/ssl-variables.ts).
import { pickVariables } from "../protocol/cgi/variables.js";

const names: ReadonlyMap<string, number> = new Map([
  ["SSL_PROTOCOL", 0],
  ["SSL_CIPHER", 1],
  ["SSL_CLIENT_CERT", 2],
  ["SSL_CLIENT_S_DN", 3],
]);

const versions: ReadonlyMap<string, number> = new Map([
  ["TLSv1.2", 0x0303],
  ["TLSv1.3", 0x0304],
]);

/** IANA's numbers of TLS cipher suites, by OpenSSL's names: those that are offered (ingress/tls.ts). */
const suites: ReadonlyMap<string, number> = new Map([
  ["TLS_AES_128_GCM_SHA256", 0x1301],
  ["TLS_AES_256_GCM_SHA384", 0x1302],
  ["TLS_CHACHA20_POLY1305_SHA256", 0x1303],
  ["ECDHE-ECDSA-AES128-GCM-SHA256", 0xc02b],
  ["ECDHE-ECDSA-AES256-GCM-SHA384", 0xc02c],
  ["ECDHE-RSA-AES128-GCM-SHA256", 0xc02f],
  ["ECDHE-RSA-AES256-GCM-SHA384", 0xc030],
  ["ECDHE-RSA-CHACHA20-POLY1305", 0xcca8],
  ["ECDHE-ECDSA-CHACHA20-POLY1305", 0xcca9],
]);

/** JSON, or "" where the connection is not one of TLS. The server's own certificate is not told. */
export function tlsExtension(variables: string): string {
  const [protocol, cipher = "", certificate, name = null] = pickVariables(variables, names);
  if (protocol === undefined) return "";
  return JSON.stringify({
    server_cert: null,
    client_cert_chain: certificate === undefined ? [] : [certificate],
    client_cert_name: name,
    client_cert_error: null,
    tls_version: versions.get(protocol) ?? null,
    cipher_suite: suites.get(cipher) ?? null,
  });
}

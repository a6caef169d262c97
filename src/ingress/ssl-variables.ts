// What TLS says of a connection and of the client's certificate, in the variables of Apache's mod_ssl, which applications know.
// Header fields become HTTP_…, so that no client can send one of these.
import type { X509Certificate } from "node:crypto";
import type { TLSSocket } from "node:tls";

/** The certificate that the client has shown. */
export function clientCertificate(socket: TLSSocket): X509Certificate | undefined {
  return socket.getPeerX509Certificate();
}

/** As `Request.variables`. */
export function sslVariables(socket: TLSSocket, certificate: X509Certificate | undefined): string {
  const servername: unknown = Reflect.get(socket, "servername");
  const variables = [
    ["SSL_PROTOCOL", socket.getProtocol() ?? ""],
    ["SSL_CIPHER", socket.getCipher().name],
    ...(typeof servername === "string" && /^[\w.-]+$/u.test(servername) ? [["SSL_TLS_SNI", servername]] : []),
    ["SSL_SESSION_RESUMED", socket.isSessionReused() ? "Resumed" : "Initial"],
    ["SSL_CLIENT_VERIFY", certificate === undefined ? "NONE" : "SUCCESS"],
    ...(certificate === undefined ? [] : certificateVariables(certificate)),
  ];
  return variables.map(([name, value]) => `${name}\0${value}`).join("\0");
}

function certificateVariables(certificate: X509Certificate): readonly (readonly [string, string])[] {
  const { subject, issuer, serialNumber, validFrom, validTo } = certificate;
  const commonName = /^CN=(.*)$/mu.exec(subject)?.[1];
  return [
    ["SSL_CLIENT_S_DN", distinguishedName(subject)],
    ...(commonName === undefined ? [] : [["SSL_CLIENT_S_DN_CN", ascii(commonName)] as const]),
    ["SSL_CLIENT_I_DN", distinguishedName(issuer)],
    ["SSL_CLIENT_M_SERIAL", serialNumber],
    ["SSL_CLIENT_V_START", validFrom],
    ["SSL_CLIENT_V_END", validTo],
    ["SSL_CLIENT_CERT", certificate.toString()],
  ];
}

/** RFC 4514: the last first. Node has a line for each part, with the characters escaped that have to be. */
function distinguishedName(lines: string | undefined): string {
  const parts = (lines ?? "").split("\n").map((line) => line.replaceAll(" + ", "+"));
  return ascii(parts.reverse().join(","));
}

/** Other characters as their octets in UTF-8, each "\C3" (RFC 4514 §2.4), as Apache and nginx have them. */
function ascii(text: string): string {
  return text.replace(/[^\x20-\x7e]+/gu, (others) =>
    Array.from(Buffer.from(others), (octet) => `\\${octet.toString(16).toUpperCase().padStart(2, "0")}`).join(""),
  );
}

// TLS, by Node's own server, which is given connections that were accepted elsewhere: it keeps certificates, which can change at any
// time, and ticket keys, which all fronts have in common.
import { constants, createHash } from "node:crypto";
import type { Socket } from "node:net";
import {
  createSecureContext,
  createServer,
  type SecureContext,
  type SecureContextOptions,
  type Server,
  type TLSSocket,
} from "node:tls";
import { log } from "../channels.js";
import type { TlsConfig } from "../config/config.js";
import type { Secure } from "../net/client-socket.js";
import type { TlsMaterial } from "../net/tls-identity.js";
import { clientCertificate, sslVariables } from "./ssl-variables.js";

export type TlsPolicy = Pick<TlsConfig, "clientCert" | "minVersion">;

/**
 * Mozilla's "intermediate" recommendation (version 5.7), less the suites with finite-field Diffie-Hellman, which only clients from
 * before 2014 need. The client's preference decides: it knows whether it has AES in hardware.
 */
const ciphers = [
  "TLS_AES_128_GCM_SHA256",
  "TLS_AES_256_GCM_SHA384",
  "TLS_CHACHA20_POLY1305_SHA256",
  "ECDHE-ECDSA-AES128-GCM-SHA256",
  "ECDHE-RSA-AES128-GCM-SHA256",
  "ECDHE-ECDSA-AES256-GCM-SHA384",
  "ECDHE-RSA-AES256-GCM-SHA384",
  "ECDHE-ECDSA-CHACHA20-POLY1305",
  "ECDHE-RSA-CHACHA20-POLY1305",
].join(":");

/** Seconds for which a session may be resumed. */
const sessionTimeout = 3600;

type Secured = (socket: TLSSocket, secure: Secure) => void;

export class TlsDoor {
  readonly #policy: TlsPolicy;
  readonly #server: Server;
  /** By names that clients ask for. */
  #contexts: ReadonlyMap<string, SecureContext> = new Map();
  /** What is to become of a connection, by the socket below it. */
  readonly #waiting = new WeakMap<object, Secured>();

  constructor(policy: TlsPolicy, material: TlsMaterial, http2 = false) {
    this.#policy = policy;
    const asked = material.clientCa !== "";
    this.#server = createServer({
      requestCert: asked,
      rejectUnauthorized: asked && policy.clientCert === "required",
      // A client that offers only others is refused (RFC 7301 §3.2).
      ALPNProtocols: http2 ? ["h2", "http/1.1"] : ["http/1.1"],
      SNICallback: (name, give) => give(null, this.#contextOf(name)),
      sessionTimeout,
    });
    this.#server.on("secureConnection", (socket) => this.#secured(socket));
    // The connection is closed then: whoever scans the port is no news.
    this.#server.on("tlsClientError", (error) => log("debug", "ingress", `A TLS handshake failed: ${error.message}.`));
    this.renew(material);
  }

  /** Connections that come from now on are secured with this; those there are stay as they are. */
  renew(material: TlsMaterial): void {
    const contexts = new Map<string, SecureContext>();
    for (const identity of material.identities) {
      const options = this.#contextOptions(identity, material);
      const context = createSecureContext(options);
      for (const name of identity.names) if (!contexts.has(name)) contexts.set(name, context);
    }
    const [standard] = material.identities;
    if (standard === undefined) throw new Error("there is no certificate");
    const ticketKeys = Buffer.from(material.ticketKeys, "base64");
    this.#server.setSecureContext({ ...this.#contextOptions(standard, material), ticketKeys });
    this.#contexts = contexts;
  }

  #contextOptions(identity: TlsMaterial["identities"][number], { clientCa }: TlsMaterial): SecureContextOptions {
    const { clientCert, minVersion } = this.#policy;
    return {
      cert: identity.cert,
      key: identity.key,
      ...(clientCa === "" ? {} : { ca: clientCa }),
      ciphers,
      minVersion: `TLSv${minVersion}`,
      // A client could have the server negotiate anew for ever (CVE-2011-1473); nobody needs it.
      secureOptions: constants.SSL_OP_NO_RENEGOTIATION,
      // A session is resumed without looking at the client's certificate again: only where that was looked at in the same way.
      sessionIdContext: createHash("sha256").update(`${clientCert}\0${clientCa}`).digest("hex").slice(0, 32),
      sessionTimeout,
    };
  }

  /** The certificate for a name, or for all names of its domain; undefined: the first. */
  #contextOf(name: string): SecureContext | undefined {
    const asked = name.toLowerCase();
    return this.#contexts.get(asked) ?? this.#contexts.get(asked.replace(/^[^.]+/u, "*"));
  }

  /** Shakes hands on `socket`, which nobody reads; `secured` is called if that succeeds, else the socket is closed. */
  accept(socket: Socket, secured: Secured): void {
    this.#waiting.set(socket, secured);
    this.#server.emit("connection", socket);
  }

  #secured(socket: TLSSocket): void {
    const carrier: unknown = Reflect.get(socket, "_parent");
    const secured = typeof carrier === "object" && carrier !== null ? this.#waiting.get(carrier) : undefined;
    const certificate = clientCertificate(socket);
    // A certificate is good or refused, also where none would do, as with Apache and nginx.
    if (secured === undefined || (certificate !== undefined && !socket.authorized)) socket.destroy();
    else secured(socket, { variables: sslVariables(socket, certificate), http2: socket.alpnProtocol === "h2" });
  }
}

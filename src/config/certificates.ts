// The [[certificate]] tables of vivarium.toml: certificates for further names. Loaded only where there are any.
import type { CertificateFiles } from "./config.js";
import { options } from "./options.js";
import type { ReadContext } from "./read.js";
import { readSource, refuseUnknownKeys, show, sourceIn, type Table, tableAt, wrong } from "./table.js";

/** Throws ERR_CONFIG_…. */
export function readCertificates(file: Table, context: ReadContext): readonly CertificateFiles[] {
  const { certificate: given } = file.values;
  if (!Array.isArray(given)) {
    throw wrong(file, `certificate is a list of tables, as in [[certificate]], not ${show(given)}.`);
  }
  return given.map((value: unknown, index) => {
    const table = tableAt(value, `${file.where}[[certificate]] ${index + 1}: `, file.base);
    refuseUnknownKeys(table, [options.cert.key, options.key.key]);
    const certSource = sourceIn(table, options.cert.key);
    const keySource = sourceIn(table, options.key.key);
    const cert = certSource === undefined ? "" : readSource(options.cert.read, certSource, context);
    if (cert === "") throw wrong(table, `cert is missing; it names the certificate's file, as in cert = "shop.pem".`);
    return { cert, key: (keySource && readSource(options.key.read, keySource, context)) || cert };
  });
}

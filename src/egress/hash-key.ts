// What "hash" chooses a server by: a header field of the request, or its client's address.
import { hashOf } from "./balancer.js";

export class HashKey {
  /** As it stands in the variables, between NULs; "" for the client. */
  readonly #field: string;

  /** `by`: "client", or a field's name. */
  constructor(by: string) {
    this.#field = by === "client" ? "" : variableOf(by);
  }

  /** Of a request's variables. Without the field it is the client's address that counts. */
  of(variables: string): number {
    const value = this.#field === "" ? undefined : valueIn(variables, this.#field);
    return hashOf(value ?? valueIn(variables, "REMOTE_ADDR") ?? "");
  }
}

function variableOf(field: string): string {
  const name = field.toUpperCase().replaceAll("-", "_");
  return name === "CONTENT_TYPE" ? name : `HTTP_${name}`;
}

function valueIn(variables: string, name: string): string | undefined {
  for (let at = 0; at < variables.length; ) {
    const nameEnd = variables.indexOf("\0", at);
    if (nameEnd < 0) return undefined;
    const next = variables.indexOf("\0", nameEnd + 1);
    const end = next < 0 ? variables.length : next;
    if (nameEnd - at === name.length && variables.startsWith(name, at)) return variables.slice(nameEnd + 1, end);
    at = end + 1;
  }
  return undefined;
}

// Reading a request's variables where they are needed in this process: by handlers that answer without an application.
// They are one string (exchange.ts, Request.variables), `NAME NUL VALUE NUL NAME …`. A search for `NUL NAME NUL` would be
// wrong: a client may send a field whose value is a variable's name, and what follows would be taken for its value. So
// they are walked pair by pair.

/** The value of one variable, undefined where there is none. */
export function variable(variables: string, name: string): string | undefined {
  return pickVariables(variables, new Map([[name, 0]]))[0];
}

/** The values of several, each at the index that `wanted` gives its name; undefined where there is none. */
export function pickVariables(variables: string, wanted: ReadonlyMap<string, number>): (string | undefined)[] {
  const picked = new Array<string | undefined>(wanted.size).fill(undefined);
  for (let at = 0; at < variables.length; ) {
    const nameEnd = variables.indexOf("\0", at);
    if (nameEnd < 0) break;
    let end = variables.indexOf("\0", nameEnd + 1);
    if (end < 0) end = variables.length;
    const index = wanted.get(variables.slice(at, nameEnd));
    if (index !== undefined) picked[index] = variables.slice(nameEnd + 1, end);
    at = end + 1;
  }
  return picked;
}

// Long texts of others, as paths and addresses, where there is little room.

/** A text of at most so many characters: what is too long has its middle left out. */
export function abridged(text: string, most: number): string {
  if (text.length <= most) return text;
  const head = Math.ceil((most - 1) / 2);
  return `${text.slice(0, head)}…${text.slice(text.length - (most - 1 - head))}`;
}

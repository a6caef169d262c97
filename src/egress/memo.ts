/** The most texts known at a time, and the most octets of one that is worth knowing. */
const textsMost = 512;
const lengthMost = 4096;

/** What was made of texts that come again, for as long as there are not too many of them. */
export class Memo<Made> {
  readonly #make: (text: string) => Made;
  readonly #made = new Map<string, Made>();

  /** `make` must depend on nothing but the text; where it throws, nothing is known. */
  constructor(make: (text: string) => Made) {
    this.#make = make;
  }

  of(text: string): Made {
    const known = this.#made.get(text);
    if (known !== undefined) return known;
    const made = this.#make(text);
    if (text.length > lengthMost) return made;
    // Clients choose the texts. To begin anew costs less than to know which of them was not used for longest.
    if (this.#made.size >= textsMost) this.#made.clear();
    this.#made.set(text, made);
    return made;
  }
}

/** The most texts known at a time, and the most octets of one that is worth knowing. */
const textsMost = 512;
const lengthMost = 4096;

/** What was made of texts that come again, for as long as there are not too many of them. */
export class Known<Made> {
  readonly #made = new Map<string, Made>();

  get(text: string): Made | undefined {
    return this.#made.get(text);
  }

  /** Gives `made`. */
  keep(text: string, made: Made): Made {
    if (text.length > lengthMost) return made;
    // Clients choose the texts. To begin anew costs less than to know which of them was not used for longest.
    if (this.#made.size >= textsMost) this.#made.clear();
    this.#made.set(text, made);
    return made;
  }
}

/** The same where it follows from the text how it is made. */
export class Memo<Made> {
  readonly #make: (text: string) => Made;
  readonly #known = new Known<Made>();

  /** `make` must depend on nothing but the text; where it throws, nothing is known. */
  constructor(make: (text: string) => Made) {
    this.#make = make;
  }

  of(text: string): Made {
    return this.#known.get(text) ?? this.#known.keep(text, this.#make(text));
  }
}

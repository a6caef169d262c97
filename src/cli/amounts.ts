// Amounts as people read them.

/** "45 s", "3 min 12 s", "3 h 20 min", "5 d 4 h": the two largest units. */
export function duration(seconds: number): string {
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  const [days, hours, minutes] = [
    Math.floor(whole / 86_400),
    Math.floor(whole / 3600) % 24,
    Math.floor(whole / 60) % 60,
  ];
  if (days > 0) return `${days} d ${hours} h`;
  return hours > 0 ? `${hours} h ${minutes} min` : `${minutes} min ${whole % 60} s`;
}

/** As `duration`, and "12 ms", "1.3 s" where that says too little. */
export function shortDuration(seconds: number): string {
  if (seconds >= 9.95) return duration(seconds);
  if (seconds >= 0.9995) return `${seconds.toFixed(1)} s`;
  return `${Math.round(seconds * 1000)} ms`;
}

export function counted(number: number, one: string, many = `${one}s`): string {
  return `${number.toLocaleString("en")} ${number === 1 ? one : many}`;
}

export function megabytes(octets: number): string {
  return `${(octets / 2 ** 20).toFixed(1)} MiB`;
}

export function milliseconds(microseconds: number): string {
  return `${(microseconds / 1000).toFixed(microseconds < 10_000 ? 2 : 0)} ms`;
}

/** Processor time in percent of one core, over `age` seconds. */
export function percent(cpu: number, age: number): string {
  const share = age > 0 ? (100 * cpu) / age : 0;
  return share.toFixed(share < 10 ? 1 : 0);
}

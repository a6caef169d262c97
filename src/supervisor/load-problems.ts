// Why an application could not be loaded, where it cannot say so itself.
import type { PoolConfig } from "../config/config.js";

export function notReady({ target, bootTimeout }: PoolConfig): string {
  return `The application ${target} was not ready within ${bootTimeout} seconds (--boot-timeout).`;
}

/** `which` is " of NAME" where there are several. */
export function endedLoading(status: number | null, signal: NodeJS.Signals | null, which = ""): string {
  const how = signal === null ? `with status ${status}` : `by ${signal}`;
  return `Python ended ${how} while it imported the application${which}.`;
}

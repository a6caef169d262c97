// The one place errors of Vivarium are made. Each has a stable code (`ERR_<AREA>_<WHAT>`, documented in
// docs/errors.md) and one plain sentence for the person who runs the server: what is wrong and what to do.

/** Every code there is; a test holds this list and docs/errors.md to be the same set. */
export const errorCodes = [
  "ERR_ACCESS_LOG",
  "ERR_CLI_USAGE",
  "ERR_CLI_CHECK",
  "ERR_CONFIG_FILE",
  "ERR_CONFIG_KEY",
  "ERR_CONFIG_VALUE",
  "ERR_CONTROL_NONE",
  "ERR_CONTROL_SEVERAL",
  "ERR_CONTROL_DIRECTORY",
  "ERR_CONTROL_ANSWER",
  "ERR_CONTROL_TIMEOUT",
  "ERR_CONTROL_RELOAD",
  "ERR_CONTROL_UPSTREAM",
  "ERR_CONTROL_SOCKET",
  "ERR_FASTCGI_BAD_REQUEST",
  "ERR_FASTCGI_BAD_RESPONSE",
  "ERR_FASTCGI_PARAMS_TOO_LARGE",
  "ERR_HTTP_BAD_REQUEST",
  "ERR_HTTP_TARGET_TOO_LONG",
  "ERR_HTTP_HEAD_TOO_LARGE",
  "ERR_HTTP_BODY_TOO_LARGE",
  "ERR_HTTP_NOT_IMPLEMENTED",
  "ERR_HTTP_VERSION",
  "ERR_HTTP_EXPECTATION",
  "ERR_HTTP_BAD_RESPONSE",
  "ERR_HTTP_UNSENDABLE",
  "ERR_CGI_BAD_REQUEST",
  "ERR_CGI_BAD_RESPONSE",
  "ERR_SCGI_BAD_REQUEST",
  "ERR_UWSGI_BAD_REQUEST",
  "ERR_UWSGI_UNSENDABLE",
  "ERR_INGRESS_BODY_DISK",
  "ERR_INGRESS_DESCRIPTORS",
  "ERR_INGRESS_MEMORY",
  "ERR_INGRESS_TIMEOUT",
  "ERR_LISTEN_IN_USE",
  "ERR_LISTEN_FORBIDDEN",
  "ERR_LISTEN_ADDRESS",
  "ERR_LISTEN_PATH",
  "ERR_LISTEN_DESCRIPTOR",
  "ERR_LISTEN_OWNER",
  "ERR_LISTEN_FAILED",
  "ERR_PROXY_HEADER",
  "ERR_PYTHON_LIBRARY",
  "ERR_ROUTING_NOT_MOUNTED",
  "ERR_ROUTING_TRUSTED_PROXY",
  "ERR_TLS_EXPIRED",
  "ERR_TLS_FILE",
  "ERR_TLS_KEY",
] as const;

export type ErrorCode = (typeof errorCodes)[number];

/** An error whose cause Vivarium knows. `message` is a whole sentence and never needs a stack trace beside it. */
export class VivariumError extends Error {
  override readonly name = "VivariumError";
  readonly code: ErrorCode;
  /** The HTTP status to answer with, where the error is a client's (a hint, RFC 9110 §15); otherwise undefined. */
  readonly status: number | undefined;
  constructor(code: ErrorCode, message: string, options?: { cause?: unknown; status?: number }) {
    super(message, options !== undefined && "cause" in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.status = options?.status;
  }
}

/** The error factory. */
export function vivariumError(
  code: ErrorCode,
  message: string,
  options?: { cause?: unknown; status?: number },
): VivariumError {
  return new VivariumError(code, message, options);
}

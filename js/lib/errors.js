// The error of every call, with what a program can act on.

/** What a socket says in Workers when another request than the one that opened it uses it. */
const OTHER_REQUEST = "on behalf of a different request";

/** Why a call failed. `index.d.ts` says what the fields mean. */
export class SlotcarError extends Error {
  constructor(message, fields = {}) {
    super(message, fields.cause === undefined ? undefined : { cause: fields.cause });
    this.kind = fields.kind ?? "Config";
    this.delivery = fields.delivery ?? "NotSent";
    this.code = fields.code;
    this.command = fields.command;
    this.endpoint = fields.endpoint;
    this.attempts = fields.attempts ?? 0;
  }

  get name() {
    // What programs look for that pass an AbortSignal to many APIs.
    return this.kind === "Aborted" ? "AbortError" : "SlotcarError";
  }
}

/** Makes an error of the parts that the module gives; the causes are texts, the nearest first. */
export function fromParts(message, kind, delivery, code, command, endpoint, attempts, causes) {
  const texts = causes ?? [];
  if (texts.some((text) => text.includes(OTHER_REQUEST)) || message.includes(OTHER_REQUEST)) {
    kind = "Closed";
    message =
      "the client belongs to another request, whose connections only that request may use: " +
      `connect in each request, for instance with withClient (${message})`;
  }
  const cause = texts.reduceRight(
    (inner, text) => new Error(text, inner && { cause: inner }),
    undefined,
  );
  return new SlotcarError(message, { kind, delivery, code, command, endpoint, attempts, cause });
}

/** The error of a call to a client that was closed. */
export function closed(command) {
  const message = command === undefined ? "the client was closed" : `the client was closed: ${command}`;
  return new SlotcarError(message, { kind: "Closed", command });
}

/** The error of a call whose signal was aborted before it began. */
export function aborted(signal, delivery = "NotSent", command) {
  const message = "the call was aborted by its signal";
  return new SlotcarError(message, { kind: "Aborted", delivery, command, cause: signal.reason });
}

/** The error of an argument or option that is wrong. */
export function wrong(message, command) {
  return new SlotcarError(message, { kind: "Config", command });
}

/** What a value is, for an error: never the value itself, which may be secret. */
export function nameOf(value) {
  if (value === null) return "null";
  if (typeof value === "number") return Number.isNaN(value) ? "NaN" : "a number";
  if (typeof value !== "object") return value === undefined ? "undefined" : `a ${typeof value}`;
  const name = value.constructor?.name;
  return typeof name === "string" && name !== "" ? `an instance of ${name}` : "an object";
}

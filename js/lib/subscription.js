// A subscription as an async iterator of updates.
//
// Invariants: updates keep their order, also when `next` is called several times at once; `return`
// and `close` unsubscribe at once and end every `next` that waits; after the client was closed the
// iterator ends.

import { names } from "./arguments.js";
import { aborted, closed, SlotcarError, wrong } from "./errors.js";

const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");
const KINDS = ["channel", "pattern", "sharded"];
const END = Object.freeze({ value: undefined, done: true });

export class Subscription {
  #raw;
  #open;
  #signal;
  #onAbort;
  #failure;
  #waiting = [];
  #at = 0;
  #turn = Promise.resolve();
  #unconfirmed = new Set();

  /** `open` is the set of the client's subscriptions. */
  constructor(raw, kind, list, open, signal) {
    this.#raw = raw;
    this.#open = open;
    open.add(this);
    if (signal !== undefined) {
      this.#signal = signal;
      this.#onAbort = () => {
        this.#failure = aborted(signal, "Unknown", "SUBSCRIBE");
        this.close();
      };
      signal.addEventListener("abort", this.#onAbort, { once: true });
    }
    this.#change("add", kind, list);
  }

  #change(method, kind, list) {
    if (this.#raw === undefined) throw closed();
    for (const name of list) {
      this.#raw[method](kind, name);
      const key = `${KINDS[kind]} ${new TextDecoder().decode(name)}`;
      if (method === "add") this.#unconfirmed.add(key);
      else this.#unconfirmed.delete(key);
    }
    return this;
  }

  subscribe(...channels) {
    return this.#change("add", 0, names("SUBSCRIBE", channels));
  }

  psubscribe(...patterns) {
    return this.#change("add", 1, names("PSUBSCRIBE", patterns));
  }

  ssubscribe(...channels) {
    return this.#change("add", 2, names("SSUBSCRIBE", channels));
  }

  unsubscribe(...channels) {
    return this.#change("remove", 0, names("UNSUBSCRIBE", channels));
  }

  punsubscribe(...patterns) {
    return this.#change("remove", 1, names("PUNSUBSCRIBE", patterns));
  }

  sunsubscribe(...channels) {
    return this.#change("remove", 2, names("SUNSUBSCRIBE", channels));
  }

  /** Reads more updates into `#waiting`; false at the end. */
  async #fill() {
    const raw = this.#raw;
    if (raw === undefined) return false;
    const updates = await new Promise((yes, no) => raw.next(yes, no));
    if (this.#raw === undefined) return false;
    if (updates.length === 0) {
      this.close();
      return false;
    }
    if (this.#at === this.#waiting.length) {
      this.#waiting = [];
      this.#at = 0;
    }
    for (const update of updates) {
      if (update.type === "subscribed") this.#unconfirmed.delete(`${update.kind} ${update.channel}`);
      this.#waiting.push(update);
    }
    return true;
  }

  /** Runs `step` after those that were begun before. */
  #inTurn(step) {
    const result = this.#turn.then(step);
    this.#turn = result.catch(() => {});
    return result;
  }

  #end() {
    if (this.#failure === undefined) return END;
    const failure = this.#failure;
    this.#failure = undefined;
    throw failure;
  }

  async #next() {
    if (this.#at === this.#waiting.length && !(await this.#fill())) return this.#end();
    const value = this.#waiting[this.#at];
    this.#at += 1;
    return { value, done: false };
  }

  next() {
    return this.#inTurn(() => this.#next());
  }

  ready(options = {}) {
    const { timeout = 5000 } = options ?? {};
    if (typeof timeout !== "number" || !(timeout >= 0)) {
      return Promise.reject(wrong("timeout of ready() is not a number of milliseconds"));
    }
    const wanted = [...this.#unconfirmed];
    const late = () => {
      const missing = wanted.filter((key) => this.#unconfirmed.has(key));
      const message = `not subscribed to ${missing.join(", ")} within ${timeout} ms`;
      return new SlotcarError(message, { kind: "Timeout", delivery: "Unknown", command: "SUBSCRIBE" });
    };
    let timer;
    const deadline = new Promise((_, reject) => {
      timer = setTimeout(() => reject(late()), Math.min(timeout, 2 ** 31 - 1));
    });
    const confirmed = this.#inTurn(async () => {
      let seen = this.#at;
      while (wanted.some((key) => this.#unconfirmed.has(key))) {
        for (; seen < this.#waiting.length; seen++) {
          const { type, kind, channel, error } = this.#waiting[seen];
          if (type === "refused" && wanted.includes(`${kind} ${channel}`)) throw error;
        }
        if (!(await this.#fill())) {
          this.#end();
          throw closed("SUBSCRIBE");
        }
        seen = Math.min(seen, this.#at);
      }
      return this;
    });
    return Promise.race([confirmed, deadline]).finally(() => clearTimeout(timer));
  }

  close() {
    const raw = this.#raw;
    if (raw === undefined) return;
    this.#raw = undefined;
    this.#waiting = [];
    this.#at = 0;
    this.#open.delete(this);
    this.#signal?.removeEventListener("abort", this.#onAbort);
    raw.close();
  }

  async return(value) {
    this.close();
    return { value, done: true };
  }

  async throw(error) {
    this.close();
    throw error;
  }

  [Symbol.asyncIterator]() {
    return this;
  }

  async [ASYNC_DISPOSE]() {
    this.close();
  }
}

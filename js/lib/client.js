// The client as a program holds it: a method for each command, views, pipelines, subscriptions.
//
// Invariant: a call either returns a promise that settles or, where it builds something (pipeline,
// subscription), throws a `SlotcarError`. Calls with one or two strings, which are most, cross into
// the module once; others cross once for each argument.

import { build, commandName, names } from "./arguments.js";
import { cancelWith } from "./cancelling.js";
import { COMMANDS } from "./commands.js";
import { aborted, closed } from "./errors.js";
import { readView } from "./options.js";
import { Pipeline } from "./pipeline.js";
import { BYTES, formOf } from "./replies.js";
import { Subscription } from "./subscription.js";

/** `Symbol.asyncDispose` where the host has it, and what compilers use where it has not. */
const ASYNC_DISPOSE = Symbol.asyncDispose ?? Symbol.for("Symbol.asyncDispose");

/** What a client shares with its views. */
class Root {
  constructor(glue, signal) {
    this.glue = glue;
    this.isClosed = false;
    this.subscriptions = new Set();
    this.signal = signal;
    this.onAbort = undefined;
  }
}

export class Client {
  #raw;
  #root;
  #signal;

  /** Made by `connect` and `with` only. */
  constructor(raw, root, signal) {
    this.#raw = raw;
    this.#root = root;
    this.#signal = signal;
  }

  /** A client of its own, which closes when `signal` is aborted. */
  static own(glue, raw, signal) {
    const root = new Root(glue, signal);
    const client = new Client(raw, root, undefined);
    if (signal !== undefined) {
      root.onAbort = () => client.close();
      signal.addEventListener("abort", root.onAbort, { once: true });
    }
    return client;
  }

  static {
    const define = (name, value) => {
      // What the class has itself (subscribe, multi) is not the plain command.
      if (Object.hasOwn(Client.prototype, name)) return;
      Object.defineProperty(Client.prototype, name, { value, writable: true, configurable: true });
    };
    for (const command of COMMANDS) {
      const name = command.toLowerCase();
      const form = formOf(name);
      if (typeof form === "function") {
        define(name, function (...args) {
          return this.#run(command, args, form(args));
        });
        define(`${name}Buffer`, function (...args) {
          return this.#run(command, args, form(args) | BYTES);
        });
      } else {
        define(name, function (...args) {
          return this.#run(command, args, form);
        });
        define(`${name}Buffer`, function (...args) {
          return this.#run(command, args, form | BYTES);
        });
      }
    }
  }

  #run(command, args, form) {
    const root = this.#root;
    if (root.isClosed) return Promise.reject(closed(command));
    if (this.#signal !== undefined) {
      return this.#cancellable(command, () => {
        build(root.glue, command, args);
        return (raw) => new Promise((yes, no) => raw.send(form, yes, no));
      });
    }
    const [first, second] = args;
    if (typeof first === "string") {
      if (args.length === 1) {
        return new Promise((yes, no) => this.#raw.send1(command, first, form, yes, no));
      }
      if (args.length === 2 && typeof second === "string") {
        return new Promise((yes, no) => this.#raw.send2(command, first, second, form, yes, no));
      }
    }
    try {
      build(root.glue, command, args);
    } catch (error) {
      return Promise.reject(error);
    }
    return new Promise((yes, no) => this.#raw.send(form, yes, no));
  }

  /** Runs a call that this view's signal may end. `prepare` returns how it is sent. */
  async #cancellable(command, prepare) {
    const signal = this.#signal;
    if (signal.aborted) throw aborted(signal, "NotSent", command);
    const send = prepare();
    const canceller = this.#root.glue.Canceller.arm();
    const cancelled = cancelWith(signal, canceller);
    try {
      return await send(this.#raw);
    } catch (error) {
      if (error?.kind === "Aborted") throw aborted(signal, error.delivery, command);
      throw error;
    } finally {
      cancelled.end();
      canceller.free();
    }
  }

  call(name, ...args) {
    try {
      return this.#run(commandName(name), args, 0);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  callBuffer(name, ...args) {
    try {
      return this.#run(commandName(name), args, BYTES);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  pipeline() {
    return this.#collect(false);
  }

  multi() {
    return this.#collect(true);
  }

  #collect(atomic) {
    const { glue } = this.#root;
    return new Pipeline(glue, (batch) => {
      if (this.#root.isClosed) {
        batch.free();
        return Promise.reject(closed(atomic ? "MULTI" : undefined));
      }
      const send = (raw) => new Promise((yes, no) => raw.exec(batch, atomic, yes, no));
      if (this.#signal === undefined) return send(this.#raw);
      return this.#cancellable(undefined, () => send);
    });
  }

  subscribe(...channels) {
    return this.#subscribe(0, "SUBSCRIBE", channels, false);
  }

  psubscribe(...patterns) {
    return this.#subscribe(1, "PSUBSCRIBE", patterns, false);
  }

  ssubscribe(...channels) {
    return this.#subscribe(2, "SSUBSCRIBE", channels, false);
  }

  subscribeBuffer(...channels) {
    return this.#subscribe(0, "SUBSCRIBE", channels, true);
  }

  psubscribeBuffer(...patterns) {
    return this.#subscribe(1, "PSUBSCRIBE", patterns, true);
  }

  ssubscribeBuffer(...channels) {
    return this.#subscribe(2, "SSUBSCRIBE", channels, true);
  }

  #subscribe(kind, command, channels, asBytes) {
    if (this.#root.isClosed) throw closed(command);
    if (this.#signal?.aborted) throw aborted(this.#signal, "NotSent", command);
    const list = names(command, channels);
    const raw = this.#raw.subscribe(asBytes);
    return new Subscription(raw, kind, list, this.#root.subscriptions, this.#signal);
  }

  with(options) {
    const view = readView(options);
    if (this.#root.isClosed) throw closed();
    const raw = this.#raw.view(view.timeout, view.readFrom, view.maxStaleness);
    return new Client(raw, this.#root, view.signal ?? this.#signal);
  }

  topology() {
    if (this.#root.isClosed) throw closed();
    return this.#raw.topology();
  }

  get closed() {
    return this.#root.isClosed;
  }

  close() {
    const root = this.#root;
    if (root.isClosed) return;
    root.isClosed = true;
    root.signal?.removeEventListener("abort", root.onAbort);
    for (const subscription of root.subscriptions) subscription.close();
    this.#raw.close();
  }

  async [ASYNC_DISPOSE]() {
    this.close();
  }
}

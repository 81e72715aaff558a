// Commands that are collected and sent together: `pipeline()` and `multi()`.
//
// Invariant: after a command that could not be built nothing is sent at all, and `exec` is rejected
// with the error of the first such command.

import { build, commandName } from "./arguments.js";
import { COMMANDS } from "./commands.js";
import { SlotcarError, wrong } from "./errors.js";
import { BYTES, formOf } from "./replies.js";

export class Pipeline {
  #glue;
  #run;
  #batch;
  #error;
  #length = 0;

  /** `run` sends a batch. */
  constructor(glue, run) {
    this.#glue = glue;
    this.#run = run;
    this.#batch = new glue.Batch();
  }

  static {
    const define = (name, value) => {
      if (Object.hasOwn(Pipeline.prototype, name)) return;
      Object.defineProperty(Pipeline.prototype, name, { value, writable: true, configurable: true });
    };
    for (const command of COMMANDS) {
      const name = command.toLowerCase();
      const form = formOf(name);
      const of = typeof form === "function" ? form : () => form;
      define(name, function (...args) {
        return this.#add(command, args, of(args));
      });
      define(`${name}Buffer`, function (...args) {
        return this.#add(command, args, of(args) | BYTES);
      });
    }
  }

  #add(command, args, form) {
    if (this.#batch === undefined) throw wrong(`${command} is added after exec()`, command);
    this.#length += 1;
    const [first, second] = args;
    if (typeof first === "string") {
      if (args.length === 1) {
        this.#batch.push1(command, first, form);
        return this;
      }
      if (args.length === 2 && typeof second === "string") {
        this.#batch.push2(command, first, second, form);
        return this;
      }
    }
    try {
      build(this.#glue, command, args);
      this.#batch.push(form);
    } catch (error) {
      this.#error ??= error;
    }
    return this;
  }

  #call(name, args, form) {
    try {
      return this.#add(commandName(name), args, form);
    } catch (error) {
      if (this.#batch === undefined) throw error;
      this.#error ??= error;
      return this;
    }
  }

  call(name, ...args) {
    return this.#call(name, args, 0);
  }

  callBuffer(name, ...args) {
    return this.#call(name, args, BYTES);
  }

  get length() {
    return this.#length;
  }

  async exec() {
    const batch = this.#batch;
    if (batch === undefined) throw wrong("exec() is called twice");
    this.#batch = undefined;
    if (this.#error !== undefined || this.#length === 0) {
      batch.free();
      if (this.#error !== undefined) throw this.#error;
      return [];
    }
    const results = await this.#run(batch);
    for (let at = 0; at < results.length; at++) {
      const result = results[at];
      results[at] = result instanceof SlotcarError ? [result, null] : [null, result];
    }
    return results;
  }

  discard() {
    this.#batch?.free();
    this.#batch = undefined;
  }
}

// The arguments of a call as the arguments of a command: strings and bytes, in one flat list.
//
// Nothing of the caller runs once a command has been begun: lists are flattened and getters are
// read before.

import { nameOf, wrong } from "./errors.js";

/** The bytes of a value that is bytes; otherwise `undefined`. */
function bytesOf(value) {
  if (value instanceof Uint8Array) return value;
  if (ArrayBuffer.isView(value)) {
    return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  }
  if (value instanceof ArrayBuffer) return new Uint8Array(value);
  if (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer) {
    return new Uint8Array(value).slice();
  }
  return undefined;
}

/** A single value as text or bytes; `undefined` if it is neither a string, a number nor bytes. */
function single(value) {
  switch (typeof value) {
    case "string":
      return value;
    case "number":
      if (Number.isNaN(value)) return undefined;
      // As servers write them; both ends of a range of scores.
      if (value === Infinity) return "+inf";
      return value === -Infinity ? "-inf" : String(value);
    case "bigint":
      return String(value);
    case "object":
      return value === null ? undefined : bytesOf(value);
    default:
      return undefined;
  }
}

function isPlainObject(value) {
  const prototype = Object.getPrototypeOf(value);
  return prototype === null || prototype === Object.prototype;
}

const ALLOWED = "allowed are strings, numbers, bigints, bytes, lists of them, and objects and maps of them";

function refuse(command, place, value) {
  return wrong(`${place} of ${command} is ${nameOf(value)}: ${ALLOWED}`, command);
}

function push(flat, command, place, value) {
  const argument = single(value);
  if (argument === undefined) throw refuse(command, place, value);
  flat.push(argument);
}

/** Appends one argument of the call; lists, sets, maps and objects are several. */
function flatten(flat, command, place, value) {
  const argument = single(value);
  if (argument !== undefined) {
    flat.push(argument);
    return;
  }
  if (typeof value !== "object" || value === null) throw refuse(command, place, value);
  if (Array.isArray(value) || value instanceof Set) {
    let at = 0;
    for (const element of value) {
      at += 1;
      const inside = `element ${at} of ${place}`;
      // A pair, as in a list of entries, is one level deeper.
      if (Array.isArray(element)) {
        element.forEach((inner, index) => push(flat, command, `element ${index + 1} of ${inside}`, inner));
      } else {
        push(flat, command, inside, element);
      }
    }
    return;
  }
  if (value instanceof Map || isPlainObject(value)) {
    const entries = value instanceof Map ? value : Object.entries(value);
    for (const [key, inner] of entries) {
      push(flat, command, `a key in ${place}`, key);
      push(flat, command, `the value of "${String(key)}" in ${place}`, inner);
    }
    return;
  }
  throw refuse(command, place, value);
}

/** Builds the command of a call in the module: what the next send sends. */
export function build(glue, command, args) {
  const flat = [];
  for (let at = 0; at < args.length; at++) {
    const argument = args[at];
    if (typeof argument === "string") flat.push(argument);
    else flatten(flat, command, `argument ${at + 1}`, argument);
  }
  glue.begin(command);
  for (const argument of flat) {
    if (typeof argument === "string") glue.text(argument);
    else glue.bytes(argument);
  }
}

const encoder = new TextEncoder();

/** The names of channels or patterns as bytes. */
export function names(command, args) {
  const flat = [];
  args.forEach((argument, at) => flatten(flat, command, `argument ${at + 1}`, argument));
  return flat.map((name) => (typeof name === "string" ? encoder.encode(name) : name));
}

/** The name of a command that a caller chose. */
export function commandName(name) {
  if (typeof name !== "string" || name.trim() === "") {
    throw wrong(`the name of a command is ${name === "" ? "empty" : nameOf(name)}: a string is needed`);
  }
  return name.toUpperCase();
}

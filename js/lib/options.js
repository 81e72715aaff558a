// The options of `connect`: the keys of a URL's query in camelCase, and those of JavaScript alone.
//
// The client checks the values; here their types are checked, so that an error names the option as
// it was written.

import { nameOf, wrong } from "./errors.js";

const TEXT = ["a string", (value) => (typeof value === "string" ? value : undefined)];
const FLAG = ["true or false", (value) => (typeof value === "boolean" ? String(value) : undefined)];
const COUNT = [
  "a whole number",
  (value) => (Number.isSafeInteger(value) && value >= 0 ? String(value) : undefined),
];
const TIME = [
  'a string with a unit, as "500ms", or a number of milliseconds',
  (value) => text(value) ?? withUnit(value, "ms"),
];
const TIME_OR_OFF = [
  'a string with a unit, as "500ms", a number of milliseconds, or "off"',
  TIME[1],
];
const SIZE = [
  'a string with a unit, as "64KiB", or a number of bytes',
  (value) => text(value) ?? withUnit(value, "B"),
];
const LIST = [
  "a string, or a list of strings",
  (value) => text(value) ?? (isTexts(value) ? value.join(",") : undefined),
];
const TABLE = [
  "a string, or an object of strings",
  (value) => text(value) ?? pairs(value),
];

/** The keys of a URL's query; `tests/options.test.mjs` compares them with those that the client knows. */
export const QUERY = {
  addressMap: TABLE,
  attemptsMax: COUNT,
  backoffBase: TIME,
  backoffCap: TIME,
  clientName: TEXT,
  commandTimeout: TIME,
  connectTimeout: TIME,
  connectionsMax: COUNT,
  connectionsPerNode: COUNT,
  courtesies: FLAG,
  db: COUNT,
  dialsPerSecond: COUNT,
  exclusiveConnectionsMax: COUNT,
  maxStaleness: TIME_OR_OFF,
  nodeBytesMax: SIZE,
  pipelineCommandsMax: COUNT,
  primaryFallbackPercentMax: COUNT,
  probeInterval: TIME_OR_OFF,
  progressTimeout: TIME,
  protocol: TEXT,
  readFrom: TEXT,
  redirectsMax: COUNT,
  refreshInterval: TIME_OR_OFF,
  refreshesPerSecond: COUNT,
  refusalWaitMax: TIME_OR_OFF,
  replicas: LIST,
  replyBytesMax: SIZE,
  replyDepthMax: COUNT,
  retryUnknown: FLAG,
  sentinelInterval: TIME,
  sentinelPassword: TEXT,
  sentinelTls: FLAG,
  sentinelUsername: TEXT,
  service: TEXT,
  subscriptionBytesMax: SIZE,
  subscriptionConnection: TEXT,
  subscriptionMessagesMax: COUNT,
  whenFull: TEXT,
  whenLagging: TEXT,
  zones: TABLE,
};

function text(value) {
  return typeof value === "string" ? value : undefined;
}

function withUnit(value, unit) {
  return Number.isSafeInteger(value) && value >= 0 ? `${value}${unit}` : undefined;
}

function isTexts(value) {
  return Array.isArray(value) && value.every((element) => typeof element === "string");
}

function pairs(value) {
  if (typeof value !== "object" || value === null || Array.isArray(value)) return undefined;
  const entries = Object.entries(value);
  if (!entries.every(([, inner]) => typeof inner === "string")) return undefined;
  return entries.map(([key, inner]) => `${key}=${inner}`).join(",");
}

/** `commandTimeout` as it is written in a URL: `command_timeout`. */
export function snake(name) {
  return name.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

function isSignal(value) {
  return typeof value === "object" && value !== null && typeof value.addEventListener === "function";
}

/** The options that have no place in a URL: what each must be, and the check. */
const OWN = {
  connect: ["a function", (value) => typeof value === "function"],
  password: ["a string", (value) => typeof value === "string"],
  signal: ["an AbortSignal", isSignal],
  topology: ["what `topology()` returned", (value) => typeof value === "object" && value !== null],
  username: ["a string", (value) => typeof value === "string"],
};

/** The URL with these credentials, which need no encoding by the caller. */
function withCredentials(url, username, password) {
  if (username === undefined && password === undefined) return url;
  const authority = /^[^:/?#]*:\/\/([^/?]*)/.exec(url)?.[1];
  // Not a URL at all: the client says so.
  if (authority === undefined) return url;
  const name = username === undefined ? "password" : "username";
  if (authority.includes("@")) throw wrong(`${name} is given as an option and in the URL`);
  const secret = password === undefined ? "" : `:${encodeURIComponent(password)}`;
  return url.replace("://", () => `://${encodeURIComponent(username ?? "")}${secret}@`);
}

/** Reads a URL and options; `tls` are the options that the host's own `connect` takes for TLS. */
export function readOptions(url, options, tls) {
  if (typeof url !== "string" && !(url instanceof URL)) {
    throw wrong(`the URL is ${nameOf(url)}: a string is needed, as "redis://localhost:6379"`);
  }
  if (typeof options !== "object" || options === null || Array.isArray(options)) {
    throw wrong(`the options are ${nameOf(options)}: an object is needed`);
  }
  const read = { query: [], host: undefined, written: [] };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (Object.hasOwn(QUERY, name)) {
      const [allowed, textOf] = QUERY[name];
      const written = textOf(value);
      if (written === undefined) throw wrong(`${name} is ${nameOf(value)}: allowed is ${allowed}`);
      read.query.push(`${snake(name)}=${encodeURIComponent(written)}`);
      read.written.push(name);
    } else if (Object.hasOwn(OWN, name)) {
      const [allowed, isRight] = OWN[name];
      if (!isRight(value)) throw wrong(`${name} is ${nameOf(value)}: allowed is ${allowed}`);
      read[name] = value;
    } else if (tls.includes(name)) {
      read.host = { ...read.host, [name]: value };
    } else {
      const known = [...Object.keys(QUERY), ...Object.keys(OWN), ...tls].sort();
      throw wrong(`unknown option "${name}": allowed are ${known.join(", ")}`);
    }
  }
  const base = withCredentials(String(url), read.username, read.password);
  const joint = base.includes("?") ? "&" : "?";
  read.url = read.query.length === 0 ? base : base + joint + read.query.join("&");
  return read;
}

/** The options of `with`. */
export function readView(options) {
  if (typeof options !== "object" || options === null) {
    throw wrong(`the options of \`with\` are ${nameOf(options)}: an object is needed`);
  }
  const view = { timeout: NaN, readFrom: undefined, maxStaleness: NaN, signal: undefined };
  for (const [name, value] of Object.entries(options)) {
    if (value === undefined) continue;
    if (!Object.hasOwn(view, name)) {
      throw wrong(`unknown option "${name}" of \`with\`: allowed are ${Object.keys(view).join(", ")}`);
    }
    const isTime = name === "timeout" || name === "maxStaleness";
    if (isTime && !(typeof value === "number" && value >= 0 && value <= Number.MAX_SAFE_INTEGER)) {
      throw wrong(`${name} is ${nameOf(value)}: allowed is a number of milliseconds`);
    }
    if (name === "readFrom" && typeof value !== "string") {
      throw wrong(`readFrom is ${nameOf(value)}: allowed is a string`);
    }
    if (name === "signal" && !isSignal(value)) {
      throw wrong(`signal is ${nameOf(value)}: allowed is an AbortSignal`);
    }
    view[name] = value;
  }
  return view;
}

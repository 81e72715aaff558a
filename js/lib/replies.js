// The form of each command's reply, where RESP2 sends it in another one than RESP3.
//
// The numbers are those of `js/src/reply.rs`; over RESP3 they change nothing.

export const BYTES = 1;
const MAP = 2;
const NUMBER = 4;
const SCORES = 8;

/** By lower-case name; a container's by the name of its subcommand. */
const FORMS = {
  hgetall: MAP,
  config: { get: MAP },
  acl: { getuser: MAP },
  function: { stats: MAP },
  memory: { stats: MAP },
  client: { trackinginfo: MAP },
  xinfo: { stream: MAP },
  zscore: NUMBER,
  zmscore: NUMBER,
  zincrby: NUMBER,
};

/** Commands whose reply is a list of members with scores if an argument says so. */
const WITH_SCORES = new Set([
  "zdiff",
  "zinter",
  "zrandmember",
  "zrange",
  "zrangebyscore",
  "zrevrange",
  "zrevrangebyscore",
  "zunion",
]);

/** The form of a command's reply, without that of its strings: a number, or a function of the call. */
export function formOf(name) {
  const form = FORMS[name];
  if (typeof form === "object") {
    return (args) => (typeof args[0] === "string" && form[args[0].toLowerCase()]) || 0;
  }
  if (WITH_SCORES.has(name)) {
    const asks = (argument) => typeof argument === "string" && /^withscores$/i.test(argument);
    return (args) => (args.flat().some(asks) ? SCORES : 0);
  }
  return form ?? 0;
}

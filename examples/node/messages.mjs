// A script with a subscription: prints what is published to some channels, and says where messages
// may be missing. Ends at Ctrl-C.
//
//   node messages.mjs redis-cluster://127.0.0.1:7000 orders:1 orders:2

import { connect } from "slotcar";

const [url = "redis://localhost:6379", ...channels] = process.argv.slice(2);
const redis = await connect(url, { clientName: "messages" });
process.once("SIGINT", () => redis.close());

for await (const update of redis.ssubscribe(channels.length > 0 ? channels : ["news"])) {
  switch (update.type) {
    case "message":
      console.log(`${update.channel}: ${update.message}`);
      break;
    case "subscribed":
      console.log(`${update.channel} is sent by ${update.endpoint}`);
      break;
    case "gap":
      console.log(`${update.channel}: messages may be missing (${update.cause})`);
      break;
    case "moved":
      console.log(`${update.channel} moved from ${update.from} to ${update.to}`);
      break;
    case "lagged":
      console.log(`${update.dropped} messages were dropped, because this script was too slow`);
      break;
  }
}

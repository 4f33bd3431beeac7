// posthog-node: prints the nanoseconds that a `capture` takes of its caller,
// and that `count` events take until all are sent (in batches, which that
// service has).
//   node posthog.mjs url key count
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "build/bench/index.js"));
const { PostHog } = require("posthog-node");
const [url, key, text] = process.argv.slice(2);
const count = Number(text);
const client = new PostHog(key, {
  host: url,
  flushAt: 1000,
  flushInterval: 10000,
  maxQueueSize: 10 * count,
  disableGeoip: true,
});
const before = process.hrtime.bigint();
for (let i = 0; i < count; i++) {
  client.capture({
    distinctId: "user_123",
    event: "user.signup",
    properties: { plan: "pro" },
  });
}
const captured = process.hrtime.bigint();
await client.shutdown();
const done = process.hrtime.bigint();
console.log(String(captured - before), String(done - before));

// The service's official TypeScript SDK under its former name: `count`
// events, 16 at a time. Prints the nanoseconds.
//   node userplex.mjs url key count
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.cwd(), "build/bench/index.js"));
const Userplex = require("userplex").default ?? require("userplex");
const [url, apiKey, count] = process.argv.slice(2);
const client = new Userplex({ apiKey, baseURL: url });
const event = {
  name: "user.signup",
  user_id: "user_123",
  data: { plan: "pro" },
};

let left = Number(count);
async function lane() {
  while (left-- > 0) await client.logs.new(event);
}
const before = process.hrtime.bigint();
await Promise.all(Array.from({ length: 16 }, lane));
console.log(String(process.hrtime.bigint() - before));

// scripts/soak --peers: the same load on Limpet, on nginx in front of it and on Node under pm2, each reloaded every few
// seconds. Writes docs/results-reload.md and .svg when all of them ran.
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { kContenders } from "./contenders.mjs";
import { underLoad } from "./reloads.mjs";
import { writeReloads } from "./results.mjs";

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    every: { type: "string", default: "5" },
    calm: { type: "string", default: "10" },
    "web-sockets": { type: "string", default: "1000" },
    pollers: { type: "string", default: "200" },
    echoes: { type: "string", default: "500" },
    only: { type: "string", multiple: true, default: Object.keys(kContenders) },
  },
});
const [seconds, every, calmSeconds, webSockets, pollers, echoes] = ["seconds", "every", "calm", "web-sockets", "pollers", "echoes"].map((name) => Number(values[name]));

async function measure({ name, operation, start }) {
  const server = await start();
  let remains;
  try {
    const operate = async () => {
      const next = performance.now() + every * 1000;
      await server.operate();
      await pause(Math.max(0, next - performance.now()));
      remains = server.remains(); // while the clients are there
    };
    const progress = (line) => console.log(`${name}: ${line}`);
    const result = await underLoad(server.port, operate, { seconds, calmSeconds, atLeast: 1, webSockets, pollers, echoes, progress });
    return { name, operation, ...result, remains };
  } finally {
    await server.close();
  }
}

const runs = [];
for (const key of values.only) {
  runs.push(await measure(kContenders[key]));
  const { name, calm, busy, report, remains } = runs.at(-1);
  console.log(name, { calm, busy, ...report, remains });
}
if (Object.keys(kContenders).every((key) => values.only.includes(key))) writeReloads({ command: ["scripts/soak --peers", ...process.argv.slice(2)].join(" "), runs, seconds, every, calmSeconds, webSockets, pollers, echoes });

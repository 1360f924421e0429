// scripts/soak: a cluster of its own under load while it is reloaded, upgraded or scaled again and again, and one with
// many idle clients that is reloaded once. Writes docs/results-soak.md when all of that ran.
import { parseArgs } from "node:util";
import { Cluster } from "../system/cluster.mjs";
import { moveIdle } from "./idle.mjs";
import { underLoad, wordsOf } from "./reloads.mjs";
import { writeSoak } from "./results.mjs";

const kAll = ["reload", "upgrade", "scale", "idle"];
const kMostAddedMs = 100; // at the 99th percentile

const { values } = parseArgs({
  options: {
    seconds: { type: "string", default: "60" },
    workers: { type: "string", default: "2" },
    "web-sockets": { type: "string", default: "1000" },
    pollers: { type: "string", default: "200" },
    echoes: { type: "string", default: "500" },
    clients: { type: "string", default: "10000" }, // that are idle
    operation: { type: "string", multiple: true, default: kAll },
  },
});
const [seconds, workers, webSockets, pollers, echoes, clients] = ["seconds", "workers", "web-sockets", "pollers", "echoes", "clients"].map((name) => Number(values[name]));

const faults = ({ failed_requests, failed_connects, disconnects, mistakes, missing }) => failed_requests + failed_connects + disconnects + mistakes + missing;

/// What went wrong, in words; empty if nothing did.
async function soak(operation, runs) {
  const cluster = await Cluster.start({ workers });
  try {
    const operate = async (turn) => {
      const { code, text } = await cluster.ctl(...wordsOf(operation, turn));
      if (code !== 0) throw new Error(`${text}\n${cluster.process.tail()}`);
    };
    const result = await underLoad(cluster.port, operate, { seconds, webSockets, pollers, echoes, progress: (line) => console.log(`${operation}: ${line}`) });
    const { calm, busy, report } = result;
    const addedMs = Math.max(busy.echo.p99 - calm.echo.p99, busy.http.p99 - calm.http.p99);
    runs.push({ operation, addedMs, ...result });
    console.table({ "echo, calm": calm.echo, [`echo, ${operation}`]: busy.echo, "http, calm": calm.http, [`http, ${operation}`]: busy.http });
    console.log(report);
    if (faults(report) > 0) {
      console.log(cluster.process.lines.filter((line) => /warn|error/.test(line)).slice(-40).join("\n"));
      const counters = Object.entries(await cluster.stats()).filter(([name, { total }]) => /^(broadcasts|ring|sessions|handovers|requests)_/.test(name) && total > 0);
      console.log(counters.map(([name, { total }]) => `${name} ${total}`).join(", "));
      return "somebody noticed";
    }
    return addedMs < kMostAddedMs ? "" : `the 99th percentile grew by ${addedMs.toFixed(0)} ms`;
  } finally {
    await cluster.close();
  }
}

async function soakIdle(runs) {
  const result = await moveIdle({ clients, workers, progress: (line) => console.log(`idle: ${line}`) });
  console.log(result);
  runs.push({ operation: "idle", ...result });
  return faults(result.report) > 0 ? "somebody noticed" : "";
}

const runs = [];
const wrong = [];
for (const operation of values.operation) {
  const what = operation === "idle" ? await soakIdle(runs) : await soak(operation, runs);
  if (what) wrong.push(`${operation}: ${what}`);
}
if (kAll.every((each) => values.operation.includes(each))) writeSoak({ command: ["scripts/soak", ...process.argv.slice(2)].join(" "), runs, seconds, workers, webSockets, pollers, echoes });
console.log(wrong.length ? wrong.join("\n") : "nobody noticed");
process.exitCode = wrong.length ? 1 : 0;

// Other numbers of workers, and a reload, with very many sessions: how long each takes, and the CPU time of the whole process
// tree for each session that moves. `node tests/soak/scale.mjs --sessions 80000` (of each of two workers) prints a line for
// each; with --bar exits 1 if one of them took more than 2 s or 25 µs per session.
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "../system/cluster.mjs";
import { openPollingCrowd } from "../system/polling_crowd.mjs";
import { cpuSeconds } from "./idle.mjs";

const bar = { wall_ms: 2000, cpu_us_per_session: 25 };

/// {operation, moved, drained, wall_ms, cpu_us_per_session}
async function operate(cluster, words, sessions) {
  await pause(1000); // what the one before has left to do is not this one's
  const cpu = cpuSeconds(cluster.pid);
  const begun = performance.now();
  const { code, text } = await cluster.ctl(...words);
  const wall = performance.now() - begun;
  if (code !== 0) throw new Error(text);
  const used = cpuSeconds(cluster.pid) - cpu;
  // A reload's text counts what its workers gave in their whole lives.
  const [, moved, drained] = (words[0] === "scale" && text.match(/(\d+) sessions moved, (\d+) drained/)) || [0, sessions, 0];
  return { operation: words.join(" "), moved: Number(moved), drained: Number(drained), wall_ms: Math.round(wall), cpu_us_per_session: Number(((used * 1e6) / Number(moved)).toFixed(1)) };
}

/// One result for each operation.
export async function moveCrowds({ sessions, progress = () => {} }) {
  const settings = { max_workers: 3, pingInterval: 3_600_000, "reload.drain_deadline": "60s" };
  const cluster = await Cluster.start({ workers: 2, settings });
  try {
    await openPollingCrowd(cluster.port, 2 * sessions);
    const results = [];
    for (const words of [["scale", "1"], ["scale", "2"], ["scale", "3"], ["scale", "2"], ["reload"]]) {
      const result = await operate(cluster, words, 2 * sessions);
      results.push(result);
      progress(JSON.stringify(result));
    }
    const open = (await cluster.stats()).sessions_open.total;
    if (open !== 2 * sessions) throw new Error(`of ${2 * sessions} sessions ${open} are left`);
    return results;
  } finally {
    await cluster.close();
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const { values } = parseArgs({ options: { sessions: { type: "string", default: "80000" }, bar: { type: "boolean", default: false } } });
  const results = await moveCrowds({ sessions: Number(values.sessions), progress: console.log });
  const beyond = results.filter((result) => Object.entries(bar).some(([name, most]) => result[name] > most));
  if (values.bar && beyond.length > 0) process.exit(1);
}

// One reload moves many idle WebSockets: how long it takes, the CPU time of the whole process tree, and the longest pause
// that anybody sees.
import fs from "node:fs";
import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "../system/cluster.mjs";
import { until } from "../system/process.mjs";
import { Load } from "./load.mjs";

/// Seconds of CPU of the supervisor, of its living children, and of those it has buried.
export function cpuSeconds(supervisor) {
  let ticks = 0;
  for (const name of fs.readdirSync("/proc").filter((each) => /^\d+$/.test(each))) {
    try {
      const fields = fs.readFileSync(`/proc/${name}/stat`, "latin1").split(") ").at(-1).split(" ");
      if (Number(name) === supervisor) ticks += fields.slice(11, 15).reduce((sum, each) => sum + Number(each), 0);
      else if (Number(fields[1]) === supervisor) ticks += Number(fields[11]) + Number(fields[12]);
    } catch {
      // gone meanwhile
    }
  }
  return ticks / 100;
}

/// {clients, wall_ms, cpu_ms, cpu_us_per_session, calm, busy, report}
export async function moveIdle({ clients, workers, progress = () => {} }) {
  const cluster = await Cluster.start({ workers });
  const load = new Load(cluster.port, { webSockets: clients, pollers: 0, talkers: 0, echoes: 500, says: 0.001, requests: 0.001 });
  try {
    await load.connect();
    progress(`${clients} WebSockets are connected`);
    load.start();
    await pause(3000);
    const calm = load.lap();
    const cpu = cpuSeconds(cluster.pid);
    const begun = performance.now();
    const { code, text } = await cluster.ctl("reload");
    const wall = performance.now() - begun;
    const used = cpuSeconds(cluster.pid) - cpu;
    if (code !== 0) throw new Error(text);
    progress(text);
    load.stop();
    await until(() => load.quiet(), "everything that was sent has come");
    const busy = load.lap();
    return { clients, wall_ms: Math.round(wall), cpu_ms: Math.round(used * 1000), cpu_us_per_session: Number(((used * 1e6) / clients).toFixed(1)), calm, busy, report: load.report() };
  } finally {
    load.leave();
    await cluster.close();
  }
}

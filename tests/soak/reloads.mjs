// Operations again and again under an open-loop load: the next begins when the last has ended. Gives what the load saw,
// and latencies without and with the operations.
import { setTimeout as pause } from "node:timers/promises";
import { until } from "../system/process.mjs";
import { Load } from "./load.mjs";

const sizes = [4, 6, 3, 2]; // of a cluster that begins with 2 workers

/// What `limpet ctl` is told in that turn (from 0): the operation; scale has another number of workers every time.
export const wordsOf = (operation, turn) => (operation === "scale" ? ["scale", String(sizes[turn % sizes.length])] : [operation]);

/// `operate(turn)` runs one operation to its end. {operations: [ms], calm, busy, report, history: [a second each]}
export async function underLoad(port, operate, { seconds = 60, calmSeconds = 10, atLeast = 10, progress = () => {}, ...options } = {}) {
  const load = new Load(port, options);
  try {
    await load.connect();
    load.start();
    await pause(1000);
    load.lap();
    await pause(calmSeconds * 1000);
    const calm = load.lap();
    const end = performance.now() + seconds * 1000;
    const operations = [];
    while (performance.now() < end || operations.length < atLeast) {
      const begun = performance.now();
      await operate(operations.length);
      operations.push(performance.now() - begun);
      progress(`operation ${operations.length}: ${operations.at(-1).toFixed(0)} ms, ${load.disconnects.length} disconnects, ${load.mistakes.length} mistakes`);
    }
    const busy = load.lap();
    load.stop();
    await until(() => load.quiet(), "everything that was sent has come", 10_000).catch(() => {});
    return { operations, calm, busy, report: load.report(), history: load.history };
  } finally {
    load.leave();
  }
}

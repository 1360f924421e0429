// Very many sessions move at the same price each as a few do: what stays where it is costs them nothing.
import assert from "node:assert/strict";
import { test } from "node:test";
import { cpuSeconds } from "../soak/idle.mjs";
import { Cluster } from "./cluster.mjs";
import { openPollingCrowd } from "./polling_crowd.mjs";

/// Of each of two workers. So many that a walk past the others for each of them, or for each batch, would show.
const sessions = 25_000;
/// Three times what it takes. The CPU time of all processes, so that others on the machine do not matter.
const mostMicroseconds = 60;

test("scaling and reloading cost each of 50,000 sessions what they cost each of a few", { timeout: 120_000 }, async () => {
  const cluster = await Cluster.start({ workers: 2, settings: { max_workers: 3, pingInterval: 3_600_000, "reload.drain_deadline": "60s" } });
  try {
    await openPollingCrowd(cluster.port, 2 * sessions);
    const operate = async (...words) => {
      const cpu = cpuSeconds(cluster.pid);
      const { code, text } = await cluster.ctl(...words);
      assert.equal(code, 0, text);
      return { microseconds: (cpuSeconds(cluster.pid) - cpu) * 1e6, text };
    };
    for (const workers of [1, 2, 3]) {
      const { microseconds, text } = await operate("scale", String(workers));
      const [, moved] = text.match(/(\d+) sessions moved, 0 drained/) ?? assert.fail(text);
      assert.ok(Number(moved) > sessions / 2, text);
      assert.ok(microseconds / Number(moved) < mostMicroseconds, `scale ${workers}: ${microseconds / Number(moved)} µs for each of ${moved} sessions`);
    }
    const { microseconds } = await operate("reload");
    assert.ok(microseconds / (2 * sessions) < mostMicroseconds, `reload: ${microseconds / (2 * sessions)} µs for each session`);
    const { sessions_open: open, sessions_drained: drained } = await cluster.stats();
    assert.deepEqual([open.total, drained.total], [2 * sessions, 0], "nobody is lost");
  } finally {
    await cluster.close();
  }
});

// Connections that wait in a slot's accept queue outlive the worker that should have accepted them.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Wire } from "../client/raw.mjs";
import { Cluster } from "./cluster.mjs";
import { within } from "./process.mjs";

describe("connections in the accept queue of a worker that dies", () => {
  let cluster;
  // No heartbeat in this test's time: the stopped worker must not be found out before its end.
  before(async () => (cluster = await Cluster.start({ workers: 4, settings: { "supervision.heartbeat_interval": "10m" } })));
  after(() => cluster?.close());

  test("all 1,000 are served by the successor", { timeout: 60_000 }, async () => {
    const from = "127.20.20.20";
    const victim = await cluster.who(from);
    process.kill(victim.pid, "SIGSTOP");
    const wires = Array.from({ length: 1_000 }, () => new Wire(cluster.port, { from }));
    try {
      await within(Promise.all(wires.map((wire) => wire.connected)), "1,000 connections", 20_000);
      for (const wire of wires) wire.write("GET /who HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
      process.kill(victim.pid, "SIGKILL");
      const answers = await Promise.all(wires.map((wire) => wire.response()));
      const who = answers.map((answer) => JSON.parse(answer.body));
      assert.deepEqual([...new Set(answers.map((answer) => answer.status))], [200]);
      assert.deepEqual([...new Set(who.map((each) => each.slot))], [victim.slot]);
      assert.equal(new Set(who.map((each) => each.generation)).size, 1);
      assert.ok(who[0].generation > victim.generation);
      const ends = await Promise.all(wires.map((wire) => wire.closed));
      assert.deepEqual([...new Set(ends)], ["end"]);
    } finally {
      wires.forEach((wire) => wire.destroy());
    }
  });
});

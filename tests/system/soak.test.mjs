// The short form of scripts/soak: a load goes on while the cluster is reloaded, then upgraded, then scaled, again and again.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { underLoad, wordsOf } from "../soak/reloads.mjs";
import { Cluster } from "./cluster.mjs";

describe("under an open-loop load", () => {
  let cluster;
  before(async () => (cluster = await Cluster.start({ workers: 2 })));
  after(() => cluster?.close());

  for (const operation of ["reload", "upgrade", "scale"]) {
    test(`${operation} again and again: no request fails, nobody is disconnected, no message is lost or doubled or out of order`, { timeout: 120_000 }, async () => {
      const operate = async (turn) => {
        const { code, text } = await cluster.ctl(...wordsOf(operation, turn));
        assert.equal(code, 0, `${text}\n${cluster.process.tail()}`);
      };
      const { operations, report } = await underLoad(cluster.port, operate, { seconds: 4, calmSeconds: 1, webSockets: 200, pollers: 40, echoes: 300 });
      assert.ok(operations.length >= 10);
      assert.ok(report.echoes > 1000 && report.room_messages > 500 && report.requests > 200, JSON.stringify(report));
      const { failed_requests, failed_connects, disconnects, mistakes, missing } = report;
      assert.deepEqual({ failed_requests, failed_connects, disconnects, mistakes, missing }, { failed_requests: 0, failed_connects: 0, disconnects: 0, mistakes: 0, missing: 0 }, report.examples.join("\n"));
    });
  }
});

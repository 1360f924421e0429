// The short form of scripts/soak --chaos.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chaos } from "../soak/chaos.mjs";

test("after 10 s of kills, stops, signals, reloads, upgrades and scales every slot serves, the chat goes through and nothing is left behind", { timeout: 220_000 }, async () => {
  const seed = Math.floor(Math.random() * 2 ** 32);
  const { faults, events } = await chaos({ seconds: 10, seed, clients: 20 }).catch((error) => {
    throw new Error(`--seed ${seed}: ${error.message}`);
  });
  assert.deepEqual(faults, [], `--seed ${seed}: ${JSON.stringify(events)}`);
  assert.ok(Object.values(events).reduce((sum, times) => sum + times, 0) >= 10, JSON.stringify(events));
});

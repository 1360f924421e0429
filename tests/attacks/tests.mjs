// The tests of one group of attacks (table.mjs): each attack, and everything that is wrong after it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { attacksOf, underAttack } from "./stage.mjs";

/// CPU time grows with what else the machine, or its host, does, and is never less than what the work costs: what was too much is
/// measured again. Nothing else gets a second chance.
const kMeasured = 3;

export function testAttacks(group, what) {
  describe(what, () => {
    for (const row of attacksOf([group])) {
      test(`${row.name}: nobody else notices`, { timeout: kMeasured * 150_000 }, async (t) => {
        for (let left = kMeasured; left > 0; left -= 1) {
          const { problems, tooMuchCpu, seconds, cpuMs, turnUs, grewMiB } = await underAttack(row);
          const figures = JSON.stringify({ seconds, cpuMs, turnUs, grewMiB });
          t.diagnostic(figures);
          assert.deepEqual(problems, [], `${figures}\n${problems.join("\n")}`);
          if (tooMuchCpu.length === 0) return;
          assert.ok(left > 1, `${kMeasured} times, the last time:\n${tooMuchCpu.join("\n")}`);
        }
      });
    }
  });
}

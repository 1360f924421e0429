// The tests of one group of attacks (table.mjs): each attack once, and everything that is wrong after it.
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { attacksOf, underAttack } from "./stage.mjs";

export function testAttacks(group, what) {
  describe(what, () => {
    for (const row of attacksOf([group])) {
      test(`${row.name}: nobody else notices`, { timeout: 150_000 }, async (t) => {
        const { problems, seconds, cpuMs, turnUs, grewMiB } = await underAttack(row);
        t.diagnostic(JSON.stringify({ seconds, cpuMs, turnUs, grewMiB }));
        assert.deepEqual(problems, [], `${JSON.stringify({ seconds, cpuMs, turnUs, grewMiB })}\n${problems.join("\n")}`);
      });
    }
  });
}

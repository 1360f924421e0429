// A reload that nobody notices: sessions move to the successor of their worker with everything that they know.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { ask, next } from "../client/official.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet, inThirds } from "./fleet.mjs";

describe("a reload disconnects nobody", () => {
  let cluster;
  let fleet;
  before(async () => {
    cluster = await Cluster.start({ workers: 2 });
    fleet = await Fleet.connect(cluster.url, addresses(30), inThirds);
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
  });

  async function reload() {
    const answer = await cluster.ctl("reload");
    assert.equal(answer.code, 0, `${answer.text}\n${cluster.process.tail()}`);
    return answer;
  }

  test("idle clients move with their rooms and their data", async () => {
    const [first] = fleet.members;
    await Promise.all(fleet.members.map(({ socket, name }) => ask(socket, "remember", { name })));
    await Promise.all(fleet.members.slice(0, 10).map(({ socket }) => ask(socket, "join", "ten")));
    const before = await Promise.all(fleet.members.map(({ socket }) => socket.id));
    await reload();
    fleet.assertNobodyNoticed();
    for (const { socket, name } of fleet.members) assert.deepEqual(await ask(socket, "recall"), { data: { name }, recovered: true });
    assert.deepEqual(fleet.members.map(({ socket }) => socket.id), before);
    const heard = fleet.members.map(() => 0);
    fleet.members.forEach(({ socket }, i) => socket.on("word", () => (heard[i] += 1)));
    await ask(first.socket, "server word", "ten", [], "hello");
    await fleet.chat(1);
    assert.deepEqual(heard, fleet.members.map((_, i) => (i < 10 ? 1 : 0)));
    const { sessions_departed, sessions_arrived, sessions_drained } = await cluster.stats();
    assert.deepEqual([sessions_departed.total, sessions_arrived.total, sessions_drained.total], [30, 30, 0]);
  });

  test("an answer finds the callback that waits for it in the worker before", { timeout: 30_000 }, async () => {
    const answers = fleet.members.map(({ socket }, i) => {
      const question = next(socket, "question", 20_000);
      const answered = next(socket, "answered", 20_000);
      socket.emit("ask me", `number ${i}`);
      return { question, answered };
    });
    const questions = await Promise.all(answers.map(({ question }) => question));
    const reloaded = reload();
    await cluster.line(/pid \d+ -> pid \d+/);
    await cluster.until(({ slots }) => slots.every(({ workers }) => workers.length === 2), "both slots have two workers");
    questions.forEach(([, answer], i) => answer(`to ${i}`));
    assert.deepEqual(await Promise.all(answers.map(async ({ answered }) => (await answered)[0])), fleet.members.map((_, i) => `to ${i}`));
    await reloaded;
    fleet.assertNobodyNoticed();
  });

  test("clients that chat lose no line, and hear none twice", { timeout: 60_000 }, async () => {
    for (let round = 0; round < 4; round += 1) {
      let over = false;
      const reloaded = reload().finally(() => (over = true));
      while (!over) await fleet.chat(3);
      await reloaded;
      fleet.assertNobodyNoticed();
    }
    await fleet.chat(1);
  });
});

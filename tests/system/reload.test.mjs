// What a reload does to the clients that are drained: each is told, none is left hanging, and no worker dies of it.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { Polling, rawWebSocket } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";

describe("a reload that moves nobody", () => {
  let cluster;
  // A connection that says nothing for as long as the window lasts is closed, so the window is longer than this process
  // may have to wait for a CPU between its connect and its first byte.
  before(async () => (cluster = await Cluster.start({ workers: 2, settings: { "reload.move": false, "reload.drain_window": "2s", "reload.drain_deadline": "10s" } })));
  after(() => cluster?.close());

  async function reload() {
    const before = (await cluster.seated()).map((worker) => worker.generation);
    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 0, text);
    const { slots } = await cluster.allServe({ after: before });
    assert.deepEqual(slots.map((slot) => slot.deaths), [0, 0], cluster.process.tail());
    assert.doesNotMatch(text, /died/);
  }

  for (const keepAlive of [true, false]) {
    test(`polling clients ${keepAlive ? "that keep their connections" : "with a connection for each poll"} see their sessions end, and no worker dies`, { timeout: 40_000 }, async () => {
      const ends = [];
      const polls = addresses(60, 61).map(async (from) => {
        const agent = keepAlive ? new http.Agent({ localAddress: from, keepAlive }) : false;
        const session = await Polling.connect(cluster.port, { agent, from });
        const ended = (async () => {
          for (;;) {
            const answer = await session.get().catch((error) => ({ status: error.code ?? error.message, body: "" }));
            if (answer.status !== 200 || answer.body.split("\x1e").includes("1")) return answer.status;
          }
        })();
        ends.push(ended.finally(() => agent && agent.destroy()));
      });
      await Promise.all(polls);
      await reload();
      const how = await Promise.all(ends);
      // 200: told by a close packet. 400: it polled again at the successor. A reset poll is the old worker's rudeness.
      assert.deepEqual(how.filter((status) => status !== 200 && status !== 400), []);
    });
  }

  test("WebSocket clients are closed with 1012, service restart", { timeout: 20_000 }, async () => {
    const sockets = await Promise.all(addresses(40, 62).map((from) => rawWebSocket(cluster.port, { from })));
    const codes = sockets.map(({ wire }) => wire.closeCode());
    await reload();
    assert.deepEqual([...new Set(await Promise.all(codes))], [1012]);
  });

  test("five reloads at once are one after the other, or refused as busy; then one serves everywhere", { timeout: 40_000 }, async () => {
    const answers = await Promise.all(Array.from({ length: 5 }, () => cluster.ctl("reload")));
    assert.ok(answers.some(({ code }) => code === 0));
    for (const { code, text } of answers) assert.ok(code === 0 || /under way|busy|running|already/i.test(text), `${code}: ${text}`);
    await cluster.allServe();
  });
});

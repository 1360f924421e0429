// Another number of workers that nobody notices: sessions move with their buckets, everything else is served where it is.
import assert from "node:assert/strict";
import { once } from "node:events";
import net from "node:net";
import { after, before, describe, test } from "node:test";
import { ask, next } from "../client/official.mjs";
import { request } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet, inThirds } from "./fleet.mjs";
import { until } from "./process.mjs";

describe("scaling disconnects nobody", () => {
  let cluster;
  let fleet;
  before(async () => {
    cluster = await Cluster.start({ workers: 2, settings: { max_workers: 6 } });
    fleet = await Fleet.connect(cluster.url, addresses(30), inThirds);
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
  });

  async function operate(...words) {
    const answer = await cluster.ctl(...words);
    assert.equal(answer.code, 0, `${answer.text}\n${cluster.process.tail(80)}`);
    return answer.text;
  }

  async function scale(workers) {
    const text = await operate("scale", String(workers));
    cluster.workers = workers;
    await cluster.allServe();
    return text;
  }

  const sessions = async () => (await cluster.seated()).map((worker) => worker.sessions);

  test("idle clients move with their rooms and their data", { timeout: 30_000 }, async () => {
    await Promise.all(fleet.members.map(({ socket, name }) => ask(socket, "remember", { name })));
    await Promise.all(fleet.members.slice(0, 10).map(({ socket }) => ask(socket, "join", "ten")));
    const ids = fleet.members.map(({ socket }) => socket.id);
    const text = await scale(6);
    assert.match(text, /scale done: 2 -> 6 workers; [1-9]\d* sessions moved, 0 drained \(/);
    fleet.assertNobodyNoticed();
    assert.deepEqual(await Promise.all(fleet.members.map(async ({ socket }) => (await ask(socket, "recall")).data)), fleet.members.map(({ name }) => ({ name })));
    assert.deepEqual(fleet.members.map(({ socket }) => socket.id), ids);
    const heard = fleet.members.map(() => 0);
    fleet.members.forEach(({ socket }, i) => socket.on("word", () => (heard[i] += 1)));
    await ask(fleet.members[0].socket, "server word", "ten", [], "hello");
    await fleet.chat(1);
    assert.deepEqual(heard, fleet.members.map((_, i) => (i < 10 ? 1 : 0)));
    assert.ok(new Set(await fleet.slots()).size > 2, "they are where they were");
    await scale(2);
    assert.deepEqual(new Set(await fleet.slots()), new Set([0, 1]));
    fleet.assertNobodyNoticed();
  });

  test("clients that chat lose no line, and hear none twice or too early", { timeout: 120_000 }, async () => {
    for (const workers of [4, 6, 3, 2, 5, 1, 2]) {
      let over = false;
      const scaled = scale(workers).finally(() => (over = true));
      while (!over) await fleet.chat(3);
      await scaled;
      fleet.assertNobodyNoticed();
    }
    await fleet.chat(1);
    fleet.assertNobodyNoticed();
  });

  test("new clients and requests go to open slots only, and status names those", { timeout: 60_000 }, async () => {
    for (const workers of [4, 3, 2]) {
      await scale(workers);
      assert.equal((await cluster.status()).slots.length, workers);
      const open = new Set(Array.from({ length: workers }, (_, slot) => slot));
      const answers = await Promise.all(addresses(200, 2).map(async (from) => (await request(cluster.port, { path: "/worker", from })).body));
      assert.deepEqual(new Set(answers.map((answer) => Number(answer.match(/^worker: (\d+)$/m)[1]))), open);
      const joined = await Fleet.connect(cluster.url, addresses(12, 3), inThirds);
      try {
        assert.ok((await joined.slots()).every((slot) => open.has(slot)));
      } finally {
        joined.leave();
      }
    }
    fleet.assertNobodyNoticed();
  });

  test("an answer finds the callback that waits for it in the slot before", { timeout: 60_000 }, async () => {
    for (const workers of [6, 2]) {
      const answers = fleet.members.map(({ socket }, i) => {
        const question = next(socket, "question", 20_000);
        const answered = next(socket, "answered", 20_000);
        socket.emit("ask me", `number ${i}`);
        return { question, answered };
      });
      const questions = await Promise.all(answers.map(({ question }) => question));
      const mark = cluster.mark();
      const scaled = scale(workers);
      await cluster.line(/scale: slot \d+ -> slot \d+: \d+ moved/, { from: mark });
      questions.forEach(([, answer], i) => answer(`to ${i}`));
      assert.deepEqual(await Promise.all(answers.map(async ({ answered }) => (await answered)[0])), fleet.members.map((_, i) => `to ${i}`));
      await scaled;
      fleet.assertNobodyNoticed();
    }
  });

  test("SIGTTIN and SIGTTOU add and take away one, and a reload after it works", { timeout: 60_000 }, async () => {
    const mark = cluster.mark();
    cluster.process.signal("SIGTTIN");
    await cluster.line(/scale done: 2 -> 3 workers/, { from: mark });
    await fleet.chat(2);
    // And not what the scale has moved.
    assert.match(await operate("reload"), new RegExp(`; ${fleet.members.length} sessions moved, 0 drained`));
    await fleet.chat(2);
    cluster.process.signal("SIGTTOU");
    await cluster.line(/scale done: 3 -> 2 workers/, { from: mark });
    await operate("reload");
    await fleet.chat(2);
    assert.equal((await sessions()).length, 2);
    fleet.assertNobodyNoticed();
    const { sessions_drained } = await cluster.stats();
    assert.equal(sessions_drained.total, 0);
  });
});

test("what waits in the queue of a slot that closes is served by its heir", { timeout: 60_000 }, async () => {
  const cluster = await Cluster.start({ workers: 2, settings: { "supervision.heartbeat_interval": "1h" } });
  const sockets = [];
  let closing;
  try {
    closing = (await cluster.seated())[1].pid;
    process.kill(closing, "SIGSTOP");
    const answers = await Promise.all(
      addresses(40).map(
        (localAddress) =>
          new Promise((resolve, reject) => {
            const socket = net.connect({ port: cluster.port, host: "127.0.0.1", localAddress });
            sockets.push(socket);
            socket.on("error", reject);
            const answer = new Promise((done) => socket.once("data", (bytes) => done(bytes.toString())));
            socket.on("connect", () => (socket.write("GET /worker HTTP/1.1\r\nHost: x\r\n\r\n"), resolve({ answer })));
          }),
      ),
    );
    const scaled = cluster.ctl("scale", "1");
    for (const { answer } of answers) assert.match(await answer, /worker: 0\n$/);
    process.kill(closing, "SIGCONT");
    assert.equal((await scaled).code, 0, (await scaled).text);
    cluster.workers = 1;
    assert.equal((await cluster.ctl("reload")).code, 0);
    assert.equal((await cluster.ctl("scale", "2")).code, 0);
  } finally {
    for (const socket of sockets) socket.destroy();
    await cluster.close();
  }
});

/// Scale 1 -> 2 with 20 polling sessions, for each of which `bytes(sid)` were sent on a connection of its own. {text, moved, drained,
/// cluster's counter of drained sessions, what the connections heard}.
async function scaleWithDebts(settings, bytes) {
  const cluster = await Cluster.start({ workers: 1, settings: { max_workers: 2, ...settings } });
  const sockets = [];
  try {
    const opened = await Promise.all(addresses(20).map((from) => request(cluster.port, { path: "/socket.io/?EIO=4&transport=polling", from })));
    const sids = opened.map(({ body }) => JSON.parse(body.slice(1)).sid);
    for (const sid of sids) {
      const socket = Object.assign(net.connect(cluster.port, "127.0.0.1"), { heard: "" });
      sockets.push(socket);
      socket.on("error", () => {});
      socket.on("data", (data) => (socket.heard += data.toString("latin1")));
      await once(socket, "connect");
      socket.write(bytes(sid));
    }
    await until(async () => (await cluster.stats()).connections_open.total >= sids.length, "all is half there");
    const { code, text } = await cluster.ctl("scale", "2");
    assert.equal(code, 0, text);
    const [, moved, drained] = text.match(/scale done: 1 -> 2 workers; (\d+) sessions moved, (\d+) drained/).map(Number);
    return { text, moved, drained, counted: (await cluster.stats()).sessions_drained.total, heard: sockets.map(({ heard }) => heard) };
  } finally {
    for (const socket of sockets) socket.destroy();
    await cluster.close();
  }
}

test("what cannot move is drained by the deadline, and told so", { timeout: 60_000 }, async () => {
  // An upgrade that stands still keeps its session.
  const upgrade = (sid) => `GET /socket.io/?EIO=4&transport=websocket&sid=${sid} HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`;
  const { text, moved, drained, counted } = await scaleWithDebts({ "reload.drain_deadline": "2s" }, upgrade);
  assert.ok(drained > 0, text);
  assert.ok(moved + drained <= 2 * 20, text);
  assert.equal(counted, drained);
});

test("half a post is answered 408 when the window is over, and its session moves", { timeout: 60_000 }, async () => {
  const post = (sid) => `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n4`;
  const { text, moved, drained, heard } = await scaleWithDebts({ "reload.drain_window": "500ms", "reload.drain_deadline": "20s" }, post);
  assert.ok(moved > 0, text);
  assert.equal(drained, 0, text);
  assert.equal(heard.filter((answer) => answer.startsWith("HTTP/1.1 408")).length, moved);
});

for (const which of ["giver", "taker"]) {
  test(`SIGKILL of a ${which} as sessions begin to move: the others stay, and the next scale works`, { timeout: 60_000 }, async () => {
    const cluster = await Cluster.start({ workers: 2, settings: { max_workers: 3 } });
    const fleet = await Fleet.connect(cluster.url, addresses(30), inThirds);
    try {
      const mark = cluster.mark();
      const scaled = cluster.ctl("scale", "3");
      const [, serving] = await cluster.line(/scale: slot 2: pid (\d+) serves/, { from: mark });
      process.kill(which === "giver" ? (await cluster.seated())[0].pid : Number(serving), "SIGKILL");
      await scaled;
      cluster.workers = 3;
      await cluster.allServe();
      await fleet.connected();
      await fleet.chat(2);
      assert.equal((await cluster.ctl("scale", "2")).code, 0);
      cluster.workers = 2;
      await cluster.allServe();
      await fleet.chat(2);
    } finally {
      fleet.leave();
      await cluster.close();
    }
  });
}

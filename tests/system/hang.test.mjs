// Workers that hang and supervisors that stop or die.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Polling, request, Wire } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { alive, until, within } from "./process.mjs";

describe("a worker that hangs", () => {
  let cluster;
  let fleet;
  const beat = 500;
  const from = addresses(24, 40);
  before(async () => {
    cluster = await Cluster.start({ workers: 3, settings: { "supervision.heartbeat_interval": `${beat}ms` } });
    fleet = await Fleet.connect(cluster.url, from);
  });
  after(async () => {
    fleet?.leave();
    await cluster?.close();
  });

  for (const how of ["stopped by SIGSTOP", "in an endless loop"]) {
    test(`a worker ${how} is routed around after one missed beat and killed after two; the others notice nothing`, { timeout: 40_000 }, async () => {
      const victim = await cluster.who(from[0]);
      const slots = await fleet.slots();
      const theirs = fleet.members.filter((_, i) => slots[i] === victim.slot);
      const others = fleet.members.filter((_, i) => slots[i] !== victim.slot);
      const connects = fleet.members.map((member) => member.connects);
      const mark = cluster.mark();
      const started = performance.now();
      if (how === "stopped by SIGSTOP") process.kill(victim.pid, "SIGSTOP");
      else request(cluster.port, { path: "/hang", from: from[0] }).catch(() => {});

      await cluster.until((status) => status.slots[victim.slot].state === "routed around", "the slot is routed around");
      const routed = performance.now() - started;
      const elsewhere = await within(cluster.who(from[0]), "an answer for the hung worker's address", 2 * beat);
      assert.notEqual(elsewhere.slot, victim.slot);
      assert.ok(alive(victim.pid) || performance.now() - started > 2 * beat, "killed too early");

      await cluster.line(new RegExp(`slot ${victim.slot} gen ${victim.generation} pid ${victim.pid}.*(hung|beat)`, "i"), { from: mark });
      await until(() => !alive(victim.pid), "the end of the hung worker");
      const killed = performance.now() - started;
      assert.ok(routed < killed && killed > 1.9 * beat, `routed around after ${routed} ms, killed after ${killed} ms`);
      assert.ok(killed < 6 * beat + 2_000, `${killed} ms`);

      const status = await cluster.allServe({ after: [victim.generation] });
      assert.match(status.slots[victim.slot].last_obituary, /hung|beat/i);
      await Promise.all(theirs.map((member) => fleet.connected(connects[fleet.members.indexOf(member)] + 1, [member])));
      await fleet.connected();
      await fleet.chat(3);
      assert.deepEqual(others.map((member) => member.connects), others.map((member) => connects[fleet.members.indexOf(member)]), "others were disconnected");
      assert.equal((await cluster.who(from[0])).slot, victim.slot, "the slot has its share back");
    });
  }

  test("a worker that hangs for less than two beats is not killed, and gets its share back", { timeout: 20_000 }, async () => {
    const victim = await cluster.who(from[1]);
    process.kill(victim.pid, "SIGSTOP");
    await cluster.until((status) => status.slots[victim.slot].state === "routed around", "the slot is routed around");
    process.kill(victim.pid, "SIGCONT");
    await cluster.allServe();
    await until(async () => (await cluster.who(from[1])).pid === victim.pid, "the same worker answers again");
    await fleet.connected();
    await fleet.chat(2);
  });

  test("connections that wait for the hung worker are not lost", { timeout: 20_000 }, async () => {
    const victim = await cluster.who(from[2]);
    process.kill(victim.pid, "SIGSTOP");
    const wires = Array.from({ length: 50 }, () => new Wire(cluster.port, { from: from[2] }));
    await Promise.all(wires.map((wire) => wire.connected));
    for (const wire of wires) wire.write("GET /worker HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const answers = await Promise.all(wires.map((wire) => wire.read((bytes) => (bytes.includes("worker: ") ? true : undefined), "an answer", 12_000)));
    assert.equal(answers.length, 50);
    wires.forEach((wire) => wire.destroy());
    await cluster.allServe({ after: [victim.generation] });
  });

  test("stats are answered while a worker hangs", { timeout: 20_000 }, async () => {
    const victim = await cluster.who(from[3]);
    process.kill(victim.pid, "SIGSTOP");
    const stats = await cluster.stats();
    assert.ok(stats.sessions_opened.total >= 24);
    await cluster.allServe({ after: [victim.generation] });
  });
});

describe("a request for a session of a worker that hangs, at another worker", () => {
  const next = "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n";
  let cluster;
  let owner;
  let session;
  let stranger; // an address of another slot than the session's
  before(async () => {
    cluster = await Cluster.start({ workers: 2, settings: { "supervision.heartbeat_interval": "1s" } });
  });
  after(() => cluster?.close());

  async function hang(net) {
    const [from, ...others] = addresses(20, net);
    owner = await cluster.who(from);
    session = await Polling.connect(cluster.port, { from });
    stranger = (await Promise.all(others.map((address) => cluster.who(address)))).find(({ slot }) => slot !== owner.slot).address;
    process.kill(owner.pid, "SIGSTOP");
  }
  const post = () => `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 12\r\n\r\n42["echo",1]`;

  /// Two that come before the hang is noticed: one travels with its connection, one is relayed because a request stands behind it.
  function early() {
    return ["", next].map((behind) => {
      const wire = new Wire(cluster.port, { from: stranger });
      wire.write(post() + behind);
      return wire;
    });
  }

  test("early, it waits, and is served if the worker goes on", { timeout: 20_000 }, async () => {
    await hang(42);
    const wires = early();
    await until(async () => (await cluster.stats()).handovers_out.total + (await cluster.stats()).requests_relayed.total >= 2, "both are on their way");
    assert.ok(wires.every((wire) => wire.bytes.length === 0));
    process.kill(owner.pid, "SIGCONT");
    for (const wire of wires) assert.equal((await wire.response()).body, "ok");
    assert.match((await wires[1].response()).body, /^worker: \d\n$/, "and the connection goes on");
    wires.forEach((wire) => wire.destroy());
    await cluster.allServe();
    assert.equal((await cluster.stats()).requests_unowned.total, 0);
  });

  test("early, it waits, and gets the successor's answer; once the slot is routed around, 503 at once, counted", { timeout: 30_000 }, async () => {
    await hang(43);
    const wires = early();
    await cluster.until((status) => status.slots[owner.slot].state === "routed around", "the slot is routed around");
    const late = await Promise.all(["GET", "POST"].map((method) => request(cluster.port, { method, path: session.path, from: stranger, body: method === "POST" ? "2" : undefined })));
    assert.ok(alive(owner.pid), "nobody had to wait for the end of the worker");
    for (const { status, headers, body } of late) {
      assert.deepEqual({ status, body }, { status: 503, body: "The worker of this session does not answer\n" });
      assert.match(headers["content-type"], /^text\/plain/);
    }
    const { requests_unowned } = await cluster.stats();
    assert.equal(requests_unowned.total, late.length);
    assert.ok(wires.every((wire) => wire.bytes.length === 0), "the early ones wait");

    await cluster.allServe({ after: [owner.generation] });
    for (const wire of wires) {
      const { status, body } = await wire.response();
      assert.deepEqual({ status, message: JSON.parse(body).message }, { status: 400, message: "Session ID unknown" });
    }
    assert.match((await wires[1].response()).body, /^worker: \d\n$/, "and the connection goes on");
    wires.forEach((wire) => wire.destroy());
    assert.equal((await request(cluster.port, { path: session.path, from: stranger })).status, 400, "the successor knows no session of the worker before");
    assert.equal((await cluster.stats()).requests_unowned.total, late.length);
  });
});

test("an idle worker beats several times in the interval that is wanted", { timeout: 60_000 }, async () => {
  const interval = 200;
  const cluster = await Cluster.start({ workers: 1, settings: { "supervision.heartbeat_interval": `${interval}ms` } });
  try {
    // Of one that beats only four times a second there would be 12 turns in any 3 s. On a busy machine it may take more than one look.
    const turns = async () => (await cluster.stats()).loop_turns.total;
    await until(async () => {
      const before = await turns();
      const began = performance.now();
      await until(async () => (await turns()) >= before + 30 || performance.now() - began > 3_000, "30 turns", 30_000);
      return performance.now() - began < 3_000;
    }, "30 turns within 3 s", 50_000);
    assert.equal((await cluster.status()).slots[0].deaths, 0);
  } finally {
    await cluster.close();
  }
});

describe("a supervisor that stops or dies", () => {
  let cluster;
  let fleet;
  before(async () => {
    cluster = await Cluster.start({ workers: 2, settings: { "supervision.heartbeat_interval": "300ms" } });
    fleet = await Fleet.connect(cluster.url, addresses(8, 41));
  });
  after(async () => {
    fleet?.leave();
    await cluster?.destroy();
  });

  test("stopped for many beats, then continued: nobody is killed, and the clients chat meanwhile", { timeout: 30_000 }, async () => {
    const before = await cluster.seated();
    process.kill(cluster.pid, "SIGSTOP");
    const start = performance.now();
    do await fleet.chat(2);
    while (performance.now() - start < 3_000);
    process.kill(cluster.pid, "SIGCONT");
    // Some beats later: what would have been killed, would be by now.
    await until(async () => (await cluster.status()).uptime_ms > 0 && performance.now() - start > 4_500, "some beats");
    assert.deepEqual((await cluster.seated()).map((worker) => worker.pid), before.map((worker) => worker.pid));
    assert.deepEqual((await cluster.status()).slots.map((slot) => slot.deaths), [0, 0]);
    await fleet.chat(1);
    assert.deepEqual(fleet.members.map((member) => member.connects), Array(8).fill(1));
  });

  test("killed: the workers drain and leave, the clients' transports close, and a new start binds at once", { timeout: 40_000 }, async () => {
    const workers = await cluster.seated();
    const gone = fleet.members.map((member) => within(new Promise((resolve) => member.socket.once("disconnect", resolve)), "a disconnect", 25_000));
    process.kill(cluster.pid, "SIGKILL");
    await cluster.process.exited;
    const successor = await Cluster.start({ workers: 2, listen: [`tcp://127.0.0.1:${cluster.port}`] });
    try {
      const reasons = await Promise.all(gone);
      for (const reason of reasons) assert.match(reason, /^transport (close|error)$/);
      await until(() => workers.every((worker) => !alive(worker.pid)), "the end of the orphans", 35_000);
      await fleet.connected(2);
      await fleet.chat(3);
    } finally {
      fleet.leave();
      await successor.close();
    }
  });

  test("killed: the next start in the same runtime directory works too", { timeout: 30_000 }, async () => {
    const first = await Cluster.start({ workers: 1 });
    process.kill(first.pid, "SIGKILL");
    await first.process.exited;
    const listen = [`tcp://127.0.0.1:${first.port}`];
    const orphan = first.process;
    first.launch({ app: "probe_app", listen });
    await first.ready();
    assert.equal((await first.status()).slots.length, 1);
    await until(() => orphan.left().length === 0, "the end of the orphan");
    await first.close();
  });
});

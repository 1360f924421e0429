// Few descriptors: raised limits, what is refused, clients without number, and what children of handlers get.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Polling, Wire, rawWebSocket, request } from "../client/raw.mjs";
import { build } from "./build.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { alive, run, until } from "./process.mjs";

/// What stands before `limpet serve`: limits as a shell gives them.
const limited = (soft, hard = "") => ["sh", "-c", `ulimit -Sn ${soft}; ${hard && `ulimit -Hn ${hard}; `}exec "$@"`, "sh"];
const limitsOf = (pid) => fs.readFileSync(`/proc/${pid}/limits`, "utf8").match(/Max open files +(\d+) +(\d+)/).slice(1).map(Number);
const openIn = (pid) => fs.readdirSync(`/proc/${pid}/fd`).map(Number);
const targetsIn = (pid) => openIn(pid).map((number) => fs.readlinkSync(`/proc/${pid}/fd/${number}`));
const ask = async (cluster, path) => (await request(cluster.port, { path })).body;

describe("a soft limit of 256", () => {
  let cluster;
  // A script that execs the application sees what its supervisor gives, and passes the heritage on.
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-descriptors-"));
  const script = path.join(folder, "app.sh");
  const told = (pid) => fs.readFileSync(path.join(folder, String(pid)), "utf8").trim();
  before(async () => {
    fs.writeFileSync(script, `#!/bin/sh\nulimit -Sn >${folder}/$$\nexec ${build("probe_app")} "$@"\n`, { mode: 0o755 });
    cluster = await Cluster.start({ workers: 2, app: script, through: limited(256) });
  });
  after(() => fs.rmSync(folder, { recursive: true }));
  after(() => cluster?.close());

  test("is raised in the supervisor and in its workers, which keep a reserve, and told", async () => {
    const [soft, hard] = limitsOf(cluster.pid);
    assert.equal(soft, Math.min(hard, 1048576));
    for (const { pid } of await cluster.seated()) assert.equal(limitsOf(pid)[0], soft - 64);
    assert.deepEqual((await cluster.seated()).map(({ pid }) => told(pid)), ["256", "256"], "and given back to what is started");
    await cluster.line(/descriptors +\d+ a process: about \d+ clients a worker/);
  });

  test("serves more clients than that, and reloads with them", { timeout: 60_000 }, async () => {
    const sockets = await Promise.all(addresses(600, 71).map((from) => rawWebSocket(cluster.port, { from })));
    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 0, text);
    assert.match(text, /600 sessions moved, 0 drained/);
    assert.ok(sockets.every(({ wire }) => wire.end === undefined));
    for (const { wire } of sockets) wire.destroy();
  });

  test("is still what the image after an upgrade gives back", { timeout: 60_000 }, async () => {
    const { code, text } = await cluster.ctl("upgrade");
    assert.equal(code, 0, text);
    const [soft, hard] = limitsOf(cluster.pid);
    assert.equal(soft, Math.min(hard, 1048576));
    assert.deepEqual((await cluster.seated()).map(({ pid }) => told(pid)), ["256", "256"]);
  });
});

test("a hard limit that is too low for the configuration is refused in words, with the number that would do", async () => {
  const words = ["serve", build("probe_app"), "--listen", "tcp://127.0.0.1:0", "--workers", "4"];
  const { code, text } = await run("sh", [...limited(100, 100).slice(1), build("limpet"), ...words]);
  assert.equal(code, 1, text);
  const [, enough] = text.match(/^limpet: descriptors: the limit of 100 is too low: .* raise the hard limit to (\d+) at least/m) ?? [];
  assert.ok(enough, text);
  const check = await run("sh", [...limited(enough, enough).slice(1), build("limpet"), ...words, "--check"]);
  assert.equal(check.code, 0, check.text);
});

describe("workers of which all descriptors are in use", () => {
  let cluster;
  before(async () => (cluster = await Cluster.start({ workers: 2, through: limited(400, 400) })));
  after(() => cluster?.close());

  test("serve those that are here, let in the others later, and reload without losing anybody", { timeout: 90_000 }, async () => {
    const sockets = await Promise.all(addresses(100, 72).map((from) => rawWebSocket(cluster.port, { from })));
    const pids = (await cluster.seated()).map(({ pid }) => pid);
    // More than there is room for: they fill what is left, and the rest wait in the kernel's queue.
    const crowd = addresses(900, 73).map((from) => new Wire(cluster.port, { from }));
    await Promise.all(crowd.map((wire) => wire.connected));
    await cluster.line(/accept: Too many open files/);
    await until(async () => (await cluster.stats()).accept_pauses.total > 0, "pauses that are counted");
    const cpu = () => pids.map((pid) => fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(" ").slice(13, 15).map(Number).reduce((a, b) => a + b));
    const [before, since] = [cpu(), performance.now()];
    await until(() => performance.now() - since > 1000, "a second");
    const busy = Math.max(...cpu().map((ticks, i) => ticks - before[i]));
    assert.ok(busy < 50, `a worker took ${busy} of 100 ticks in a second without descriptors`);

    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 0, text + cluster.process.tail());
    assert.match(text, /100 sessions moved, 0 drained/);
    assert.ok(sockets.every(({ wire }) => wire.end === undefined), "a client was lost");
    assert.deepEqual((await cluster.status()).slots.map(({ deaths }) => deaths), [0, 0]);
    assert.doesNotMatch(cluster.process.lines.join("\n"), /the supervisor is gone|the message is lost/);

    for (const wire of crowd) wire.destroy();
    assert.equal((await request(cluster.port, { path: "/worker", from: "127.74.0.1" })).status, 200);
    for (const { wire } of sockets) wire.destroy();
  });

  test("hear their supervisor also when the application has opened all it could", { timeout: 60_000 }, async () => {
    const socket = await rawWebSocket(cluster.port, { from: "127.75.0.1" });
    const wire = new Wire(cluster.port, { from: "127.75.0.1" });
    await wire.connected;
    const session = await Polling.connect(cluster.port, { from: "127.75.0.1" });
    const owner = await cluster.who("127.75.0.1");
    const others = (await Promise.all(addresses(20, 76).map((from) => cluster.who(from)))).filter(({ slot }) => slot !== owner.slot);
    wire.write("GET /take-descriptors HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.ok(Number((await wire.response()).body) > 100);
    // From an address of another worker: a connection that comes from there.
    for (const { address } of others.slice(0, 3)) assert.equal((await session.post("3", { from: address })).status, 200);
    assert.ok((await cluster.stats()).handovers_in.total > 0);
    assert.equal((await cluster.stats()).handovers_failed.total, 0);
    const { code, text } = await cluster.ctl("reload");
    assert.equal(code, 0, text + cluster.process.tail());
    assert.match(text, /2 sessions moved, 0 drained/);
    assert.equal(socket.wire.end, undefined);
    socket.wire.destroy();
    wire.destroy();
  });
});

test("a program that a handler starts holds nothing of ours, and keeps no port after our end", { timeout: 60_000 }, async () => {
  const first = await Cluster.start({ workers: 2 });
  let child;
  try {
    child = Number(await ask(first, "/child"));
    await until(() => fs.readFileSync(`/proc/${child}/comm`, "utf8") === "sleep\n", "the child");
    assert.deepEqual(openIn(child), [0, 1, 2], targetsIn(child).join(" "));
    first.process.signal("SIGTERM");
    await until(() => !alive(first.pid), "the end of the supervisor");
    assert.ok(alive(child));
    const second = await Cluster.start({ workers: 2, listen: [`tcp://127.0.0.1:${first.port}`] });
    await second.close();
  } finally {
    if (child) process.kill(child, "SIGKILL");
    await first.destroy();
  }
});

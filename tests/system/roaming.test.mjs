// Clients whose requests come from ever different addresses, so reach ever different workers; and connections that carry
// the requests of several sessions, as those of a proxy with a pool do.
import assert from "node:assert/strict";
import http from "node:http";
import { after, before, describe, test } from "node:test";
import { ask, connected, leave, next } from "../client/official.mjs";
import { Polling, Wire, request } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";

/// Each new connection comes from the next address.
class RoamingAgent extends http.Agent {
  #addresses;
  #next = 0;
  constructor(from, options) {
    super(options);
    this.#addresses = from;
  }
  createConnection(options, callback) {
    return super.createConnection({ ...options, localAddress: this.#addresses[this.#next++ % this.#addresses.length] }, callback);
  }
}

describe("requests that reach a worker which does not own their session", () => {
  let cluster;
  before(async () => (cluster = await Cluster.start({ workers: 4 })));
  after(() => cluster?.close());

  // First: the polls must hear of nobody else's leaving.
  test("one connection with requests of sessions of all workers, in a pipeline, is answered in order", async () => {
    const from = addresses(16, 51);
    const sessions = await Promise.all(from.map((address) => Polling.connect(cluster.port, { from: address })));
    const slots = new Set(await Promise.all(from.map(async (address) => (await cluster.who(address)).slot)));
    assert.ok(slots.size > 1);
    const wire = new Wire(cluster.port, { from: "127.52.0.1" });
    const post = (session, body) => `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const get = (session) => `GET ${session.path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    wire.write(sessions.map((session, i) => post(session, `42["echo",${i}]`)).join("") + sessions.map(get).join("") + "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n");
    const bodies = [];
    for (let i = 0; i < 33; i += 1) bodies.push((await wire.response()).body);
    assert.deepEqual(bodies.slice(0, 16), Array(16).fill("ok"));
    assert.deepEqual(bodies.slice(16, 32), sessions.map((_, i) => `42["echo",${i}]`));
    assert.match(bodies[32], /^worker: \d\n$/);
    wire.destroy();
  });

  test("a polling client whose every request comes from another address chats as well as any other", async () => {
    const handed = (await cluster.stats()).handovers_in.total;
    const everyone = addresses(200, 31);
    const fleet = await Fleet.connect(cluster.url, addresses(12, 30), (_, i) => (i < 6 ? { transports: ["polling"], agent: new RoamingAgent(everyone.slice(i * 30)) } : {}));
    try {
      for (let i = 0; i < 5; i += 1) await fleet.chat(10);
      await fleet.chat(1);
      assert.deepEqual(fleet.members.map((member) => member.connects), Array(12).fill(1));
    } finally {
      fleet.leave();
    }
    const stats = await cluster.stats();
    assert.ok(stats.handovers_in.total - handed > 100, `${stats.handovers_in.total - handed} handovers`);
    assert.equal(stats.handovers_failed.total, 0);
  });

  test("clients that share a pool of connections chat as well as any others", async () => {
    const pool = new RoamingAgent(addresses(50, 32), { keepAlive: true, scheduling: "fifo" });
    const fleet = await Fleet.connect(cluster.url, addresses(12, 33), () => ({ transports: ["polling"], agent: pool }));
    try {
      for (let i = 0; i < 5; i += 1) await fleet.chat(10);
      await fleet.chat(1);
      assert.deepEqual(fleet.members.map((member) => member.connects), Array(12).fill(1));
    } finally {
      fleet.leave();
      pool.destroy();
    }
  });

  test("an upgrade from another address than the polls becomes the session's WebSocket", async () => {
    for (let i = 0; i < 10; i += 1) {
      const socket = await connected(cluster.url, { agent: new RoamingAgent(addresses(7, 34 + i)) });
      if (socket.io.engine.transport.name !== "websocket") await next(socket.io.engine, "upgrade");
      assert.equal(await ask(socket, "echo", i), i);
      leave(socket);
    }
  });

  test("messages of any size pass, whichever worker they reach", async () => {
    const socket = await connected(cluster.url, { transports: ["polling"], agent: new RoamingAgent(addresses(20, 50)) });
    for (const size of [1, 10_000, 48 * 1024 - 300, 48 * 1024, 64 * 1024, 65_537, 300_000, 900_000]) {
      const text = String.fromCharCode(97 + (size % 26)).repeat(size);
      assert.equal(await ask(socket, "echo", text), text, `${size} bytes`);
      const bytes = Buffer.alloc(Math.floor(size / 2), size % 251);
      assert.deepEqual(await ask(socket, "echo", bytes), bytes, `${size} bytes`);
    }
    leave(socket);
  });

  test("a request that comes byte by byte to the wrong worker is served", async () => {
    const owner = await cluster.who("127.53.0.1");
    const session = await Polling.connect(cluster.port, { from: "127.53.0.1" });
    const stranger = (await Promise.all(addresses(20, 54).map((from) => cluster.who(from)))).find((who) => who.slot !== owner.slot);
    const body = `42["echo","${"y".repeat(300)}"]`;
    const wire = new Wire(cluster.port, { from: stranger.address });
    const bytes = Buffer.from(`POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`);
    for (const byte of bytes) wire.write(Buffer.from([byte]));
    assert.equal((await wire.response()).body, "ok");
    assert.ok((await session.get({ from: stranger.address })).body.split("\x1e").includes(body));
    wire.destroy();
  });

  test("a sid of a session that never was is unknown everywhere", async () => {
    for (const from of addresses(20, 55)) {
      const answer = await request(cluster.port, { path: "/socket.io/?EIO=4&transport=polling&sid=ABCDEFGHIJKLMNOPQRST", from });
      assert.equal(answer.status, 400);
      assert.equal(JSON.parse(answer.body).code, 1);
    }
  });

  test("the owner dies: a roaming client comes back as any other", async () => {
    const agent = new RoamingAgent(addresses(40, 56));
    const socket = await connected(cluster.url, { transports: ["polling"], agent });
    const back = new Promise((resolve) => socket.once("disconnect", () => socket.once("connect", resolve)));
    const owner = (await cluster.seated())[(await ask(socket, "whoami")).slot];
    process.kill(owner.pid, "SIGKILL");
    await back;
    assert.equal(await ask(socket, "echo", "back"), "back");
    leave(socket);
    await cluster.allServe({ after: [owner.generation] });
  });
});

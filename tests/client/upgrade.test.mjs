// From long-polling to WebSocket without losing or doubling anything.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startPeer } from "./peer.mjs";
import { ask, connected, leave, next } from "./official.mjs";
import { Messages, Polling, request, webSocketUrl } from "./raw.mjs";

describe("the upgrade of a transport", () => {
  let peer;
  before(async () => (peer = await startPeer({ upgradeTimeout: 500 })));
  after(() => peer?.stop());

  const upgraded = (socket) => next(socket.io.engine, "upgrade");

  test("probe is answered with probe, a waiting poll is released, then the WebSocket carries everything", async () => {
    const session = await Polling.connect(peer.port);
    const poll = session.get();
    const ws = new Messages(webSocketUrl(peer.port, session.sid));
    await ws.opened;
    ws.send("2probe");
    assert.equal(await ws.next(), "3probe");
    assert.equal((await poll).body, "6");
    ws.send("5");
    ws.send('42["echo","over"]');
    assert.equal(await ws.next(), '42["echo","over"]');
    ws.ws.terminate();
  });

  test("what the server sends between probe and upgrade comes once, in order", async () => {
    const session = await Polling.connect(peer.port);
    const ws = new Messages(webSocketUrl(peer.port, session.sid));
    await ws.opened;
    ws.send("2probe");
    await ws.next();
    await session.post('42["burst",5,"x"]');
    const polled = (await session.packets()).filter((packet) => packet !== "6");
    ws.send("5");
    const got = [...polled];
    while (got.length < 5) got.push(await ws.next());
    assert.deepEqual(got, Array.from({ length: 5 }, (_, i) => `42["burst",${i},"x"]`));
    ws.ws.terminate();
  });

  test("after the upgrade a poll of that session gets 400 with code 3", async () => {
    const session = await Polling.connect(peer.port);
    const ws = new Messages(webSocketUrl(peer.port, session.sid));
    await ws.opened;
    ws.send("2probe");
    await ws.next();
    ws.send("5");
    ws.send('42["echo",1]');
    await ws.next();
    const answer = await request(peer.port, { path: session.path });
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).code, 3);
    ws.ws.terminate();
  });

  test("a second WebSocket for an upgraded session is closed, and the first lives", async () => {
    const first = await connected(peer.url);
    if (first.io.engine.transport.name !== "websocket") await upgraded(first);
    const second = new Messages(webSocketUrl(peer.port, first.io.engine.id));
    await Promise.race([second.closed, second.refused]);
    assert.equal(await ask(first, "echo", "mine"), "mine");
    leave(first);
  });

  for (const wrong of ["3probe", "2", "4hello", "2prob", ""]) {
    test(`"${wrong}" instead of the probe closes the WebSocket, and polling goes on`, async () => {
      const session = await Polling.connect(peer.port);
      const ws = new Messages(webSocketUrl(peer.port, session.sid));
      await ws.opened;
      ws.send(wrong);
      await ws.closed;
      await session.post('42["echo","polling"]');
      assert.equal((await session.get()).body, '42["echo","polling"]');
    });
  }

  test("a probe that is never completed is closed by the upgrade timeout, and polling goes on", async () => {
    const session = await Polling.connect(peer.port);
    const ws = new Messages(webSocketUrl(peer.port, session.sid));
    await ws.opened;
    ws.send("2probe");
    await ws.closed;
    await session.post('42["echo","polling"]');
    const packets = [];
    while (!packets.includes('42["echo","polling"]')) packets.push(...(await session.packets()));
    assert.ok(packets.length <= 2, packets.join()); // a "6" at most
  });

  test("a WebSocket that breaks in the middle of the upgrade leaves polling alive", async () => {
    const session = await Polling.connect(peer.port);
    const ws = new Messages(webSocketUrl(peer.port, session.sid));
    await ws.opened;
    ws.send("2probe");
    await ws.next();
    ws.ws.terminate();
    await session.post('42["echo","polling"]');
    const packets = [];
    while (!packets.includes('42["echo","polling"]')) packets.push(...(await session.packets()));
  });

  test("the official client upgrades while it sends and receives: everything once, in order", async () => {
    const rounds = 20;
    for (let round = 0; round < rounds; round += 1) {
      const socket = await connected(peer.url);
      const echoed = [];
      const all = new Promise((resolve) => socket.on("echo", (i) => echoed.push(i) === 200 && resolve()));
      socket.emit("burst", 50, "warm");
      for (let i = 0; i < 200; i += 1) {
        socket.emit("echo", i);
        if (i % 20 === 0) await new Promise(setImmediate);
      }
      if (socket.io.engine.transport.name !== "websocket") await upgraded(socket);
      await all;
      assert.deepEqual(echoed, Array.from({ length: 200 }, (_, i) => i));
      leave(socket);
    }
  });
});

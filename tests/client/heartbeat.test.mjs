// Pings, pongs and who is taken for dead.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startPeer } from "./peer.mjs";
import { bothTransports, connected, leave, next } from "./official.mjs";
import { Messages, Polling, webSocketUrl } from "./raw.mjs";

describe("heartbeat", () => {
  let peer;
  let watcher;
  before(async () => {
    peer = await startPeer({ pingInterval: 300, pingTimeout: 200 });
    watcher = await connected(peer.url, { transports: ["websocket"] });
  });
  after(async () => {
    if (watcher) leave(watcher);
    await peer?.stop();
  });

  const goneFor = (id) => new Promise((resolve) => watcher.on("gone", (who, reason) => who === id && resolve(reason)));

  test("the intervals of the options are told in the handshake", async () => {
    const { handshake } = await Polling.open(peer.port);
    assert.equal(handshake.pingInterval, 300);
    assert.equal(handshake.pingTimeout, 200);
  });

  test("the server pings after the interval, not before", async () => {
    const start = performance.now(); // whoever has no CPU hears of the session late
    const ws = new Messages(webSocketUrl(peer.port));
    await ws.next();
    assert.equal(await ws.next(), "2");
    const waited = performance.now() - start;
    assert.ok(waited > 250, `${waited} ms`);
    ws.ws.terminate();
  });

  test("a WebSocket client that answers is pinged again; one that stops is closed with ping timeout", async () => {
    const ws = new Messages(webSocketUrl(peer.port));
    await ws.next();
    ws.send("40");
    const id = JSON.parse((await ws.next()).slice(2)).sid;
    const gone = goneFor(id);
    for (let i = 0; i < 3; i += 1) {
      assert.equal(await ws.next(), "2");
      ws.send("3");
    }
    assert.equal(await ws.next(), "2"); // not answered
    await ws.closed;
    assert.equal(await gone, "ping timeout");
  });

  test("a polling client gets its ping by poll; one that never comes back is gone with ping timeout", async () => {
    const session = await Polling.connect(peer.port);
    const gone = goneFor(session.id);
    assert.equal((await session.get()).body, "2");
    await session.post("3");
    assert.equal((await session.get()).body, "2");
    assert.equal(await gone, "ping timeout");
    assert.equal((await session.get()).status, 400);
  });

  for (const transports of bothTransports) {
    test(`an official client on ${transports} lives through many pings`, async () => {
      const socket = await connected(peer.url, { transports });
      let left = false;
      socket.on("disconnect", () => (left = true));
      for (let i = 0; i < 4; i += 1) await next(socket.io, "ping");
      assert.equal(left, false);
      leave(socket);
    });
  }

  test("the timer runs on across an upgrade", async () => {
    const session = await Polling.connect(peer.port);
    const ws = new Messages(webSocketUrl(peer.port, session.sid));
    await ws.opened;
    ws.send("2probe");
    await ws.next();
    ws.send("5");
    assert.equal(await ws.next(), "2");
    ws.send("3");
    assert.equal(await ws.next(), "2");
    await ws.closed;
  });
});

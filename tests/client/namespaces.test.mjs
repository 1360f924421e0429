// Several namespaces over one connection, and how a connection or a part of it ends.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startPeer } from "./peer.mjs";
import { ask, bothTransports, client, connected, leave, next } from "./official.mjs";
import { Polling, rawWebSocket, text } from "./raw.mjs";

describe("namespaces and disconnects", () => {
  let peer;
  let watcher;
  before(async () => {
    peer = await startPeer();
    watcher = await connected(peer.url, { transports: ["websocket"] });
  });
  after(async () => {
    if (watcher) leave(watcher);
    await peer?.stop();
  });

  const goneFor = (id, from = watcher) =>
    new Promise((resolve) => {
      const listener = (who, reason) => who === id && resolve(reason);
      from.on("gone", listener);
    });

  /// A socket of "/" and one of "/other" over one connection.
  async function pair(transports) {
    const root = await connected(peer.url, { transports });
    const other = root.io.socket("/other", { auth: { name: "pair" } });
    const welcome = next(other, "welcome");
    if (!other.connected) await next(other, "connect");
    return { root, other, welcome };
  }

  for (const transports of bothTransports) {
    test(`two namespaces share a ${transports} connection and keep apart`, async () => {
      const { root, other, welcome } = await pair(transports);
      assert.deepEqual(await welcome, [{ name: "pair" }]);
      assert.notEqual(root.id, other.id);
      assert.deepEqual(await Promise.all([ask(root, "echo", "r"), ask(other, "echo", "o"), ask(other, "echo", Buffer.from("b"))]), ["r", "o", Buffer.from("b")]);
      const crossed = [];
      root.on("word", (word) => crossed.push(word));
      const word = next(other, "word");
      await ask(other, "word to all", "only here");
      assert.deepEqual(await word, ["only here"]);
      await ask(root, "echo", "fence");
      assert.deepEqual(crossed, []);
      leave(root, other);
    });

    test(`the client leaves one namespace on ${transports}: the server knows why, the other lives`, async () => {
      const { root, other } = await pair(transports);
      const gone = goneFor(root.id);
      root.disconnect();
      assert.equal(await gone, "client namespace disconnect");
      assert.equal(await ask(other, "echo", "alive"), "alive");
      leave(other);
    });

    test(`the server disconnects one namespace on ${transports}: told, and not reconnected`, async () => {
      const { root, other } = await pair(transports);
      const gone = goneFor(root.id);
      const told = next(root, "disconnect");
      root.emit("disconnect me", false);
      assert.equal((await told)[0], "io server disconnect");
      assert.equal(await gone, "server namespace disconnect");
      assert.equal(await ask(other, "echo", "alive"), "alive");
      assert.equal(root.active, false);
      root.connect();
      await next(root, "connect");
      assert.equal(await ask(root, "echo", "back"), "back");
      leave(root, other);
    });

    test(`the server disconnects the whole ${transports} connection: every namespace is told`, async () => {
      const { root, other } = await pair(transports);
      const gone = goneFor(root.id);
      const told = [next(root, "disconnect"), next(other, "disconnect")];
      root.emit("disconnect me", true);
      const reasons = (await Promise.all(told)).map(([reason]) => reason);
      assert.deepEqual(reasons, ["io server disconnect", "io server disconnect"]);
      assert.equal(await gone, "server namespace disconnect");
      leave(root, other);
    });

    test(`a namespace that is not there refuses with Invalid namespace on ${transports}, and "/" lives`, async () => {
      const root = await connected(peer.url, { transports });
      const nowhere = root.io.socket("/nowhere");
      const [error] = await next(nowhere, "connect_error");
      assert.equal(error.message, "Invalid namespace");
      assert.equal(await ask(root, "echo", "alive"), "alive");
      leave(root, nowhere);
    });

    test(`a client that closes its ${transports} connection: transport close, or an error of the broken poll`, async () => {
      const socket = await connected(peer.url, { transports, reconnection: false });
      const gone = goneFor(socket.id);
      socket.io.engine.close();
      assert.match(await gone, /^transport (close|error)$/);
      leave(socket);
    });
  }

  test("a WebSocket connection that is cut: transport close", async () => {
    const { wire } = await rawWebSocket(peer.port, { connect: false });
    wire.write(text("40"));
    const { sid } = JSON.parse((await wire.frame()).payload.subarray(2));
    const gone = goneFor(sid);
    wire.destroy();
    assert.equal(await gone, "transport close");
  });

  test("a query string is part of a namespace's name, so unknown", async () => {
    const session = await Polling.open(peer.port);
    await session.post('40/other?token=x,{"a":1}');
    assert.deepEqual(await session.packets(), ['44/other?token=x,{"message":"Invalid namespace"}']);
  });

  test("packets of a namespace carry its name", async () => {
    const session = await Polling.open(peer.port);
    await session.post('40/other,{"a":1}');
    const packets = await session.packets();
    while (packets.length < 2) packets.push(...(await session.packets()));
    assert.match(packets[0], /^40\/other,\{"sid":"[\w-]{20}"\}$/);
    assert.equal(packets[1], '42/other,["welcome",{"a":1}]');
    await session.post('42/other,7["echo","x"]');
    assert.deepEqual(await session.packets(), ['43/other,7["x"]']);
    await session.post("41/other,");
  });

  test("the refusal of an unknown namespace is a CONNECT_ERROR, and the connection goes on", async () => {
    const session = await Polling.open(peer.port);
    await session.post("40/nowhere,");
    assert.deepEqual(await session.packets(), ['44/nowhere,{"message":"Invalid namespace"}']);
    await session.post("40");
    assert.match((await session.packets())[0], /^40\{"sid"/);
  });

  test("a client that does not come back by itself after a refusal can be told to", async () => {
    const socket = client(peer.url, { transports: ["websocket"] });
    await next(socket, "connect");
    const reasons = [];
    socket.on("disconnect", (reason) => reasons.push(reason));
    socket.io.engine.transport.ws?.terminate?.();
    await next(socket, "connect");
    assert.deepEqual(reasons, ["transport close"]);
    leave(socket);
  });
});

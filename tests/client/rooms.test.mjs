// Rooms: who gets a word and who does not. Each test ends with a word to all, so that what must not come would have come.
import assert from "node:assert/strict";
import { after, before, beforeEach, afterEach, describe, test } from "node:test";
import { startPeer } from "./peer.mjs";
import { ask, connected, leave } from "./official.mjs";
import { within } from "../system/process.mjs";

describe("rooms", () => {
  let peer;
  let all;
  let words;
  before(async () => (peer = await startPeer()));
  after(() => peer?.stop());

  beforeEach(async () => {
    const transports = [["polling"], ["websocket"], ["polling"], ["websocket"]];
    all = await Promise.all(transports.map((each, i) => connected(peer.url, { transports: each, from: `127.0.1.${i + 1}` })));
    words = all.map(() => []);
  });
  afterEach(() => leave(...all));

  /// What each client got of the words that `act` makes.
  async function heard(act) {
    const fences = all.map(
      (socket, i) =>
        new Promise((resolve) => {
          socket.off("word");
          socket.on("word", (word) => (word === "fence" ? resolve() : words[i].push(word)));
        }),
    );
    await act();
    await ask(all[0], "word to all", "fence");
    await within(Promise.all(fences), "the fence");
    return words;
  }

  const join = (room, ...members) => Promise.all(members.map((i) => ask(all[i], "join", room)));

  test("a word to a room reaches its members, but not the sender", async () => {
    await join("a", 0, 1, 2);
    assert.deepEqual(await heard(() => ask(all[0], "word", "a", [], "hi")), [[], ["hi"], ["hi"], []]);
  });

  test("a word of the server to a room reaches the sender too", async () => {
    await join("a", 0, 1);
    assert.deepEqual(await heard(() => ask(all[0], "server word", "a", [], "hi")), [["hi"], ["hi"], [], []]);
  });

  test("a sender need not be in the room", async () => {
    await join("a", 1);
    assert.deepEqual(await heard(() => ask(all[3], "word", "a", [], "hi")), [[], ["hi"], [], []]);
  });

  test("who is in two of the rooms gets it once", async () => {
    await join("a", 0, 1, 2);
    await join("b", 1, 2, 3);
    assert.deepEqual(await heard(() => ask(all[0], "server word", ["a", "b"], [], "hi")), [["hi"], ["hi"], ["hi"], ["hi"]]);
  });

  test("who is in an excepted room does not get it", async () => {
    await join("a", 0, 1, 2);
    await join("b", 1, 3);
    assert.deepEqual(await heard(() => ask(all[0], "server word", "a", "b", "hi")), [["hi"], [], ["hi"], []]);
    words.forEach((list) => list.splice(0));
    assert.deepEqual(await heard(() => ask(all[0], "server word", [], "b", "hi")), [["hi"], [], ["hi"], []]);
  });

  test("who has left a room does not get it", async () => {
    await join("a", 0, 1, 2);
    await ask(all[1], "leave", "a");
    assert.deepEqual(await heard(() => ask(all[0], "word", "a", [], "hi")), [[], [], ["hi"], []]);
  });

  test("who joined twice has it once and leaves once", async () => {
    await join("a", 1, 1);
    assert.deepEqual(await heard(() => ask(all[0], "word", "a", [], "hi")), [[], ["hi"], [], []]);
    await ask(all[1], "leave", "a");
    assert.deepEqual(await heard(() => ask(all[0], "word", "a", [], "again")), [[], ["hi"], [], []]);
  });

  test("a socket's id is a room: its own word to itself is left out, the server's is not", async () => {
    const id = all[2].id;
    assert.deepEqual(await heard(() => ask(all[0], "word", id, [], "you")), [[], [], ["you"], []]);
    assert.deepEqual(await heard(() => ask(all[2], "server word", id, [], "me")), [[], [], ["you", "me"], []]);
  });

  test("an empty room and a name that is a property of every object reach nobody", async () => {
    assert.deepEqual(await heard(() => ask(all[0], "word", "__proto__", [], "hi")), [[], [], [], []]);
    assert.deepEqual(await heard(() => ask(all[0], "word", "", [], "hi")), [[], [], [], []]);
  });

  test("a room's name may be any text", async () => {
    const name = 'x,"\\\u0000€ 😀#/'.repeat(20);
    await join(name, 1);
    assert.deepEqual(await heard(() => ask(all[0], "word", name, [], "hi")), [[], ["hi"], [], []]);
  });

  test("rooms() names the own id and what was joined", async () => {
    await join("a", 0);
    await join("b", 0);
    await ask(all[0], "leave", "b");
    assert.deepEqual(await ask(all[0], "rooms"), [all[0].id, "a"].sort());
  });

  test("a client that comes back is in none of its rooms", async () => {
    await join("a", 1, 2);
    all[1].disconnect().connect();
    await within(new Promise((resolve) => all[1].once("connect", resolve)), "connect");
    assert.deepEqual(await heard(() => ask(all[0], "word", "a", [], "hi")), [[], [], ["hi"], []]);
  });
});

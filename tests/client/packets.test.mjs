// Socket.IO packets that are wrong: the whole connection is closed, with the official reason, and nobody else notices.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startPeer } from "./peer.mjs";
import { ask, connected, leave, next } from "./official.mjs";
import { Messages, Polling, frame, rawWebSocket, text, webSocketUrl } from "./raw.mjs";

const deep = "[".repeat(50_000) + "]".repeat(50_000);

describe("packets", () => {
  let peer;
  let watcher;
  before(async () => {
    peer = await startPeer({ connectTimeout: 500 });
    watcher = await connected(peer.url);
  });
  after(async () => {
    if (watcher) leave(watcher);
    await peer?.stop();
  });

  const undecodable = [
    ["an unknown Engine.IO type", "9"],
    ["an empty message", ""],
    ["a packet without type", "4"],
    ["an unknown Socket.IO type", "47"],
    ["a letter for a type", "4x"],
    ["JSON that ends too early", '42["echo"'],
    ["text behind the JSON", '42["echo"]x'],
    ["an event that is an object", '42{"a":1}'],
    ["an event without a name", "42[]"],
    ["an event whose name is an object", '42[{"toString":"x"}]'],
    ["an event whose name is null", "42[null]"],
    ["an event with a reserved name: connect", '42["connect"]'],
    ["an event with a reserved name: disconnect", '42["disconnect"]'],
    ["an event with a reserved name: disconnecting", '42["disconnecting"]'],
    ["an event with a reserved name: connect_error", '42["connect_error"]'],
    ["an event with a reserved name: newListener", '42["newListener"]'],
    ["an event with a reserved name: removeListener", '42["removeListener"]'],
    ["an answer that is no array", "430{}"],
    ["a DISCONNECT with data", '41{"a":1}'],
    ["a CONNECT_ERROR from the client", '44{"message":"x"}'],
    ["a second CONNECT of the same namespace", "40"],
    ["an event of a namespace that was not joined", '42/other,["echo"]'],
    ["a DISCONNECT of a namespace that was not joined", "41/nowhere,"],
    ["a binary event without a count", '45["echo"]'],
    ["a binary event with a count that is no number", '45x-["echo"]'],
    ["more than ten attachments", '4511-["echo"]'],
    ["a placeholder out of range", ['451-["echo",{"_placeholder":true,"num":1}]', Buffer.from([1])]],
    ["a placeholder with a negative number", ['451-["echo",{"_placeholder":true,"num":-1}]', Buffer.from([1])]],
    ["text where an attachment is due", ['451-["echo",{"_placeholder":true,"num":0}]', '42["echo"]']],
    ["binary that nobody announced", [Buffer.from([1, 2, 3])]],
    ["a ping from the client", "2"],
  ];
  for (const [what, messages] of undecodable) {
    test(`${what} closes the connection`, async () => {
      const { wire } = await rawWebSocket(peer.port);
      for (const message of [messages].flat()) wire.write(typeof message === "string" ? text(message) : frame(0x82, message));
      await wire.closeCode();
      await wire.closed;
    });
  }

  for (const [packet, reason] of [["42[", /^(forced close|parse error)$/], ["9", /^parse error$/], ["1", /^transport close$/]]) {
    test(`the application is told ${reason} after a POST of ${packet}`, async () => {
      const session = await Polling.connect(peer.port);
      const gone = new Promise((resolve) => watcher.on("gone", (id, why) => id === session.id && resolve(why)));
      const poll = session.get(); // a close waits for the next poll, to tell it
      await session.post(packet);
      assert.match(await gone, reason);
      assert.match((await poll).body, /^[16]$/);
      watcher.off("gone");
    });
  }

  const fine = [
    ["an unknown event", '42["nobody listens",1]'],
    ["a number as event name", "42[7]"],
    ["an answer that nobody waits for", "4399[1]"],
    ["an answer with a large id", "439007199254740991[1]"],
    ["white space around the JSON", '42[ "nobody" , { "a" : [ 1 , 2 ] } ]'],
    ["a name that is a property of every object", '42["__proto__","x"]'],
  ];
  for (const [what, message] of fine) {
    test(`${what} is ignored, and the connection lives`, async () => {
      const { wire } = await rawWebSocket(peer.port);
      wire.write(Buffer.concat([text(message), text('42["echo","after"]')]));
      assert.equal((await wire.frame()).payload.toString(), '42["echo","after"]');
      wire.destroy();
    });
  }

  test("deeply nested JSON hurts nobody", async () => {
    const { wire } = await rawWebSocket(peer.port);
    wire.write(text(`42["nobody",${deep}]`));
    assert.equal(await ask(watcher, "echo", "alive"), "alive");
    wire.destroy();
  });

  test("an event before CONNECT closes the connection", async () => {
    const { wire } = await rawWebSocket(peer.port, { connect: false });
    wire.write(text('42["echo",1]'));
    await wire.closeCode();
    await wire.closed;
  });

  test("a client that never sends CONNECT is closed by the connect timeout", async () => {
    const { wire } = await rawWebSocket(peer.port, { connect: false });
    await wire.closeCode();
    await wire.closed;
  });

  test("a client that has sent CONNECT is not", async () => {
    const messages = new Messages(webSocketUrl(peer.port));
    await messages.next();
    messages.send("40");
    await messages.next();
    const silent = await rawWebSocket(peer.port, { connect: false });
    await silent.wire.closeCode(); // began later, so this one's time is over too
    messages.send('42["echo","here"]');
    assert.equal(await messages.next(), '42["echo","here"]');
    messages.ws.terminate();
  });

  test("an event's answer has the event's id, whatever its size", async () => {
    const messages = new Messages(webSocketUrl(peer.port));
    await messages.next();
    messages.send("40");
    await messages.next();
    messages.send('429007199254740991["echo","x"]');
    assert.equal(await messages.next(), '439007199254740991["x"]');
    messages.send('420["echo"]');
    assert.equal(await messages.next(), "430[]");
    messages.ws.terminate();
  });

  test("the watcher is connected still", async () => {
    watcher.emit("ask me", "ok?");
    const [, answer] = await next(watcher, "question");
    answer("yes");
    assert.deepEqual(await next(watcher, "answered"), ["yes"]);
  });
});

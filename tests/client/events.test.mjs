// Events, acknowledgements in both directions and binary arguments, on both transports, with the official client.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isNode, startPeer } from "./peer.mjs";
import { ask, bothTransports, connected, leave, next } from "./official.mjs";

const values = [
  ["nothing", []],
  ["null", [null]],
  ["true and false", [true, false]],
  ["numbers", [0, -1, 1.5, 1e300, 9007199254740991, -0.001]],
  ["strings", ["", "a", "€ 😀", '"quoted" \\ back', "\u0000\u001f\u2028", "\x1e"]],
  ["arrays and objects", [[], {}, [[1, [2]], { a: { b: [null] } }]]],
  ["a long string", ["x".repeat(200_000)]],
  ["keys of every object", [JSON.parse('{"__proto__":{"a":1},"constructor":2,"toString":3}')]],
  ["something like a placeholder", [{ _placeholder: "no", num: 0 }]],
  ["bytes", [Buffer.from([0, 1, 2, 255])]],
  ["no bytes at all", [Buffer.alloc(0)]],
  ["bytes deep inside", [{ file: { data: Buffer.from("abc"), name: "x" } }, 1, [Buffer.from("d")]]],
  ["ten binaries", [Array.from({ length: 10 }, (_, i) => Buffer.from([i]))]],
  ["a large binary", [Buffer.alloc(300_000, 7)]],
];

for (const transports of bothTransports) {
  describe(`events on ${transports}`, () => {
    let peer;
    let socket;
    let other;
    before(async () => {
      peer = await startPeer();
      socket = await connected(peer.url, { transports });
      other = await connected(peer.url, { transports });
    });
    after(async () => {
      leave(...[socket, other].filter(Boolean));
      await peer?.stop();
    });

    for (const [what, args] of values) {
      test(`${what}: back by event, by acknowledgement and by broadcast`, async () => {
        const event = next(socket, "echo");
        socket.emit("echo", ...args);
        assert.deepEqual(await event, args);

        const acknowledged = await new Promise((resolve) => socket.emit("echo", ...args, (...answer) => resolve(answer)));
        assert.deepEqual(acknowledged, args);

        const word = next(other, "word");
        await ask(socket, "word to others", ...args);
        assert.deepEqual(await word, args);
      });
    }

    test("each acknowledgement belongs to its event, whatever the number under way", async () => {
      const answers = await Promise.all(Array.from({ length: 300 }, (_, i) => ask(socket, "echo", i)));
      assert.deepEqual(answers, Array.from({ length: 300 }, (_, i) => i));
    });

    test("the server's question is answered by the client", async () => {
      socket.once("question", (question, answer) => answer(`${question} yes`, Buffer.from("bytes")));
      const answered = next(socket, "answered");
      socket.emit("ask me", "really?");
      assert.deepEqual(await answered, ["really? yes", Buffer.from("bytes")]);
    });

    test("a question with a time limit ends without an answer", async () => {
      const late = next(socket, "question");
      const answered = next(socket, "answered");
      socket.emit("ask me within", 100);
      const [, answer] = await late;
      assert.deepEqual(await answered, ["too late"]);
      const nothing = [];
      socket.on("answered", (word) => nothing.push(word));
      answer("after all");
      await ask(socket, "echo", "fence");
      socket.off("answered");
      assert.deepEqual(nothing, []);
    });

    test("a question with a time limit that is answered in time ends once", async () => {
      const words = [];
      socket.on("answered", (word) => words.push(word));
      socket.once("question", (question, answer) => answer());
      const answered = next(socket, "answered");
      socket.emit("ask me within", 60);
      await answered;
      // The next question's limit ends later than the first one's.
      const second = next(socket, "question");
      socket.emit("ask me within", 120);
      await second;
      while (words.length < 2) await next(socket, "answered");
      socket.off("answered");
      assert.deepEqual(words, ["in time", "too late"]);
    });

    test("a burst of the server arrives whole and in order", async () => {
      const got = [];
      const all = new Promise((resolve) => socket.on("burst", (i) => got.push(i) === 2_000 && resolve()));
      socket.emit("burst", 2_000, "x".repeat(100));
      await all;
      socket.off("burst");
      assert.deepEqual(got, Array.from({ length: 2_000 }, (_, i) => i));
    });

    // An exception ends the official server.
    test("a handler's parameters of another type do not harm the connection", { skip: isNode }, async () => {
      socket.emit("burst", { not: "a number" }, 5);
      socket.emit("join");
      socket.emit("chat message", 1, [2], {});
      assert.equal(await ask(socket, "echo", "alive"), "alive");
    });

    test("an exception of a handler harms nobody", { skip: isNode }, async () => {
      socket.emit("throw");
      assert.equal(await ask(socket, "echo", "alive"), "alive");
      assert.equal(await ask(other, "echo", "alive"), "alive");
    });

    test("a message above the limit ends only its sender's connection", async () => {
      const big = await connected(peer.url, { transports, reconnection: false });
      const gone = next(big, "disconnect");
      big.emit("echo", "x".repeat(1_100_000));
      await gone;
      assert.equal(await ask(socket, "echo", "alive"), "alive");
    });

    test("the handshake shows address, query and auth", async () => {
      const query = { room: "a b&c=ü" };
      const mine = await connected(peer.url, { transports, from: "127.9.8.7", query, auth: { token: "é" } });
      const who = await ask(mine, "whoami");
      assert.equal(who.id, mine.id);
      assert.match(who.address, /^(::ffff:)?127\.9\.8\.7$/);
      assert.equal(who.query.room, query.room);
      assert.deepEqual(who.auth, { token: "é" });
      leave(mine);
    });
  });
}

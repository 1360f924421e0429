// WebSocket frames, right and wrong, over a raw socket.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isNode, startPeer } from "./peer.mjs";
import { ask, connected, leave } from "./official.mjs";
import { Wire, frame, rawWebSocket, text, upgradeRequest } from "./raw.mjs";

describe("WebSocket", () => {
  let peer;
  let bystander;
  before(async () => {
    peer = await startPeer({ maxHttpBufferSize: 100_000 });
    bystander = await connected(peer.url, { transports: ["websocket"] });
  });
  after(async () => {
    if (bystander) leave(bystander);
    await peer?.stop();
  });

  test("the handshake is answered with the accept key, and the open packet offers no upgrade", async () => {
    const wire = new Wire(peer.port);
    wire.write(upgradeRequest("EIO=4&transport=websocket"));
    const response = await wire.response();
    assert.equal(response.status, 101);
    assert.equal(response.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert.equal(response.headers["sec-websocket-extensions"], undefined);
    const open = await wire.frame();
    assert.equal(open.masked, 0);
    assert.deepEqual(JSON.parse(open.payload.subarray(1)).upgrades, []);
    wire.destroy();
  });

  test("an extension that is offered is not taken", async () => {
    const wire = new Wire(peer.port);
    wire.write(upgradeRequest("EIO=4&transport=websocket", "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"));
    assert.equal((await wire.response()).headers["sec-websocket-extensions"], undefined);
    wire.destroy();
  });

  for (const size of [0, 1, 125 - 9, 126 - 9, 127, 65_535 - 9, 65_536 - 9, 65_536, 99_000]) {
    test(`a message with ${size} bytes of text comes back whole`, async () => {
      const { wire } = await rawWebSocket(peer.port);
      const message = `42["echo","${"x".repeat(size)}"]`;
      wire.write(text(message));
      assert.equal((await wire.frame()).payload.toString(), message);
      wire.destroy();
    });
  }

  test("a message in fragments, byte by byte and with a ping in between, is one message", async () => {
    const { wire } = await rawWebSocket(peer.port);
    const parts = ['42["ec', 'ho","€', '😀"]'].map((part) => Buffer.from(part));
    const split = Buffer.concat(parts);
    const middle = Buffer.byteLength('42["echo","') + 1; // inside of €
    const bytes = Buffer.concat([frame(0x01, split.subarray(0, middle)), frame(0x89, "beat"), frame(0x00, split.subarray(middle, middle + 1)), frame(0x00, ""), frame(0x80, split.subarray(middle + 1))]);
    for (const byte of bytes) wire.write(Buffer.from([byte]));
    const pong = await wire.frame();
    assert.equal(pong.opcode, 0xa);
    assert.equal(pong.payload.toString(), "beat");
    assert.equal((await wire.frame()).payload.toString(), '42["echo","€😀"]');
    wire.destroy();
  });

  test("many messages in one segment are answered in order", async () => {
    const { wire } = await rawWebSocket(peer.port);
    wire.write(Buffer.concat(Array.from({ length: 500 }, (_, i) => text(`42["echo",${i}]`))));
    for (let i = 0; i < 500; i += 1) assert.equal((await wire.frame()).payload.toString(), `42["echo",${i}]`);
    wire.destroy();
  });

  // The official server drops them: it sets its listener up later.
  test("messages in the same segment as the upgrade request are not lost", { skip: isNode }, async () => {
    const wire = new Wire(peer.port);
    wire.write(Buffer.concat([Buffer.from(upgradeRequest("EIO=4&transport=websocket")), text("40"), text('42["echo","early"]')]));
    assert.equal((await wire.response()).status, 101);
    assert.equal((await wire.frame()).payload[0], 0x30);
    assert.match((await wire.frame()).payload.toString(), /^40/);
    assert.equal((await wire.frame()).payload.toString(), '42["echo","early"]');
    wire.destroy();
  });

  test("a close frame is answered with one, and the connection ends", async () => {
    const { wire } = await rawWebSocket(peer.port);
    wire.write(frame(0x88, Buffer.from([0x03, 0xe8])));
    assert.equal(await wire.closeCode(), 1000);
    assert.equal(await wire.closed, "end");
  });

  test("frames of a client that already closed are not acted on", async () => {
    const { wire } = await rawWebSocket(peer.port);
    const words = [];
    bystander.on("word", (word) => words.push(word));
    wire.write(Buffer.concat([text('42["word to others","before"]'), frame(0x88, Buffer.from([0x03, 0xe8])), text('42["word to others","after"]')]));
    await wire.closed;
    await ask(bystander, "echo", "fence");
    bystander.off("word");
    assert.deepEqual(words, ["before"]);
  });

  const fin = 0x80;
  const protocolErrors = [
    ["an unmasked frame", text('42["echo",1]', { mask: false }), 1002],
    ["a reserved bit", frame(fin | 0x41, "x"), 1002],
    ["reserved bits 2 and 3", frame(fin | 0x31, "x"), 1002],
    ["a reserved opcode", frame(fin | 0x3, "x"), 1002],
    ["a reserved control opcode", frame(fin | 0xb, "x"), 1002],
    ["a continuation of nothing", frame(fin | 0x0, "x"), 1002],
    ["a new message inside of one", Buffer.concat([frame(0x01, "x"), frame(fin | 0x1, "x")]), 1002],
    ["a ping in fragments", frame(0x09, "x"), 1002],
    ["a ping of 126 bytes", frame(fin | 0x9, "x".repeat(126)), 1002],
    ["a close frame with one byte", frame(fin | 0x8, "x"), 1002],
    ["a close code that does not exist", frame(fin | 0x8, Buffer.from([0x03, 0xed])), 1002],
    ["a close code of 999", frame(fin | 0x8, Buffer.from([0x03, 0xe7])), 1002],
    ["wrong UTF-8", frame(fin | 0x1, Buffer.from([0x34, 0x32, 0xc3, 0x28])), 1007],
    ["UTF-8 that encodes a surrogate", frame(fin | 0x1, Buffer.from([0x34, 0xed, 0xa0, 0x80])), 1007],
    ["UTF-8 that ends too early", frame(fin | 0x1, Buffer.from([0x34, 0xe2, 0x82])), 1007],
    ["wrong UTF-8 in a fragment", Buffer.concat([frame(0x01, "4"), frame(fin, Buffer.from([0xff]))]), 1007],
    ["a wrong UTF-8 reason of a close", frame(fin | 0x8, Buffer.from([0x03, 0xe8, 0xff])), 1007],
    ["a message above the limit", text(`42["echo","${"x".repeat(100_000)}"]`), 1009],
    ["fragments above the limit", Buffer.concat([frame(0x01, "4".padEnd(60_000, "x")), frame(fin, "x".repeat(60_000))]), 1009],
    ["a length of 2^63", Buffer.from([0x81, 0xff, 0x80, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]), [1002, 1009]],
    ["a length of 2^53 - 1", Buffer.from([0x81, 0xff, 0, 0x1f, 255, 255, 255, 255, 255, 255, 1, 2, 3, 4]), [1002, 1009]],
  ];
  for (const [what, bytes, code] of protocolErrors) {
    test(`${what}: closed with ${code}`, async () => {
      const { wire } = await rawWebSocket(peer.port);
      wire.write(bytes);
      const got = await wire.closeCode();
      assert.ok([code].flat().includes(got), `${got} instead of ${code}`);
      wire.socket.end();
      await wire.closed;
    });
  }

  test("a frame header above the limit is refused before its payload comes", async () => {
    const { wire } = await rawWebSocket(peer.port);
    wire.write(Buffer.from([0x81, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 1, 2, 3, 4]));
    assert.equal(await wire.closeCode(), 1009);
    wire.destroy();
  });

  const badUpgrades = [
    ["without a key", (head) => head.replace(/Sec-WebSocket-Key.*\r\n/, "")],
    ["with a key of another length", (head) => head.replace(/(Sec-WebSocket-Key: ).*\r\n/, "$1abc\r\n")],
    ["of version 7", (head) => head.replace("Version: 13", "Version: 7")],
    ["without a version", (head) => head.replace(/Sec-WebSocket-Version.*\r\n/, "")],
  ];
  for (const [what, change] of badUpgrades) {
    test(`an upgrade ${what} is refused with 400 or 426`, async () => {
      const wire = new Wire(peer.port);
      wire.write(change(upgradeRequest("EIO=4&transport=websocket")));
      const { status } = await wire.response();
      assert.ok(status === 400 || status === 426, `${status}`);
      wire.destroy();
    });
  }

  test("the bystander is connected still, and served", async () => {
    assert.equal(bystander.connected, true);
    assert.equal(await ask(bystander, "echo", "hello"), "hello");
  });
});

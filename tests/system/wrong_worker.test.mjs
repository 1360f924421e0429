// Bodies of any size and any framing that reach a worker which does not own their session, cut wherever a reader could
// stumble: the owner gets them byte for byte, and the connection they came on goes on.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { malformed } from "../client/malformed.mjs";
import { Polling, Wire } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";

const kib = 1024;

describe("a request at the wrong worker", () => {
  let cluster;
  let session;
  let stranger; // an address of another slot than the session's
  before(async () => {
    cluster = await Cluster.start({ workers: 2, settings: { "socketio.max_payload": "2MiB", "socketio.ping_interval": "600s" } }); // no ping among what is counted
    const owner = await cluster.who("127.71.0.1");
    session = await Polling.connect(cluster.port, { from: "127.71.0.1" });
    stranger = (await Promise.all(addresses(20, 72).map((from) => cluster.who(from)))).find((who) => who.slot !== owner.slot).address;
  });
  after(() => cluster?.close());

  /// A message of exactly `size` bytes that comes back as it is.
  const echo = (size) => `42["echo","${Array.from({ length: size - 12 }, (_, i) => String.fromCharCode(97 + ((i * 7 + size) % 26))).join("")}"]`;
  const line = () => `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\n`;
  const counted = (body) => `${line()}Content-Length: ${body.length}\r\n\r\n${body}`;
  const chunked = (body, size) => {
    let out = `${line()}Transfer-Encoding: chunked\r\n\r\n`;
    for (let at = 0; at < body.length; at += size) out += `${Math.min(size, body.length - at).toString(16)};x=y\r\n${body.slice(at, at + size)}\r\n`;
    return `${out}0\r\nTrailer: t\r\n\r\n`;
  };

  /// Writes the pieces one by one, each when the kernel has the one before.
  async function send(wire, bytes, cuts) {
    const places = [...new Set([0, ...cuts.filter((cut) => cut > 0 && cut < bytes.length), bytes.length])].sort((a, b) => a - b);
    for (let i = 1; i < places.length; i += 1) {
      const piece = Buffer.from(bytes.slice(places[i - 1], places[i]), "latin1");
      await new Promise((resolve) => wire.socket.write(piece, resolve));
    }
  }

  async function arrives(bytes, body, cuts, what, behind = "") {
    const wire = new Wire(cluster.port, { from: stranger });
    await wire.connected;
    await send(wire, bytes + behind, cuts);
    assert.equal((await wire.response()).body, "ok", what);
    if (behind) assert.match((await wire.response()).body, /^worker: \d\n$/, what);
    wire.destroy();
    const got = await session.packets();
    assert.equal(got.length, 1, what);
    assert.ok(got[0] === body, `${what}: ${got[0].length} bytes of ${body.length}, or others`);
  }

  const sizes = [12, 13, 100, 16 * kib, 48 * kib - 200, 48 * kib, 48 * kib + 1, 64 * kib - 1, 64 * kib, 64 * kib + 1, 300_000, 1_000_000];
  const next = "GET /worker HTTP/1.1\r\nHost: x\r\n\r\n";

  test("a body of one byte", async () => {
    for (const bytes of [counted("6"), chunked("6", 1)]) {
      const wire = new Wire(cluster.port, { from: stranger });
      wire.write(bytes);
      assert.equal((await wire.response()).body, "ok");
      wire.destroy();
    }
  });

  for (const size of sizes) {
    test(`a body of ${size} bytes, counted and in chunks, with a request behind it and without`, async () => {
      const body = echo(size);
      for (const behind of ["", next]) {
        await arrives(counted(body), body, [], "counted", behind);
        await arrives(chunked(body, 1000), body, [], "chunks of 1,000 bytes", behind);
        await arrives(chunked(body, 70_000), body, [], "chunks of 70,000 bytes", behind);
      }
    });
  }

  test("cut at every place of a short request", async () => {
    const body = echo(14);
    for (const bytes of [counted(body), chunked(body, 5)]) {
      for (let cut = 1; cut < bytes.length; cut += 1) await arrives(bytes, body, [cut], `cut at ${cut}`, cut % 2 ? next : "");
    }
  });

  test("cut around the limits of an inbox, a read and an unread body, and at the ends", async () => {
    const body = echo(200_000);
    for (const bytes of [counted(body), chunked(body, 65_536)]) {
      const head = bytes.indexOf("\r\n\r\n") + 4;
      const places = [head - 3, head - 1, head, head + 1, head + 3, 48 * kib, 64 * kib, head + 64 * kib, bytes.length - 7, bytes.length - 2, bytes.length - 1];
      for (const place of places) {
        for (const cut of [place - 1, place, place + 1]) await arrives(bytes, body, [cut], `cut at ${cut}`, next);
      }
      await arrives(bytes, body, places, "cut at all of them", next);
    }
  });

  for (const [what, bytes, status] of malformed) {
    test(`${what}: ${status}, and the connection ends, as at the right worker`, async () => {
      for (const cut of [0, 1]) {
        const wire = new Wire(cluster.port, { from: stranger });
        await wire.connected;
        const whole = bytes(session.path);
        await send(wire, whole, cut ? [whole.length - 3] : []);
        assert.equal((await wire.response()).status, status);
        await wire.closed;
        wire.destroy();
      }
      await arrives(counted("42[\"echo\",1]"), "42[\"echo\",1]", [], "its session goes on");
    });
  }

  test("a method that nobody knows: 501 there and then, and the connection goes on", async () => {
    const wire = new Wire(cluster.port, { from: stranger });
    wire.write(`BREW ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n6${next}`);
    assert.equal((await wire.response()).status, 501);
    assert.match((await wire.response()).body, /^worker: \d\n$/);
    wire.destroy();
  });

  test("an absolute target finds its session, whatever Host says", async () => {
    const bytes = counted("42[\"echo\",2]").replace("POST /", "POST http://elsewhere.example/");
    await arrives(bytes, "42[\"echo\",2]", [], "absolute", next);
    await arrives(bytes, "42[\"echo\",2]", [], "absolute");
  });

  test("a pool's connection carries requests of many sessions, one after the other, and none fails", async () => {
    const sessions = await Promise.all(addresses(12, 73).map((from) => Polling.connect(cluster.port, { from })));
    const wire = new Wire(cluster.port, { from: stranger });
    for (let round = 0; round < 5; round += 1) {
      for (const each of sessions) {
        const body = `42["echo",${round}]`;
        wire.write(`POST ${each.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n${body.length.toString(16)}\r\n${body}\r\n0\r\n\r\n`);
        assert.equal((await wire.response()).body, "ok");
        wire.write(`HEAD ${each.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        const { status } = await wire.read((bytes) => (bytes.includes("\r\n\r\n") ? { status: Number(bytes.subarray(9, 12)) } : undefined), "the answer to HEAD");
        assert.ok(status >= 400);
        wire.bytes = Buffer.alloc(0);
        wire.write(`GET ${each.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
        assert.ok((await wire.response()).body.split("\x1e").includes(body));
      }
    }
    wire.destroy();
    assert.equal((await cluster.stats()).handovers_failed.total, 0);
  });
});

// Bad input of every kind at a running cluster: a clear error to whoever made it, and four bystanders who go on chatting
// all the while notice nothing. (Bad frames, packets and requests one by one: ../client.)
import assert from "node:assert/strict";
import path from "node:path";
import fs from "node:fs";
import { after, before, describe, test } from "node:test";
import { Wire, frame, rawWebSocket, text, upgradeRequest } from "../client/raw.mjs";
import { build } from "./build.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { Fleet } from "./fleet.mjs";
import { Process, run } from "./process.mjs";

describe("bad input", () => {
  let cluster;
  let bystanders;
  let chatting;
  let over = false;
  before(async () => {
    // Short time limits are for the bad: a bystander that has no CPU for a while is not cut off.
    const listen = [{ address: "tcp://127.0.0.1:0", header_timeout: "500ms", body_timeout: "500ms" }, { address: "tcp://127.0.0.1:0" }];
    cluster = await Cluster.start({ workers: 2, listen: [], settings: { listen, connectTimeout: 60_000 } });
    bystanders = await Fleet.connect(`http://127.0.0.1:${cluster.ports[1]}`, addresses(4));
    chatting = (async () => {
      while (!over) await bystanders.chat(3);
    })();
    chatting.catch(() => {}); // the last test tells
  });
  after(async () => {
    over = true;
    bystanders?.leave();
    await cluster?.close();
  });

  const spread = addresses(8, 60);
  /// What comes back, from workers of both slots: {status, end}.
  async function answersTo(bytes) {
    return Promise.all(
      spread.map(async (from) => {
        const wire = new Wire(cluster.port, { from });
        wire.write(bytes);
        const response = await wire.response().catch(() => undefined);
        const end = await wire.closed;
        return { status: response?.status, end };
      }),
    );
  }

  const head = "GET /worker HTTP/1.1\r\nHost: x\r\n";
  const post = "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n";
  const refused = [
    ["no HTTP at all", "hello, is this SMTP?\r\n\r\n", [400]],
    ["binary noise", Buffer.from(Array.from({ length: 4096 }, (_, i) => (i * 37 + 128) & 255)), [400]],
    ["a TLS hello", Buffer.from("16030100c8010000c40303", "hex"), [400, 408, undefined]],
    ["64 KiB of one header", `${head}X: ${"x".repeat(65_536)}\r\n\r\n`, [431]],
    ["64 KiB of many headers", `${head}${"X-Header: abcdefgh\r\n".repeat(3277)}\r\n`, [431]],
    ["a request line of 64 KiB", `GET /${"x".repeat(65_536)} HTTP/1.1\r\nHost: x\r\n\r\n`, [414, 431]],
    ["a header without a colon", `${head}nonsense\r\n\r\n`, [400]],
    ["a header name with a space", `${head}bad name: x\r\n\r\n`, [400]],
    ["a NUL in a header", `${head}X: a\0b\r\n\r\n`, [400]],
    ["HTTP/9.9", "GET / HTTP/9.9\r\nHost: x\r\n\r\n", [400, 505]],
    ["two different lengths", `${post}Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!`, [400]],
    ["a negative length", `${post}Content-Length: -1\r\n\r\n`, [400]],
    ["a length that is no number", `${post}Content-Length: ten\r\n\r\n`, [400]],
    ["a length of 2^64", `${post}Content-Length: 18446744073709551616\r\n\r\n`, [400, 413]],
    ["a length and chunks", `${post}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n`, [400]],
    ["a wrong chunk", "POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", [400]],
  ];
  for (const [what, bytes, statuses] of refused) {
    test(`${what}: refused with ${statuses.join(" or ")}, and closed`, async () => {
      for (const { status } of await answersTo(bytes)) assert.ok(statuses.includes(status), `${status}`);
    });
  }

  const unfinished = [
    ["nothing at all", ""],
    ["half a request line", "GET /socket.io/?EIO=4&tra"],
    ["half a handshake", upgradeRequest("EIO=4&transport=websocket").slice(0, -12)],
    ["half a body", `${post.replace("polling", "polling&sid=AAAAAAAAAAAAAAAAAAAA")}Content-Length: 100\r\n\r\nhalf`],
  ];
  for (const [what, bytes] of unfinished) {
    test(`${what}, then silence: ended by the time limit`, async () => {
      for (const { status } of await answersTo(bytes)) assert.ok([undefined, 400, 408].includes(status), `${status}`);
    });
    test(`${what}, then gone: nobody notices`, async () => {
      for (const from of spread) {
        const wire = new Wire(cluster.port, { from });
        await wire.connected;
        wire.write(bytes);
        wire.destroy();
      }
    });
  }

  test("one byte a second of header is ended by the time limit as well", async () => {
    const wire = new Wire(cluster.port);
    const bytes = Buffer.from(`${head}${"X: y\r\n".repeat(100)}`);
    let i = 0;
    const drip = setInterval(() => wire.write(bytes.subarray(i, (i += 1))), 50);
    await wire.closed;
    clearInterval(drip);
    assert.ok(i < bytes.length);
  });

  test("wrong frames and packets from everywhere end their own connections only", async () => {
    const wrong = [text("42[", { mask: false }), frame(0x81, Buffer.from([0x34, 0xff])), text("4x"), text(`42["echo","${"x".repeat(1_000_001)}"]`), text("45-1[]"), frame(0x82, "nobody announced")];
    await Promise.all(
      spread.flatMap((from) =>
        wrong.map(async (bytes) => {
          const { wire } = await rawWebSocket(cluster.port, { from });
          wire.write(bytes);
          await wire.closeCode();
          await wire.closed;
        }),
      ),
    );
  });

  const socketPath = () => path.join(cluster.runtime, fs.readdirSync(cluster.runtime).find((name) => fs.statSync(path.join(cluster.runtime, name)).isSocket()));

  test("noise on the control socket is refused, and the next status is answered", async () => {
    const datagrams = ["00", "ff".repeat(10), "00".repeat(8), "0000000001000000", "ffffffff".repeat(100), "41".repeat(60_000), Buffer.from("status\n").toString("hex")];
    const { code, lines } = await run(build("noise"), [socketPath(), "send", ...datagrams]);
    assert.equal(code, 0);
    assert.equal(lines.length, datagrams.length);
    for (const line of lines) assert.match(line, /closed$/);
    assert.equal((await cluster.status()).slots.length, 2);
  });

  test("200 silent clients of the control socket lock nobody out", async () => {
    const silent = new Process("sh", ["-c", `sleep 60 | '${build("noise")}' '${socketPath()}' silent 200`]);
    try {
      await silent.line(/connected/);
      for (let i = 0; i < 5; i += 1) assert.equal((await cluster.ctl("status")).code, 0);
    } finally {
      await silent.destroy();
    }
  });

  test("the bystanders chatted all the while: every line once, in order, nobody disconnected", async () => {
    over = true;
    await chatting;
    bystanders.assertNoMistakes();
    assert.ok(bystanders.round >= 3, `${bystanders.round} rounds`);
    assert.deepEqual(bystanders.members.map((member) => member.connects), [1, 1, 1, 1]);
    const { slots } = await cluster.status();
    assert.deepEqual(slots.map((slot) => slot.deaths), [0, 0]);
  });
});

// Long-polling, request by request.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { startPeer } from "./peer.mjs";
import { Polling, Wire, request } from "./raw.mjs";

describe("long-polling", () => {
  let peer;
  before(async () => (peer = await startPeer({ maxHttpBufferSize: 10_000 })));
  after(() => peer?.stop());

  test("the handshake tells sid, upgrades, intervals and the largest payload", async () => {
    const answer = await request(peer.port, { path: "/socket.io/?EIO=4&transport=polling" });
    assert.equal(answer.status, 200);
    assert.match(answer.headers["content-type"], /^text\/plain; charset=utf-8$/i);
    assert.equal(answer.headers["cache-control"], "no-store");
    assert.equal(answer.body[0], "0");
    const open = JSON.parse(answer.body.slice(1));
    assert.match(open.sid, /^[\w-]{20}$/);
    assert.deepEqual({ ...open, sid: "" }, { sid: "", upgrades: ["websocket"], pingInterval: 25000, pingTimeout: 20000, maxPayload: 10000 });
  });

  test("no two sids are the same", async () => {
    const sids = await Promise.all(Array.from({ length: 200 }, async () => (await Polling.open(peer.port)).sid));
    assert.equal(new Set(sids).size, 200);
  });

  test("the socket's id is not the session's", async () => {
    const session = await Polling.connect(peer.port);
    assert.match(session.id, /^[\w-]{20}$/);
    assert.notEqual(session.id, session.sid);
  });

  test("a POST is answered with ok as text/html", async () => {
    const session = await Polling.open(peer.port);
    const answer = await session.post("40");
    assert.equal(answer.status, 200);
    assert.equal(answer.body, "ok");
    assert.match(answer.headers["content-type"], /^text\/html/);
    assert.equal(answer.headers["content-length"], "2");
  });

  test("packets of one POST arrive in order, and those of one poll are joined by 0x1e", async () => {
    const session = await Polling.connect(peer.port);
    await session.post(['42["echo",1]', '42["echo",2]', '42["echo",3]'].join("\x1e"));
    const got = [];
    while (got.length < 3) got.push(...(await session.packets()));
    assert.deepEqual(got, ['42["echo",1]', '42["echo",2]', '42["echo",3]']);
  });

  test("a poll waits until there is something", async () => {
    const session = await Polling.connect(peer.port);
    const poll = session.get();
    await session.post('42["echo","now"]');
    assert.equal((await poll).body, '42["echo","now"]');
  });

  test("non-ASCII text passes unchanged, and lengths are counted in bytes", async () => {
    const session = await Polling.connect(peer.port);
    await session.post('42["echo","€ 😀 ü"]');
    const answer = await session.get();
    assert.equal(answer.body, '42["echo","€ 😀 ü"]');
    assert.equal(Number(answer.headers["content-length"]), Buffer.byteLength(answer.body));
  });

  test("binary travels as b and base64, both ways", async () => {
    const session = await Polling.connect(peer.port);
    await session.post('451-["echo",{"_placeholder":true,"num":0}]\x1ebAQIDBA==');
    const got = [];
    while (got.length < 2) got.push(...(await session.packets()));
    assert.deepEqual(got, ['451-["echo",{"_placeholder":true,"num":0}]', "bAQIDBA=="]);
  });

  test("a payload above the limit gets 413, and the session lives", async () => {
    const session = await Polling.connect(peer.port);
    const answer = await session.post(`42["echo","${"x".repeat(10_000)}"]`);
    assert.equal(answer.status, 413);
    await session.post('42["echo","small"]');
    assert.equal((await session.get()).body, '42["echo","small"]');
  });

  test("a payload of exactly the limit is taken", async () => {
    const session = await Polling.connect(peer.port);
    const body = `420["echo","${"x".repeat(10_000 - 14)}"]`;
    assert.equal(body.length, 10_000);
    assert.equal((await session.post(body)).status, 200);
    assert.equal((await session.get()).body.length, body.length - '"echo",'.length);
  });

  test("a chunked payload is taken, and one above the limit gets 413", async () => {
    const session = await Polling.connect(peer.port);
    const head = `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n`;
    const chunk = (body) => `${body.length.toString(16)}\r\n${body}\r\n`;
    const wire = new Wire(peer.port);
    wire.write(`${head}${chunk('42["ec')}${chunk('ho",7]')}0\r\n\r\n`);
    assert.equal((await wire.response()).body, "ok");
    assert.equal((await session.get()).body, '42["echo",7]');
    wire.write(head + Array.from({ length: 12 }, () => chunk("x".repeat(1000))).join(""));
    assert.equal((await wire.response()).status, 413);
    wire.destroy();
  });

  test("application/octet-stream in a POST gets 400, and the session is closed", async () => {
    const session = await Polling.connect(peer.port);
    const answer = await session.post("x", { headers: { "Content-Type": "application/octet-stream" } });
    assert.equal(answer.status, 400);
    assert.equal((await session.get()).status, 400);
  });

  test("a second poll at once gets 400, the first one is answered, and the session is closed", async () => {
    const session = await Polling.connect(peer.port);
    const answers = await Promise.all([session.get(), session.get()]);
    assert.deepEqual(answers.map((answer) => answer.status).sort(), [200, 400]);
    assert.match(answers.find((answer) => answer.status === 200).body, /^[16]$/);
    assert.equal(JSON.parse((await session.get()).body).code, 1);
  });

  test("a second POST while one is under way gets 400, and the session is closed", async () => {
    const session = await Polling.connect(peer.port);
    const slow = new Wire(peer.port);
    slow.write(`POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 100\r\n\r\n42["echo`);
    // The worker has the slow request when it has answered one behind it: same connection order is not given, so ask
    // until the overlap shows.
    let answer;
    do {
      answer = await session.post('42["echo",1]');
    } while (answer.status === 200);
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse((await session.get()).body).code, 1);
    slow.destroy();
  });

  test("a client that aborts its poll has left", async () => {
    const watcher = await Polling.connect(peer.port);
    const session = await Polling.connect(peer.port);
    const wire = new Wire(peer.port);
    wire.write(`GET ${session.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    // Answered: so the poll before it on the other connection is not; then a new poll, and away.
    await session.post('42["echo",1]');
    await wire.response();
    wire.write(`GET ${session.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    wire.destroy();
    const gone = (await watcher.packets()).map((packet) => JSON.parse(packet.slice(2)));
    assert.ok(gone.some(([event, id, reason]) => event === "gone" && id === session.id && /^transport (error|close)$/.test(reason)), JSON.stringify(gone));
    assert.equal((await session.get()).status, 400);
  });

  test("a close packet ends the session, and a waiting poll is released", async () => {
    const session = await Polling.connect(peer.port);
    const poll = session.get();
    assert.equal((await session.post("1")).body, "ok");
    assert.match((await poll).body, /^[16]$/);
    assert.equal(JSON.parse((await session.get()).body).code, 1);
  });

  test("an undecodable packet in a POST is answered with ok, then the session is closed", async () => {
    for (const packet of ["4x", "9", "", "42[", '4{"a":1}', "b!!!"]) {
      const session = await Polling.connect(peer.port);
      const answer = await session.post(packet);
      assert.equal(answer.status, 200, packet);
      assert.equal(answer.body, "ok", packet);
      // What was queued before may come first; then the session is unknown.
      let after;
      do after = await session.get();
      while (after.status === 200 && !/^[16]$/.test(after.body));
      if (after.status === 200) after = await session.get();
      assert.equal(JSON.parse(after.body).code, 1, packet);
    }
  });

  test("requests in a pipeline are answered in order", async () => {
    const one = await Polling.connect(peer.port);
    const two = await Polling.connect(peer.port);
    const post = (session, body) => `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
    const get = (session) => `GET ${session.path} HTTP/1.1\r\nHost: x\r\n\r\n`;
    const wire = new Wire(peer.port);
    wire.write(post(one, '42["echo","one"]') + post(two, '42["echo","two"]') + get(two) + get(one));
    const bodies = [];
    for (let i = 0; i < 4; i += 1) bodies.push((await wire.response()).body);
    assert.deepEqual(bodies, ["ok", "ok", '42["echo","two"]', '42["echo","one"]']);
    wire.destroy();
  });

  test("HTTP/1.0 without keep-alive is answered and closed", async () => {
    const wire = new Wire(peer.port);
    wire.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.0\r\n\r\n");
    const answer = await wire.response();
    assert.equal(answer.status, 200);
    assert.equal(await wire.closed, "end");
  });
});

// The error table of Engine.IO 4: every row by a raw request, and a bystander who notices nothing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { isNode, startPeer } from "./peer.mjs";
import { ask, connected, leave } from "./official.mjs";
import { Polling, Wire, request, upgradeRequest } from "./raw.mjs";

describe("a request that is wrong gets the official answer", () => {
  let peer;
  let bystander;
  before(async () => {
    peer = await startPeer({ maxHttpBufferSize: 10_000 });
    bystander = await connected(peer.url);
  });
  after(async () => {
    if (bystander) leave(bystander);
    await peer?.stop();
  });

  const unknownSid = "AAAAAAAAAAAAAAAAAAAA";
  const refusals = [
    ["a missing transport", "GET", "EIO=4", 0, "Transport unknown"],
    ["an unknown transport", "GET", "EIO=4&transport=pigeon", 0, "Transport unknown"],
    ["a transport that is a property of every object", "GET", "EIO=4&transport=constructor", 0, "Transport unknown"],
    ["an unknown sid", "GET", `EIO=4&transport=polling&sid=${unknownSid}`, 1, "Session ID unknown"],
    ["an unknown sid in a POST", "POST", `EIO=4&transport=polling&sid=${unknownSid}`, 1, "Session ID unknown"],
    ["a sid that is too short", "GET", "EIO=4&transport=polling&sid=abc", 1, "Session ID unknown"],
    ["a sid that is a property of every object", "GET", "EIO=4&transport=polling&sid=__proto__", 1, "Session ID unknown"],
    ["a sid with other characters", "GET", "EIO=4&transport=polling&sid=%00%ff../../etc/passwd12", 1, "Session ID unknown"],
    ["a very long sid", "GET", `EIO=4&transport=polling&sid=${"x".repeat(4000)}`, 1, "Session ID unknown"],
    ["a POST without sid", "POST", "EIO=4&transport=polling", 2, "Bad handshake method"],
    ["a PUT without sid", "PUT", "EIO=4&transport=polling", 2, "Bad handshake method"],
    ["a WebSocket transport without upgrade", "GET", "EIO=4&transport=websocket", 3, "Bad request"],
    ["protocol version 3", "GET", "EIO=3&transport=polling", 5, "Unsupported protocol version"],
    ["no protocol version", "GET", "transport=polling", 5, "Unsupported protocol version"],
    ["protocol version 5", "GET", "EIO=5&transport=polling", 5, "Unsupported protocol version"],
  ];
  for (const [what, method, query, code, message] of refusals) {
    test(`${what}: 400 with code ${code}`, async () => {
      const answer = await request(peer.port, { method, path: `/socket.io/?${query}` });
      assert.equal(answer.status, 400);
      assert.equal(answer.headers["content-type"], "application/json");
      assert.deepEqual(JSON.parse(answer.body), { code, message });
    });
  }

  const refusedUpgrades = [
    ["an unknown transport", "EIO=4&transport=pigeon", "Transport unknown"],
    ["an unknown sid", `EIO=4&transport=websocket&sid=${unknownSid}`, "Session ID unknown"],
  ];
  for (const [what, query, message] of refusedUpgrades) {
    test(`${what} on an upgrade: 400 as text, and the connection closes`, async () => {
      const wire = new Wire(peer.port);
      wire.write(upgradeRequest(query));
      const answer = await wire.response();
      assert.equal(answer.status, 400);
      assert.equal(answer.headers["connection"]?.toLowerCase(), "close");
      assert.match(answer.headers["content-type"], /^text\/html/);
      assert.equal(answer.body, message);
      assert.equal(await wire.closed, "end");
    });
  }

  test("a WebSocket of protocol version 3 is closed", async () => {
    const wire = new Wire(peer.port);
    wire.write(upgradeRequest("EIO=3&transport=websocket"));
    await wire.closed;
    assert.doesNotMatch(wire.bytes.toString("latin1"), /"sid"/);
  });

  test("a session's request for another transport: 400 with code 3, and the session lives", async () => {
    const session = await Polling.connect(peer.port);
    const answer = await request(peer.port, { path: session.path.replace("polling", "websocket") });
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).code, 3);
    await session.post('420["echo","still here"]');
    assert.deepEqual(await session.packets(), ['430["still here"]']);
  });

  test("a session's request with another protocol version: 400 with code 3", async () => {
    const session = await Polling.connect(peer.port);
    const answer = await request(peer.port, { path: session.path.replace("EIO=4", "EIO=3") });
    assert.equal(answer.status, 400);
    assert.equal(JSON.parse(answer.body).code, 3);
  });

  // RFC 9110 section 15.5.6; the official server says 500.
  test("a method that is neither GET nor POST: 405", async () => {
    const session = await Polling.connect(peer.port);
    const answer = await request(peer.port, { method: "PUT", path: session.path });
    assert.equal(answer.status, isNode ? 500 : 405);
  });

  test("a path without the slash at its end: 404", async () => {
    const answer = await request(peer.port, { path: "/socket.io?EIO=4&transport=polling" });
    assert.equal(answer.status, 404);
  });

  test("a path that nobody serves: 404, and the connection serves the next request", async () => {
    const wire = new Wire(peer.port);
    wire.write("GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal((await wire.response()).status, 404);
    wire.write("GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n");
    const answer = await wire.response();
    assert.equal(answer.status, 200);
    assert.match(answer.body, /^0\{/);
    wire.destroy();
  });

  test("the bystander is connected still, and served", async () => {
    assert.equal(bystander.connected, true);
    assert.equal(await ask(bystander, "echo", "hello"), "hello");
  });
});

// HTTP to the letter, over raw sockets: one row for each requirement of docs/protocol.md that a client can see.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { io } from "socket.io-client";
import { kind, startPeer } from "./peer.mjs";
import { connected, leave } from "./official.mjs";
import { malformed } from "./malformed.mjs";
import { Polling, Wire, rawWebSocket, upgradeRequest } from "./raw.mjs";
import { within } from "../system/process.mjs";

const isDate = /^(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d [A-Z][a-z][a-z] \d{4} \d\d:\d\d:\d\d GMT$/;

/// What limpet serves with a folder of files; nothing here is asked of the official server.
describe("HTTP", { skip: kind !== "limpet" }, () => {
  let peer;
  let site;
  let session;
  before(async () => {
    site = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-site-"));
    fs.mkdirSync(path.join(site, "sub"));
    fs.writeFileSync(path.join(site, "index.html"), "0123456789");
    fs.writeFileSync(path.join(site, "sub", "index.html"), "sub");
    fs.writeFileSync(path.join(site, "large.bin"), "x".repeat(100_000) + "the end");
    fs.utimesSync(path.join(site, "index.html"), 784_111_777, 784_111_777);
    peer = await startPeer({ "app.files": site });
    session = await Polling.connect(peer.port);
  });
  after(async () => {
    await peer?.stop();
    fs.rmSync(site, { recursive: true, force: true });
  });

  /// The head and the body of the answer to `bytes`, and whether the connection goes on behind it.
  async function ask(bytes) {
    const wire = new Wire(peer.port);
    wire.write(bytes);
    const head = await wire.read((got) => (got.includes("\r\n\r\n") ? got.subarray(0, got.indexOf("\r\n\r\n") + 4).toString("latin1") : undefined), "a head");
    const [statusLine, ...lines] = head.trimEnd().split("\r\n");
    const headers = {};
    for (const line of lines) {
      const name = line.slice(0, line.indexOf(":")).toLowerCase();
      headers[name] = headers[name] === undefined ? line.slice(name.length + 1).trim() : `${headers[name]}, ${line.slice(name.length + 1).trim()}`;
    }
    // What stands behind the answer is the answer to this: so nothing of a body is missed, and none is expected where there is none.
    const fence = "GET /worker HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    if (!/close/i.test(headers.connection ?? "")) wire.write(fence);
    await within(wire.closed, "the end");
    const all = wire.bytes.toString("latin1").slice(head.length);
    const next = all.search(/HTTP\/1\.1 200 OK\r\n(.*\r\n)*\r\nworker: /);
    return { status: Number(statusLine.split(" ")[1]), headers, body: next < 0 ? all : all.slice(0, next), goesOn: next >= 0 };
  }
  const get = (target, lines = "", version = "1.1") => ask(`GET ${target} HTTP/${version}\r\nHost: x\r\n${lines}\r\n`);

  for (const [what, bytes, status] of malformed) {
    test(`${what}: ${status}, and the connection ends`, async () => {
      const answer = await ask(bytes(session.path));
      assert.equal(answer.status, status);
      assert.equal(answer.goesOn, false);
      assert.match(answer.headers.connection, /close/);
      assert.match(answer.headers.date, isDate);
    });
  }

  const answers = [
    ["a route", "/worker", 200],
    ["a file", "/files/index.html", 200],
    ["a large file", "/files/large.bin", 200],
    ["a folder", "/files/", 200],
    ["a folder without its slash", "/files/sub", 301],
    ["what is not there", "/none", 404],
    ["a file with a slash behind its name", "/files/index.html/", 404],
    ["an Engine.IO request that names nothing", "/socket.io/?EIO=4", 400],
    ["a handler that throws", "/throw", 500],
  ];
  for (const [what, target, status] of answers) {
    test(`${what}: ${status} with a Date, and HEAD says the same without a body`, async () => {
      const full = await get(target);
      assert.equal(full.status, status);
      assert.match(full.headers.date, isDate);
      assert.ok(Math.abs(Date.parse(full.headers.date) - Date.now()) < 60_000, full.headers.date);
      assert.equal(Number(full.headers["content-length"]), full.body.length);
      const head = await ask(`HEAD ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.equal(head.body, "");
      assert.equal(head.goesOn, true);
      assert.match(head.headers.date, isDate);
      if (target.startsWith("/socket.io/")) return;
      assert.deepEqual({ ...head.headers, date: "" }, { ...full.headers, date: "" });
      assert.equal(head.status, status);
    });
  }

  test("polls and posts have a Date", async () => {
    const polling = await Polling.connect(peer.port);
    const poll = get(polling.path);
    const answer = await ask(`POST ${polling.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n42["echo"]`);
    assert.match(answer.headers.date, isDate);
    assert.match((await poll).headers.date, isDate);
  });

  test("an absolute target is served whatever Host says, files and sessions alike", async () => {
    assert.equal((await get("http://elsewhere.example:81/files/index.html")).body, "0123456789");
    assert.match((await get("HTTP://elsewhere.example/worker?a=b")).body, /^worker: /);
    assert.match((await get("http://elsewhere.example/socket.io/?EIO=4&transport=polling")).body, /^0\{/);
    assert.equal((await get("http://elsewhere.example")).status, 404);
  });

  test("OPTIONS of * says what can be asked", async () => {
    const answer = await ask("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n");
    assert.equal(answer.status, 204);
    assert.match(answer.headers.allow, /GET, HEAD, POST/);
    assert.equal(answer.headers["content-length"], undefined);
    assert.equal(answer.goesOn, true);
  });

  for (const [method, target] of [["BREW"], ["get"], ["TRACE"], ["PROPFIND"], ["CONNECT", "x:80"]]) {
    test(`${method}: 501, and the connection goes on`, async () => {
      const answer = await ask(`${method} ${target ?? session.path} HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody`);
      assert.deepEqual([answer.status, answer.goesOn], [501, true]);
      assert.match(answer.headers.date, isDate);
    });
  }

  test("methods that a resource does not have are 405 with those that it has", async () => {
    for (const target of ["/worker", "/files/index.html"]) {
      const answer = await ask(`DELETE ${target} HTTP/1.1\r\nHost: x\r\n\r\n`);
      assert.deepEqual([answer.status, answer.headers.allow], [405, "GET, HEAD"]);
    }
    const answer = await ask(`PUT ${session.path} HTTP/1.1\r\nHost: x\r\n\r\n`);
    assert.deepEqual([answer.status, answer.headers.allow], [405, "GET, POST"]);
  });

  test("who has a file is told so, without a length, by tag, by date, and in the order of the RFC", async () => {
    const { headers } = await get("/files/index.html");
    assert.equal(headers["last-modified"], "Sun, 06 Nov 1994 08:49:37 GMT");
    const rows = [
      [`If-None-Match: ${headers.etag}`, 304],
      [`If-None-Match: "a,b", W/${headers.etag}`, 304],
      [`If-None-Match: "a"\r\nIf-None-Match: ${headers.etag}`, 304],
      ["If-None-Match: *", 304],
      ['If-None-Match: "a"', 200],
      [`If-Modified-Since: ${headers["last-modified"]}`, 304],
      ["If-Modified-Since: Sunday, 06-Nov-94 08:49:37 GMT", 304],
      ["If-Modified-Since: Sun Nov  6 08:49:36 1994", 200],
      ["If-Modified-Since: nonsense", 200],
      [`If-None-Match: "a"\r\nIf-Modified-Since: ${headers["last-modified"]}`, 200],
      ['If-Match: "a"', 412],
      [`If-Match: ${headers.etag}`, 200],
      ["If-Unmodified-Since: Sun Nov  6 08:49:36 1994", 412],
    ];
    for (const [lines, status] of rows) {
      const answer = await get("/files/index.html", `${lines}\r\n`);
      assert.equal(answer.status, status, lines);
      if (status !== 304) continue;
      assert.equal(answer.headers["content-length"], undefined, lines);
      assert.equal(answer.headers["content-type"], undefined, lines);
      assert.equal(answer.headers.etag, headers.etag, lines);
      assert.equal(answer.headers["cache-control"], headers["cache-control"], lines);
      assert.match(answer.headers.date, isDate, lines);
      assert.deepEqual([answer.body, answer.goesOn], ["", true], lines);
    }
  });

  test("one range of bytes is served, from memory and from the disk, and others are ignored", async () => {
    const { headers } = await get("/files/index.html");
    assert.equal(headers["accept-ranges"], "bytes");
    const rows = [
      ["/files/index.html", "bytes=2-4", 206, "234", "bytes 2-4/10"],
      ["/files/index.html", "bytes=8-100", 206, "89", "bytes 8-9/10"],
      ["/files/index.html", "bytes=-1", 206, "9", "bytes 9-9/10"],
      ["/files/index.html", "bytes=10-", 416, undefined, "bytes */10"],
      ["/files/index.html", "bytes=0-1,3-4", 200, "0123456789", undefined],
      ["/files/index.html", "lines=0-1", 200, "0123456789", undefined],
      [`/files/index.html`, `bytes=2-4\r\nIf-Range: ${headers.etag}`, 206, "234", "bytes 2-4/10"],
      ["/files/index.html", 'bytes=2-4\r\nIf-Range: "a"', 200, "0123456789", undefined],
      ["/files/large.bin", "bytes=-7", 206, "the end", "bytes 100000-100006/100007"],
      ["/files/large.bin", "bytes=99999-100002", 206, "xthe", "bytes 99999-100002/100007"],
    ];
    for (const [target, range, status, body, content] of rows) {
      const answer = await get(target, `Range: ${range}\r\n`);
      assert.equal(answer.status, status, range);
      assert.equal(answer.headers["content-range"], content, range);
      if (body !== undefined) assert.equal(answer.body, body, range);
      assert.equal(answer.goesOn, true, range);
    }
  });

  test("HTTP/1.0 ends behind its answer, unless keep-alive was asked for and is said", async () => {
    assert.equal((await get("/worker", "", "1.0")).goesOn, false);
    const kept = await get("/worker", "Connection: Keep-Alive\r\n", "1.0");
    assert.match(kept.headers.connection, /keep-alive/);
    assert.equal(kept.goesOn, true);
    assert.equal((await ask("GET /worker HTTP/1.0\r\n\r\n")).status, 200, "without a Host");
  });

  test("Connection is a list, and its lines are one", async () => {
    assert.equal((await get("/worker", "Connection: x, close\r\n")).goesOn, false);
    assert.equal((await get("/worker", "Connection: x\r\nConnection: Close\r\n")).goesOn, false);
    assert.equal((await get("/worker", "Connection: closed\r\n")).goesOn, true);
  });

  test("an Upgrade without Connection, or of HTTP/1.0, or to something else is no upgrade", async () => {
    const handshake = upgradeRequest("EIO=4&transport=websocket");
    assert.equal((await ask(handshake.replace("Connection: Upgrade\r\n", ""))).status, 400);
    assert.equal((await ask(handshake.replace("/1.1", "/1.0"))).status, 400);
    assert.equal((await get("/worker", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n")).status, 200);
  });

  test("426 says what to upgrade to", async () => {
    const answer = await ask(upgradeRequest("EIO=4&transport=websocket").replace("Version: 13", "Version: 8"));
    assert.equal(answer.status, 426);
    assert.equal(answer.headers.upgrade, "websocket");
    assert.equal(answer.headers["sec-websocket-version"], "13");
    assert.match(answer.headers.connection, /upgrade/i);
  });

  test("an empty line in front of a request is passed over", async () => {
    assert.equal((await ask("\r\nGET /worker HTTP/1.1\r\nHost: x\r\n\r\n")).status, 200);
  });
});

describe("WebSocket subprotocols", () => {
  /// The one that the official client has with these, once it is connected.
  async function chosen(url, protocols) {
    const socket = io(url, { transports: ["websocket"], forceNew: true, reconnection: false, protocols });
    await within(new Promise((resolve, reject) => socket.once("connect", resolve).once("connect_error", reject)), "a connection");
    const name = socket.io.engine.transport.ws.protocol;
    socket.disconnect();
    return name;
  }

  describe("by default", () => {
    let peer;
    before(async () => (peer = await startPeer()));
    after(() => peer?.stop());

    test("the first that the official client offers is taken, and none if it offers none", async () => {
      assert.equal(await chosen(peer.url, ["one", "two"]), "one");
      assert.equal(await chosen(peer.url, []), "");
    });

    test("the one of an upgrade from polling as well", async () => {
      const socket = await connected(peer.url, { protocols: ["one"] });
      await within(new Promise((resolve) => (socket.io.engine.transport.name === "websocket" ? resolve() : socket.io.engine.once("upgrade", resolve))), "the upgrade");
      assert.equal(socket.io.engine.transport.ws.protocol, "one");
      leave(socket);
    });

    for (const value of ["", "a,,b", "a b", "a,a", "a;q=1"]) {
      test(`the list "${value}" is refused with 400`, async () => {
        const wire = new Wire(peer.port);
        wire.write(upgradeRequest("EIO=4&transport=websocket", `Sec-WebSocket-Protocol: ${value}\r\n`));
        assert.equal((await wire.response()).status, 400);
        wire.destroy();
      });
    }
  });

  describe("by the application's choice", { skip: kind !== "limpet" }, () => {
    for (const [protocol, offered, expected] of [
      ["two", ["one", "two", "three"], "two"],
      ["none", [], ""],
    ]) {
      test(`${protocol}`, async () => {
        const peer = await startPeer({ "app.protocol": protocol });
        try {
          assert.equal(await chosen(peer.url, offered), expected);
          const wire = new Wire(peer.port);
          wire.write(upgradeRequest("EIO=4&transport=websocket", "Sec-WebSocket-Protocol: other\r\n"));
          const answer = await wire.response();
          assert.deepEqual([answer.status, answer.headers["sec-websocket-protocol"]], [101, undefined], "none that it does not know");
          wire.destroy();
          (await rawWebSocket(peer.port)).wire.destroy();
        } finally {
          await peer.stop();
        }
      });
    }
  });
});

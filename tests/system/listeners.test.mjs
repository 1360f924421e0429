// Many listening addresses of one cluster, each with its own limits and its own way to learn who the client is.
import assert from "node:assert/strict";
import fs from "node:fs";
import os from "node:os";
import path from "node:path";
import { after, before, describe, test } from "node:test";
import { Polling, Wire, frame, upgradeRequest } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";
import { until } from "./process.mjs";

const workers = 4;
const get = (target, headers = "") => `GET ${target} HTTP/1.1\r\nHost: x\r\n${headers}\r\n`;
const handshake = "/socket.io/?EIO=4&transport=polling";

/// Version 2 of the PROXY protocol, IPv4, with one TLV.
function proxyHeader2(address) {
  const tlv = Buffer.from("0400036162 63".replaceAll(" ", ""), "hex");
  const bytes = Buffer.from(address.split(".").map(Number));
  return Buffer.concat([Buffer.from("0d0a0d0a000d0a515549540a2111", "hex"), Buffer.from([0, 12 + tlv.length]), bytes, Buffer.from([10, 0, 0, 1, 0x12, 0x34, 0, 80]), tlv]);
}

describe("many listeners", () => {
  let cluster;
  let directory;
  let unix;
  before(async () => {
    directory = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-unix-"));
    unix = path.join(directory, "limpet.sock");
    cluster = await Cluster.start({
      workers,
      listen: [],
      settings: {
        listen: [
          { address: "tcp://127.0.0.1:0" },
          { address: "tcp://[::1]:0", idle_timeout: "300ms" },
          { address: `unix://${unix}`, trusted: ["unix"], unix_mode: "0600" },
          { address: "tcp://127.0.0.1:0", proxy_protocol: true, header_timeout: "300ms" },
          { address: "tcp://127.0.0.1:0", trusted: ["127.0.0.0/8"], address_header: "forwarded", body_timeout: "300ms" },
        ],
      },
    });
  });
  after(async () => {
    try {
      await cluster?.close();
      assert.deepEqual(fs.readdirSync(directory), [], "the socket's files are left");
    } finally {
      fs.rmSync(directory, { recursive: true, force: true });
    }
  });

  const toUnix = () => new Wire(0, { path: unix });
  async function once(wire, bytes) {
    wire.write(bytes);
    try {
      return await wire.response();
    } finally {
      wire.destroy();
    }
  }
  const counter = async (name) => (await cluster.stats())[name].total;

  test("a session opened over TCP goes on over a Unix socket, and over IPv6", async () => {
    assert.equal(fs.statSync(unix).mode & 0o777, 0o600);
    for (const from of addresses(8, 81)) {
      const session = await Polling.connect(cluster.port, { from });
      const body = '42["echo","over"]';
      const post = `POST ${session.path} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n${body}`;
      assert.equal((await once(toUnix(), post)).body, "ok");
      assert.equal((await once(new Wire(cluster.ports[1], { host: "::1", from: "::1" }), get(session.path))).body, body);
    }
  });

  test("every worker takes connections to a Unix socket", { timeout: 30_000 }, async () => {
    // Whoever wakes up first accepts: all do sooner or later.
    const slots = new Set();
    await until(async () => {
      const wires = Array.from({ length: 16 }, toUnix);
      for (const answer of await Promise.all(wires.map((wire) => once(wire, get("/who"))))) slots.add(JSON.parse(answer.body).slot);
      return slots.size === workers;
    }, "every worker has taken one", 20_000, 1);
  });

  test("who a client is: the header of its listener says it, and no other", async () => {
    const spoof = "X-Forwarded-For: 6.6.6.6\r\n";
    const address = async (wire, bytes) => JSON.parse((await once(wire, bytes)).body).address;
    assert.equal(await address(new Wire(cluster.port), get("/who", spoof)), "127.0.0.1");
    assert.equal(await address(toUnix(), get("/who", "X-Forwarded-For: 6.6.6.6, 192.0.2.7\r\n")), "192.0.2.7");
    assert.equal(await address(toUnix(), get("/who")), "");
    assert.equal(await address(new Wire(cluster.ports[3]), `PROXY TCP6 2001:db8::7 ::1 5 6\r\n${get("/who", spoof)}`), "2001:db8::7");
    assert.equal(await address(new Wire(cluster.ports[3]), Buffer.concat([proxyHeader2("192.0.2.9"), Buffer.from(get("/who", spoof))])), "192.0.2.9");
    assert.equal(await address(new Wire(cluster.ports[4]), get("/who", `${spoof}Forwarded: for="[2001:db8::9]:1";proto=https, for=127.9.9.9\r\n`)), "2001:db8::9");
  });

  test("the address of a PROXY header decides the slot, whichever worker accepted: evenly, and always the same", async () => {
    const clients = Array.from({ length: 200 }, (_, i) => `192.0.2.${i + 1}`);
    const slotOf = async (address, from) => {
      const wire = new Wire(cluster.ports[3], { from });
      wire.write(Buffer.concat([proxyHeader2(address), Buffer.from(upgradeRequest("EIO=4&transport=websocket"))]));
      assert.equal((await wire.response()).status, 101);
      wire.write(Buffer.concat([frame(0x81, "40"), frame(0x81, '420["whoami"]')]));
      let packet;
      // In between the others' leaving is told.
      do packet = (await wire.frame()).payload.toString();
      while (!packet.startsWith("430"));
      const [who] = JSON.parse(packet.slice(3));
      wire.destroy();
      assert.equal(who.address, address);
      return who.slot;
    };
    const from = addresses(2, 82);
    const counts = Array(workers).fill(0);
    for (const address of clients) {
      const [one, other] = await Promise.all(from.map((each) => slotOf(address, each)));
      assert.equal(one, other, address);
      counts[one] += 1;
    }
    for (const count of counts) assert.ok(count > 0.5 * (clients.length / workers) && count < 1.5 * (clients.length / workers), `${counts}`);
    assert.equal(await counter("handovers_failed"), 0);
  });

  test("a pool's connection opens sessions in every slot and carries them all", async () => {
    const wire = toUnix();
    const ask = async (bytes) => (wire.write(bytes), (await wire.response()).body);
    const relayed = await counter("requests_relayed");
    for (let i = 0; i < 40; i += 1) {
      const named = `X-Forwarded-For: 198.51.100.${i}\r\n`;
      const { sid } = JSON.parse((await ask(get(handshake, named))).slice(1));
      const target = `${handshake}&sid=${sid}`;
      assert.equal(await ask(`POST ${target} HTTP/1.1\r\nHost: x\r\n${named}Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n40`), "ok");
      assert.match(await ask(get(target, named)), /^40/);
      assert.equal(await ask(`POST ${target} HTTP/1.1\r\nHost: x\r\n${named}Content-Type: text/plain\r\nContent-Length: 13\r\n\r\n420["whoami"]`), "ok");
      const packets = (await ask(get(target, named))).split("\x1e");
      const [who] = JSON.parse(packets.find((packet) => packet.startsWith("430")).slice(3));
      assert.equal(who.address, `198.51.100.${i}`);
    }
    wire.destroy();
    assert.ok((await counter("requests_relayed")) > relayed, "handshakes were placed elsewhere");
  });

  test("what does not begin with a PROXY header where one is demanded is closed, counted and logged", async () => {
    const before_ = await counter("proxy_headers_refused");
    const mark = cluster.mark();
    const wires = addresses(8, 83).map((from) => new Wire(cluster.ports[3], { from }));
    for (const wire of wires) wire.write(get("/who"));
    await Promise.all(wires.map((wire) => wire.closed));
    for (const wire of wires) assert.equal(wire.bytes.length, 0);
    assert.equal((await counter("proxy_headers_refused")) - before_, 8);
    await cluster.line(/PROXY protocol header of 127\.83\.0\.\d: no header; the connection is closed/, { from: mark });
  });

  test("slow clients are ended by the limits of their own listener, and counted", async () => {
    const before_ = await counter("connections_timed_out");
    const slow = [
      new Wire(cluster.ports[1], { host: "::1", from: "::1" }), // idle
      new Wire(cluster.ports[3]), // half a PROXY header
      new Wire(cluster.ports[3]), // half a head behind it
      new Wire(cluster.ports[4]), // half a body
    ];
    const patient = new Wire(cluster.port);
    slow[0].write(get("/who"));
    slow[1].write("PROXY TCP4 1.2.3.4");
    slow[2].write(`PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\nGET / HT`);
    slow[3].write("POST /who HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhalf");
    patient.write("GET /who HT");
    await Promise.all(slow.map((wire) => wire.closed));
    assert.equal((await counter("connections_timed_out")) - before_, slow.length);
    patient.write("TP/1.1\r\nHost: x\r\n\r\n");
    assert.equal((await patient.response()).status, 200);
    patient.destroy();
  });

  test("a second server on the same Unix socket is refused, and the first goes on", async () => {
    const second = await Cluster.start({ workers: 1, listen: [`unix://${unix}`], ready: false });
    try {
      assert.equal((await second.process.exited).code, 1);
      assert.match(second.process.tail(), new RegExp(`in use: supervisor ${cluster.pid}`));
    } finally {
      await second.destroy();
    }
    assert.equal((await once(toUnix(), get("/who"))).status, 200);
  });
});

describe("placement by least connections", () => {
  test("sessions from one address spread over all slots", async () => {
    const cluster = await Cluster.start({ workers, settings: { placement: "least-connections", "supervision.heartbeat_interval": "200ms" } });
    try {
      for (let i = 0; i < 60; i += 1) await Polling.connect(cluster.port, { from: "127.84.0.1" });
      const { by_slot } = (await cluster.stats()).sessions_open;
      assert.equal(by_slot.reduce((a, b) => a + b), 60);
      for (const count of by_slot) assert.ok(count >= 5 && count <= 30, `${by_slot}`);
    } finally {
      await cluster.close();
    }
  });
});

// Behind a proxy that names its clients, a new session opens on the slot that the kernel would have chosen for the client's
// address: on a fresh connection, and on one that has carried requests for the sessions of other slots.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { Polling, Wire } from "../client/raw.mjs";
import { Cluster, addresses } from "./cluster.mjs";

const from = addresses(200, 77);

const get = (target, more = "") => `GET ${target} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
const post = (target, more = "") => `POST ${target} HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: 1\r\n${more}\r\n6`;
const handshake = "/socket.io/?EIO=4&transport=polling";

/// A header of version 2 for TCP over IPv4 (the PROXY protocol's section 2.2).
function binaryHeader(address) {
  const head = Buffer.from([0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d, 0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a, 0x21, 0x11, 0, 12]);
  return Buffer.concat([head, Buffer.from(address.split(".").map(Number)), Buffer.from([10, 0, 0, 1, 0xdc, 0x04, 0x01, 0xbb])]);
}

// Listener by index, what stands in front of the connection's first request, and in the head of each.
const ways = {
  "PROXY protocol 1": { listener: 1, before: (address) => `PROXY TCP4 ${address} 10.0.0.1 56324 443\r\n`, header: () => "" },
  "PROXY protocol 2": { listener: 1, before: binaryHeader, header: () => "" },
  "X-Forwarded-For": { listener: 2, before: () => "", header: (address) => `X-Forwarded-For: ${address}\r\n` },
  Forwarded: { listener: 3, before: () => "", header: (address) => `Forwarded: for=${address}\r\n` },
};

for (const workers of [2, 4]) {
  describe(`placement behind proxies, ${workers} workers`, () => {
    let cluster;
    let bySlot; // the addresses by the slot that the kernel has chosen
    let sessions; // one of each slot
    before(async () => {
      const listen = [
        { address: "tcp://127.0.0.1:0" },
        { address: "tcp://127.0.0.1:0", proxy_protocol: true },
        { address: "tcp://127.0.0.1:0", trusted: ["127.0.0.1"] },
        { address: "tcp://127.0.0.1:0", trusted: ["127.0.0.1"], address_header: "forwarded" },
      ];
      cluster = await Cluster.start({ workers, listen: [], settings: { listen, "socketio.ping_interval": "600s" } });
      bySlot = Array.from({ length: workers }, () => []);
      for (const { slot, address } of await Promise.all(from.map((each) => cluster.who(each)))) bySlot[slot].push(address);
      sessions = await Promise.all(bySlot.map(([address]) => Polling.connect(cluster.port, { from: address })));
    });
    after(() => cluster?.close());

    const opened = async () => (await cluster.stats()).sessions_opened.by_slot.slice(0, workers);

    /// Opens a session for that client; `slot` is where its own belongs.
    async function open({ listener, before, header }, address, slot, used) {
      const wire = new Wire(cluster.ports[listener]);
      wire.write(before(address));
      if (used) {
        const other = sessions[(slot + 1) % workers];
        for (let i = 0; i < 2; i += 1) {
          wire.write(post(other.path, header(from[0])));
          assert.equal((await wire.response()).body, "ok", `${address}: a request for the session of another slot`);
        }
      }
      wire.write(get(handshake, header(address)));
      const { status, body } = await wire.response();
      wire.destroy();
      assert.equal(status, 200, body);
    }

    for (const [name, way] of Object.entries(ways)) {
      for (const used of [false, true]) {
        test(`${name}, ${used ? "a connection that has carried requests for the sessions of other slots" : "a fresh connection"}`, { timeout: 60_000 }, async () => {
          for (const [slot, group] of bySlot.entries()) {
            const before = await opened();
            if (used) for (const address of group) await open(way, address, slot, true); // posts of one session must not overlap
            else await Promise.all(group.map((address) => open(way, address, slot, false)));
            const gained = (await opened()).map((count, i) => count - before[i]);
            assert.deepEqual(gained, before.map((_, i) => (i === slot ? group.length : 0)), `${group.length} addresses of slot ${slot}`);
          }
        });
      }
    }
  });
}

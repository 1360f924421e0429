// Static files larger than any queue, with the limits as they are by default: they arrive whole, whoever reads them and
// however slowly, also while the workers are replaced; who does not read costs a descriptor and no memory.
import assert from "node:assert/strict";
import crypto from "node:crypto";
import fs from "node:fs";
import net from "node:net";
import os from "node:os";
import path from "node:path";
import { once } from "node:events";
import { after, before, describe, test } from "node:test";
import { Cluster, addresses } from "./cluster.mjs";
import { until } from "./process.mjs";

const size = 64 * 1024 * 1024;
const asked = "GET /files/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n";
const digest = (bytes) => crypto.createHash("sha256").update(bytes).digest("hex");

/// One connection that asks for the file `times` times, and reads only when told to.
class Reader {
  constructor(port, from, times = 1) {
    this.hash = crypto.createHash("sha256");
    this.received = 0;
    this.head = "";
    this.socket = net.connect({ port, host: "127.0.0.1", localAddress: from, highWaterMark: 64 * 1024 });
    this.socket.pause();
    this.socket.write(asked.repeat(times));
    this.whole = new Promise((resolve, reject) => {
      this.socket.on("data", (bytes) => this.#take(bytes, resolve));
      this.socket.on("error", reject);
      this.socket.on("close", () => reject(new Error(`closed after ${this.received} bytes: ${this.head}`)));
    });
    this.whole.catch(() => {});
  }

  #take(bytes, resolve) {
    if (!this.head.endsWith("\r\n\r\n")) {
      const text = bytes.toString("latin1");
      const end = text.indexOf("\r\n\r\n") + 4;
      this.head = text.slice(0, end);
      bytes = bytes.subarray(end);
    }
    const missing = Math.max(0, size - this.received);
    if (missing > 0) this.hash.update(bytes.subarray(0, missing));
    this.received += bytes.length;
    if (this.received >= this.stopAt) this.socket.pause();
    if (missing > 0 && this.received >= size) resolve(this.hash.digest("hex"));
  }

  /// Reads on until at least so many bytes of the file are here.
  async readUntil(bytes) {
    this.stopAt = bytes;
    this.socket.resume();
    await until(() => this.received >= bytes, `${bytes} bytes of the file`, 20_000, 10);
  }
  readOn() {
    this.stopAt = undefined;
    this.socket.resume();
    return this.whole;
  }
}

describe("static files", () => {
  let cluster, site, expected;
  before(async () => {
    site = fs.mkdtempSync(path.join(os.tmpdir(), "limpet-site-"));
    const content = crypto.randomBytes(1024 * 1024);
    const large = Buffer.concat(Array.from({ length: size / content.length }, (_, i) => Buffer.concat([Buffer.from([i]), content.subarray(1)])));
    fs.writeFileSync(path.join(site, "large.bin"), large);
    expected = digest(large);
    cluster = await Cluster.start({ workers: 2, settings: { "app.files": site, "reload.drain_deadline": "60s" } });
  });
  after(async () => {
    await cluster?.close();
    fs.rmSync(site, { recursive: true, force: true });
  });

  test("one of 64 MiB arrives whole at a client that reads as fast as it can", { timeout: 30_000 }, async () => {
    const reader = new Reader(cluster.port, "127.70.0.1");
    assert.equal(await reader.readOn(), expected);
    assert.match(reader.head, /^HTTP\/1\.1 200 OK\r\n/);
    reader.socket.destroy();
  });

  test("a reload in the middle of it cuts nobody off, and the old worker ends when all is sent", { timeout: 60_000 }, async () => {
    const old = (await cluster.seated()).map((worker) => worker.generation);
    const readers = addresses(8, 71).map((from) => new Reader(cluster.port, from));
    await Promise.all(readers.map((reader) => reader.readUntil(1024 * 1024)));
    const reload = cluster.ctl("reload");
    await cluster.until((status) => status.slots.some((slot) => slot.workers.some((worker) => worker.seated && !old.includes(worker.generation))), "a successor is seated");
    const digests = await Promise.all(readers.map((reader) => reader.readOn()));
    assert.deepEqual([...new Set(digests)], [expected]);
    const { code, text } = await reload;
    assert.equal(code, 0, text);
    await cluster.allServe({ after: old });
    // The connections have moved, and serve on.
    readers.forEach((reader) => reader.socket.write("HEAD /files/large.bin HTTP/1.1\r\nHost: localhost\r\n\r\n"));
    await Promise.all(readers.map((reader) => until(() => reader.received > size, "the next answer")));
    readers.forEach((reader) => reader.socket.destroy());
  });

  test("forty clients that ask for many and read nothing cost less than 1 MiB and few descriptors each", { timeout: 60_000 }, async () => {
    const pids = (await cluster.seated()).map((worker) => worker.pid);
    const memory = () => pids.reduce((sum, pid) => sum + Number(/RssAnon:\s+(\d+)/.exec(fs.readFileSync(`/proc/${pid}/status`, "utf8"))[1]), 0);
    const descriptors = () => pids.reduce((sum, pid) => sum + fs.readdirSync(`/proc/${pid}/fd`).length, 0);
    const [memoryBefore, descriptorsBefore] = [memory(), descriptors()];
    const readers = addresses(40, 72).map((from) => new Reader(cluster.port, from, 100));
    await Promise.all(readers.map((reader) => once(reader.socket, "connect")));
    await Promise.all(readers.map((reader) => reader.readUntil(1)));
    assert.ok(descriptors() - descriptorsBefore <= 2 * 40 + 4, `${descriptors()} descriptors, before ${descriptorsBefore}`);
    assert.ok(memory() - memoryBefore < 40 * 1024, `${memory()} KiB, before ${memoryBefore}`);
    readers.forEach((reader) => reader.socket.destroy());
    await until(() => descriptors() <= descriptorsBefore + 4, "the descriptors are closed");
  });

  test("a file that is cut short while it is sent ends the connection, and nothing else is sent for it", { timeout: 30_000 }, async () => {
    const file = path.join(site, "large.bin");
    const copy = path.join(site, "kept.bin");
    fs.copyFileSync(file, copy);
    const reader = new Reader(cluster.port, "127.73.0.1");
    await reader.readUntil(1024 * 1024);
    fs.truncateSync(file, 2 * 1024 * 1024);
    await assert.rejects(reader.readOn());
    assert.ok(reader.received < size);
    fs.renameSync(copy, file);
    const again = new Reader(cluster.port, "127.73.0.2");
    assert.equal(await again.readOn(), expected);
    again.socket.destroy();
  });
});

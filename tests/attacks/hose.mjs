// What attackers pour through: a TCP connection that writes large prepared buffers, keeps count of what comes back and looks
// at no more than its end, and reads only when it is told to.
import net from "node:net";
import { upgradeRequest } from "../client/raw.mjs";
import { within } from "../system/process.mjs";

const kTail = 1 << 16;

export class Hose {
  received = 0;
  tail = ""; // the last bytes, as latin1
  end = undefined; // once it is closed: "end", or the error's code
  #waiters = new Set();
  #flushed = Promise.resolve();

  constructor(target, number, { reading = true } = {}) {
    this.socket = net.connect({ port: target.port, host: "127.0.0.1", localAddress: target.from(number), noDelay: true });
    this.closed = new Promise((resolve) => {
      let how = "end";
      this.socket.on("error", (error) => (how = error.code));
      this.socket.on("close", () => (resolve((this.end = how)), this.#wake()));
    });
    this.connected = new Promise((resolve) => this.socket.once("connect", () => resolve(this)));
    if (reading) this.read();
    else this.socket.pause();
  }

  read() {
    this.socket.on("data", (data) => {
      this.received += data.length;
      this.tail = (this.tail + data.toString("latin1", Math.max(0, data.length - kTail))).slice(-kTail);
      this.#wake();
    });
    this.socket.resume();
  }

  #wake() {
    for (const look of [...this.#waiters]) look();
  }

  /// Writes `buffer` so many times; back when the kernel has all of it, the connection is closed, or nothing was taken for
  /// `patienceMs`. Gives how many times it went out whole.
  async pour(buffer, times = 1, patienceMs = 30_000) {
    for (let done = 0; done < times; done += 1) {
      if (this.end) return done;
      this.#flushed = new Promise((resolve) => this.socket.write(buffer, resolve));
      const taken = await within(Promise.race([this.#flushed.then(() => true), this.closed]), "room", patienceMs).catch(() => false);
      if (taken !== true) return done;
    }
    return times;
  }

  /// True once `look(this)` is; false if the connection ends, or time does, first.
  async until(look, deadlineMs = 30_000) {
    let waiter;
    const reached = new Promise((resolve) => {
      waiter = () => (look(this) ? resolve(true) : this.end && resolve(false));
      this.#waiters.add(waiter);
      waiter();
    });
    return within(reached, "what was looked for", deadlineMs)
      .catch(() => false)
      .finally(() => this.#waiters.delete(waiter));
  }

  /// An event that is acknowledged: true once everything before it was served.
  async echo(deadlineMs = 30_000) {
    const id = (this.asked = (this.asked ?? 0) + 1);
    await this.pour(packet(`42${id}["echo"]`), 1, deadlineMs);
    return this.until(({ tail }) => tail.includes(`43${id}[`), deadlineMs);
  }

  destroy() {
    this.socket.destroy();
  }
}

/// A client's frame, masked with zeroes: quick to make.
export function frame(first, payload) {
  const data = Buffer.from(payload);
  const head = data.length < 126 ? Buffer.from([first, 0x80 | data.length, 0, 0, 0, 0]) : Buffer.alloc(data.length < 65_536 ? 8 : 14);
  head[0] = first;
  if (data.length >= 65_536) {
    head[1] = 0xff;
    head.writeBigUInt64BE(BigInt(data.length), 2);
  } else if (data.length >= 126) {
    head[1] = 0xfe;
    head.writeUInt16BE(data.length, 2);
  }
  return Buffer.concat([head, data]);
}

export const packet = (text) => frame(0x81, text);
export const packets = (count, textOf) => Buffer.concat(Array.from({ length: count }, (_, i) => packet(textOf(i))));
export const repeat = (bytes, times) => Buffer.concat(Array(times).fill(Buffer.from(bytes)));
export const get = (path, more = "") => `GET ${path} HTTP/1.1\r\nHost: x\r\n${more}\r\n`;
export const kHandshake = get("/socket.io/?EIO=4&transport=polling");

/// The session is open, or refused. The official server forgets what comes before it has said so.
export const kAnswered = ({ tail }) => tail.includes('0{"sid"') || /^HTTP\/1\.1 [2-5]/.test(tail);

/// A WebSocket that has joined "/"; one that does not read has asked to, and does not know.
export async function webSocket(target, number, options = {}) {
  const hose = new Hose(target, number, options);
  await hose.pour(Buffer.from(upgradeRequest("EIO=4&transport=websocket")));
  if (options.reading !== false) await hose.until(kAnswered);
  await hose.pour(packet("40"));
  const joined = options.reading === false || (await hose.until(({ tail }) => tail.includes('40{"sid"')));
  if (!joined) throw new Error(`no WebSocket: ${hose.end ?? ""} ${hose.tail.slice(0, 400)}`);
  return hose;
}

export const many = (count, make) => Promise.all(Array.from({ length: count }, (_, i) => make(i)));

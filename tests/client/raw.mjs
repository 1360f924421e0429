// Clients without manners: HTTP by hand over a TCP socket, an Engine.IO session over long-polling packet by packet, and
// WebSocket frames as a test wants them, right or wrong.
import http from "node:http";
import net from "node:net";
import { randomBytes } from "node:crypto";
import WebSocket from "ws";
import { within } from "../system/process.mjs";

/// One TCP connection, or, with `path`, one to a Unix socket. `bytes` grows; `closed` resolves with "end" (FIN) or the error's code.
export class Wire {
  bytes = Buffer.alloc(0);
  #waiters = new Set();

  constructor(port, { from = "127.0.0.1", host = "127.0.0.1", path = undefined } = {}) {
    this.socket = net.connect(path ? { path } : { port, host, localAddress: from, noDelay: true });
    this.socket.on("data", (data) => {
      this.bytes = Buffer.concat([this.bytes, data]);
      for (const look of [...this.#waiters]) look();
    });
    this.closed = new Promise((resolve) => {
      let how = "end";
      this.socket.on("error", (error) => (how = error.code));
      this.socket.on("close", () => resolve((this.end = how)));
    });
    this.closed.then(() => {
      for (const look of [...this.#waiters]) look();
    });
    this.connected = new Promise((resolve, reject) => this.socket.once("connect", resolve).once("error", reject));
    this.connected.catch(() => {}); // who cares waits for it
  }

  write(data) {
    this.socket.write(data);
  }

  /// What `look(bytes)` finds, when it finds something; rejects if the connection ends first.
  read(look, what, deadlineMs = 5_000) {
    let waiter;
    const found = new Promise((resolve, reject) => {
      waiter = () => {
        const value = look(this.bytes);
        if (value !== undefined) resolve(value);
        else if (this.end) reject(new Error(`connection ended (${this.end}) before ${what}; got ${this.bytes.toString("latin1")}`));
      };
      this.#waiters.add(waiter);
      waiter();
    });
    return within(found, what, deadlineMs).finally(() => this.#waiters.delete(waiter));
  }

  /// One HTTP response, taken off the front: {status, headers, body}. `last`: no length is known, so read to the end.
  async response() {
    const parsed = await this.read((bytes) => parseResponse(bytes, this.end), "an HTTP response");
    this.bytes = this.bytes.subarray(parsed.length);
    return parsed;
  }

  /// One WebSocket frame off the front: {fin, opcode, payload}.
  async frame() {
    const parsed = await this.read(parseFrame, "a WebSocket frame");
    this.bytes = this.bytes.subarray(parsed.length);
    return parsed;
  }

  /// Drops frames up to the server's close frame, answers it, and gives its code; undefined: it just ended the connection.
  async closeCode() {
    for (;;) {
      const received = await this.frame().catch((error) => {
        if (this.end) return undefined;
        throw error;
      });
      if (received && received.opcode !== 8) continue;
      this.socket.end(frame(0x88, received?.payload ?? ""));
      return received?.payload.length ? received.payload.readUInt16BE(0) : undefined;
    }
  }

  destroy() {
    this.socket.destroy();
  }
}

function parseResponse(bytes, end) {
  const headEnd = bytes.indexOf("\r\n\r\n");
  if (headEnd < 0) return undefined;
  const [statusLine, ...lines] = bytes.subarray(0, headEnd).toString("latin1").split("\r\n");
  const headers = Object.fromEntries(lines.map((line) => [line.slice(0, line.indexOf(":")).toLowerCase(), line.slice(line.indexOf(":") + 1).trim()]));
  const status = Number(statusLine.split(" ")[1]);
  const start = headEnd + 4;
  const size = status === 101 ? 0 : Number(headers["content-length"] ?? (end ? bytes.length - start : NaN));
  if (headers["transfer-encoding"] === "chunked") return parseChunked(bytes, start, { status, headers });
  if (Number.isNaN(size) || bytes.length < start + size) return undefined;
  return { status, headers, body: bytes.subarray(start, start + size).toString(), length: start + size };
}

function parseChunked(bytes, start, response) {
  let body = "";
  for (let at = start; ; ) {
    const lineEnd = bytes.indexOf("\r\n", at);
    if (lineEnd < 0) return undefined;
    const size = parseInt(bytes.subarray(at, lineEnd).toString("latin1"), 16);
    if (bytes.length < lineEnd + 2 + size + 2) return undefined;
    body += bytes.subarray(lineEnd + 2, lineEnd + 2 + size).toString();
    at = lineEnd + 2 + size + 2;
    if (size === 0) return { ...response, body, length: at };
  }
}

function parseFrame(bytes) {
  if (bytes.length < 2) return undefined;
  const short = bytes[1] & 0x7f;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  if (bytes.length < 2 + extended) return undefined;
  const size = short === 126 ? bytes.readUInt16BE(2) : short === 127 ? Number(bytes.readBigUInt64BE(2)) : short;
  const start = 2 + extended;
  if (bytes.length < start + size) return undefined;
  return { fin: bytes[0] >> 7, opcode: bytes[0] & 0xf, masked: bytes[1] >> 7, payload: bytes.subarray(start, start + size), length: start + size };
}

/// A client's frame. `first`: the byte with FIN, RSV and opcode; `mask` false makes the server angry.
export function frame(first, payload, { mask = true } = {}) {
  const data = Buffer.from(payload);
  const size = data.length < 126 ? [data.length] : data.length < 65536 ? [126, data.length >> 8, data.length & 255] : [127, 0, 0, 0, 0, ...u32(data.length)];
  if (!mask) return Buffer.concat([Buffer.from([first, ...size]), data]);
  const key = randomBytes(4);
  const masked = data.map((byte, i) => byte ^ key[i & 3]);
  return Buffer.concat([Buffer.from([first, size[0] | 0x80, ...size.slice(1)]), key, masked]);
}

const u32 = (value) => [value >>> 24, (value >> 16) & 255, (value >> 8) & 255, value & 255];
export const text = (payload, options) => frame(0x81, payload, options);

const wsKey = "dGhlIHNhbXBsZSBub25jZQ==";
export function upgradeRequest(query, extra = "") {
  return (
    `GET /socket.io/?${query} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n` +
    `Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${wsKey}\r\n${extra}\r\n`
  );
}

/// A raw WebSocket session past its Engine.IO handshake: {wire, open}. With `connect`, past `40` too.
export async function rawWebSocket(port, { connect = true, from } = {}) {
  const wire = new Wire(port, { from });
  wire.write(upgradeRequest("EIO=4&transport=websocket"));
  const response = await wire.response();
  if (response.status !== 101) throw new Error(`upgrade refused: ${response.status} ${response.body}`);
  const open = JSON.parse((await wire.frame()).payload.subarray(1));
  if (connect) {
    wire.write(text("40"));
    const reply = (await wire.frame()).payload.toString();
    if (!reply.startsWith("40")) throw new Error(`no CONNECT: ${reply}`);
  }
  return { wire, open };
}

/// One request with node's own HTTP client: {status, headers, body}.
export function request(port, { method = "GET", path = "/", headers = {}, body, from, agent = false, host = "127.0.0.1" } = {}) {
  return within(
    new Promise((resolve, reject) => {
      const sent = http.request({ port, host, method, path, headers, localAddress: from, agent }, (response) => {
        const chunks = [];
        response.on("data", (chunk) => chunks.push(chunk));
        response.on("end", () => resolve({ status: response.statusCode, headers: response.headers, body: Buffer.concat(chunks).toString() }));
        response.on("error", reject);
      });
      sent.on("error", reject);
      sent.end(body);
    }),
    `${method} ${path}`,
  );
}

/// An Engine.IO session over long-polling, one request at a time.
export class Polling {
  constructor(port, options = {}) {
    this.port = port;
    this.options = options;
  }

  static async open(port, options = {}) {
    const session = new Polling(port, options);
    const { status, body } = await session.get();
    if (status !== 200 || body[0] !== "0") throw new Error(`handshake: ${status} ${body}`);
    session.handshake = JSON.parse(body.slice(1));
    session.sid = session.handshake.sid;
    return session;
  }

  /// Past CONNECT of the namespace "/": `id` is the socket's.
  static async connect(port, options = {}) {
    const session = await Polling.open(port, options);
    await session.post("40");
    const [reply] = await session.packets(); // broadcasts may follow
    if (!reply.startsWith("40{")) throw new Error(`no CONNECT: ${reply}`);
    session.id = JSON.parse(reply.slice(2)).sid;
    return session;
  }

  get path() {
    return `/socket.io/?EIO=4&transport=polling${this.sid ? `&sid=${this.sid}` : ""}`;
  }

  get(options = {}) {
    return request(this.port, { path: this.path, ...this.options, ...options });
  }

  post(body, options = {}) {
    return request(this.port, { method: "POST", path: this.path, headers: { "Content-Type": "text/plain;charset=UTF-8" }, body, ...this.options, ...options });
  }

  /// Packets of the next poll.
  async packets() {
    return (await this.get()).body.split("\x1e");
  }
}

/// A client of the `ws` package whose messages can be awaited one by one.
export class Messages {
  constructor(url, options = {}) {
    this.ws = new WebSocket(url, { perMessageDeflate: false, ...options });
    this.queue = [];
    this.waiting = [];
    this.ws.on("message", (data, isBinary) => this.#push(isBinary ? data : data.toString()));
    this.closed = new Promise((resolve) => this.ws.on("close", (code, reason) => resolve({ code, reason: reason.toString() })));
    this.refused = new Promise((resolve) => this.ws.on("unexpected-response", (_, response) => resolve(response)));
    this.ws.on("error", () => {}); // told by `closed`
    this.opened = new Promise((resolve) => this.ws.on("open", resolve));
  }

  #push(message) {
    const taker = this.waiting.shift();
    if (taker) taker(message);
    else this.queue.push(message);
  }

  next(what = "a message") {
    if (this.queue.length) return Promise.resolve(this.queue.shift());
    return within(new Promise((resolve) => this.waiting.push(resolve)), what, 5_000);
  }

  send(data) {
    this.ws.send(data);
  }
}

export const webSocketUrl = (port, sid) => `ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket${sid ? `&sid=${sid}` : ""}`;

// An open-loop load on one server: messages leave at their times whether or not answers have come, so a pause is seen by
// all that it delays. WebSocket and polling sessions that echo, rooms of 10 that talk, and short HTTP connections. Every
// message has a number: what is lost, comes twice or out of order is counted, and so is whoever is disconnected; he comes
// back as the official client does.
import http from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import WebSocket from "ws";
import { within } from "../system/process.mjs";

const roomSize = 10;

const patienceMs = 10_000; // for one request, one connect
const comeBackMs = { first: 1000, most: 5000 }; // reconnectionDelay and reconnectionDelayMax of the official client

/// Latencies in ms with the worst kept exactly.
export class Latencies {
  values = [];
  add(ms) {
    this.values.push(ms);
  }
  summary() {
    const sorted = Float64Array.from(this.values).sort();
    const at = (share) => (sorted.length === 0 ? 0 : Number(sorted[Math.min(sorted.length - 1, Math.floor(share * sorted.length))].toFixed(1)));
    return { count: sorted.length, p50: at(0.5), p99: at(0.99), max: at(1) };
  }
}

class Session {
  sent = 0;
  heard = 0; // the number of the last echo
  due = new Map(); // number of an echo on its way -> when it was to leave
  toldBy = new Map(); // sender -> the last number
  here = false;
  constructor(load, number, from) {
    Object.assign(this, { load, number, from });
  }

  /// Again and again until it is there.
  async connect() {
    for (let delay = comeBackMs.first; !this.load.leaving; delay = Math.min(comeBackMs.most, 2 * delay)) {
      try {
        await within(this.attach(), "connect", patienceMs);
        this.here = true;
        if (this.room) this.enter(this.room);
        return;
      } catch (error) {
        this.load.failedConnects.push(`session ${this.number}: ${error.message}`);
        this.leave();
        await pause(delay * (0.5 + Math.random()), undefined, { ref: false });
      }
    }
  }

  enter(room) {
    this.room = room;
    this.send(`42["enter",${JSON.stringify(room)}]`);
  }

  echo(due) {
    if (!this.here) return (this.load.unsent += 1);
    this.due.set((this.sent += 1), due);
    this.send(`42["echo",${this.sent}]`);
  }

  talk() {
    if (!this.here) return (this.load.unsent += 1);
    this.load.said += roomSize - 1;
    this.send(`42["say",${JSON.stringify(this.room)},${this.number},${(this.said = (this.said ?? 0) + 1)}]`);
  }

  packet(text) {
    if (text === "2") return this.send("3");
    if (text.startsWith('42["echo",')) {
      const number = Number(text.slice(10, -1));
      if (number <= this.heard || !this.due.has(number)) return this.load.mistake(`session ${this.number}: echo ${number} behind ${this.heard}`);
      this.heard = number;
      this.load.echoed(this.due.get(number));
      this.due.delete(number);
    } else if (text.startsWith('42["say",')) {
      const [, sender, number] = JSON.parse(text.slice(2));
      const last = this.toldBy.get(sender) ?? 0;
      if (number <= last) return this.load.mistake(`session ${this.number}: ${sender} said ${number} behind ${last}`);
      this.toldBy.set(sender, number);
      this.load.told += 1;
    } else if (text.startsWith("41") || text === "1") {
      this.lost(`told to go: ${text}`);
    }
  }

  lost(why) {
    if (!this.here || this.load.leaving) return;
    this.here = false;
    this.load.disconnected(`session ${this.number}: ${why}`);
    this.load.lostEchoes += this.due.size;
    this.due.clear();
    this.leave();
    pause(comeBackMs.first * (0.5 + Math.random()), undefined, { ref: false }).then(() => this.connect());
  }
}

class WebSocketSession extends Session {
  attach() {
    const socket = new WebSocket(`ws://127.0.0.1:${this.load.port}/socket.io/?EIO=4&transport=websocket`, { localAddress: this.from, perMessageDeflate: false });
    this.socket = socket;
    return new Promise((resolve, reject) => {
      const gone = (why) => {
        reject(new Error(why));
        if (socket === this.socket) this.lost(why);
      };
      socket.on("open", () => socket.send("40"));
      socket.on("error", (error) => gone(error.message));
      socket.on("close", (code) => gone(`closed: ${code}`));
      socket.on("message", (data) => {
        const text = data.toString();
        if (text.startsWith("40")) resolve();
        else if (socket === this.socket) this.packet(text);
      });
    });
  }
  send(text) {
    this.socket.send(text);
  }
  leave() {
    const socket = this.socket;
    this.socket = undefined;
    socket?.terminate();
  }
}

/// One Engine.IO session over long-polling; `sid` changes when it comes back, and what the one before still hears is past.
class PollingSession extends Session {
  constructor(...args) {
    super(...args);
    this.agent = new http.Agent({ localAddress: this.from, keepAlive: true, maxSockets: 2 });
  }

  request(method, sid, body) {
    return new Promise((resolve, reject) => {
      const path = `/socket.io/?EIO=4&transport=polling${sid ? `&sid=${sid}` : ""}`;
      const request = http.request({ port: this.load.port, host: "127.0.0.1", agent: this.agent, method, path }, (response) => {
        const parts = [];
        response.on("data", (part) => parts.push(part));
        response.on("error", reject);
        response.on("end", () => {
          const text = Buffer.concat(parts).toString();
          if (response.statusCode === 200) resolve(text);
          else reject(new Error(`${method}: ${response.statusCode} ${text}`));
        });
      });
      request.on("error", reject);
      request.end(body);
    });
  }

  async attach() {
    const { sid } = JSON.parse((await this.request("GET")).slice(1));
    Object.assign(this, { sid, waiting: [], posting: false });
    await this.request("POST", sid, "40");
    for (let joined = false; !joined; ) {
      for (const packet of (await this.request("GET", sid)).split("\x1e")) {
        if (packet.startsWith("40")) joined = true;
        else this.packet(packet);
      }
    }
    this.#poll(sid);
  }

  async #poll(sid) {
    try {
      while (sid === this.sid && !this.load.leaving) {
        const packets = (await this.request("GET", sid)).split("\x1e");
        for (const packet of packets) if (sid === this.sid) this.packet(packet);
      }
    } catch (error) {
      if (sid === this.sid) this.lost(error.message);
    }
  }

  send(text) {
    this.waiting.push(text);
    if (!this.posting) this.#post(this.sid);
  }

  /// One post at a time; what is to be said meanwhile goes with the next.
  async #post(sid) {
    this.posting = true;
    try {
      while (sid === this.sid && this.waiting.length > 0) await this.request("POST", sid, this.waiting.splice(0).join("\x1e"));
      if (sid === this.sid) this.posting = false;
    } catch (error) {
      if (sid === this.sid) this.lost(error.message);
    }
  }
  leave() {
    this.sid = undefined;
    this.agent.destroy();
  }
}

export class Load {
  mistakes = [];
  disconnects = [];
  failedConnects = [];
  failedRequests = [];
  requests = 0;
  answered = 0;
  echoes = 0;
  lostEchoes = 0; // of those that were disconnected meanwhile
  unsent = 0; // what was due while its session was away
  said = 0;
  told = 0;
  latencies = new Latencies();
  requestLatencies = new Latencies();
  history = []; // a second each since start(): {latencies, disconnects, failed}

  /// Rates are for the whole load, per second.
  constructor(port, { webSockets = 1000, pollers = 200, talkers = 100, echoes = 500, says = 20, requests = 50, net = 90 }) {
    Object.assign(this, { port, rates: { echoes, says, requests } });
    const from = (i) => `127.${net + (i % 4)}.${Math.floor(i / 250) % 250}.${(i % 250) + 1}`;
    this.sessions = Array.from({ length: webSockets + pollers }, (_, i) => new (i < webSockets ? WebSocketSession : PollingSession)(this, i, from(i)));
    this.talkers = this.sessions.filter((_, i) => i % Math.max(1, Math.floor(this.sessions.length / talkers)) === 0).slice(0, talkers - (talkers % roomSize));
    this.from = from;
  }

  mistake(what) {
    this.mistakes.push(what);
  }
  disconnected(what) {
    this.disconnects.push(what);
    if (this.begun) this.#second().disconnects += 1;
  }
  echoed(due) {
    const ms = performance.now() - due;
    this.echoes += 1;
    this.latencies.add(ms);
    this.#second().latencies.add(ms);
  }
  #failed(why) {
    this.failedRequests.push(why);
    this.#second().failed += 1;
  }
  #second() {
    const second = Math.floor((performance.now() - this.begun) / 1000);
    while (this.history.length <= second) this.history.push({ latencies: new Latencies(), disconnects: 0, failed: 0 });
    return this.history[second];
  }

  /// A hundred at a time, so that no queue of the machine overflows.
  async connect() {
    for (let i = 0; i < this.sessions.length; i += 100) await Promise.all(this.sessions.slice(i, i + 100).map((session) => session.connect()));
    this.talkers.forEach((session, i) => session.enter(`room ${Math.floor(i / roomSize)}`));
  }

  start() {
    const begun = (this.begun = performance.now());
    const done = { echoes: 0, says: 0, requests: 0 };
    const act = {
      echoes: (n, due) => this.sessions[n % this.sessions.length].echo(due),
      says: (n) => this.talkers.length > 0 && this.talkers[n % this.talkers.length].talk(),
      requests: (n, due) => this.#request(this.from(n), due),
    };
    this.timer = setInterval(() => {
      const now = performance.now();
      for (const kind of Object.keys(done)) {
        for (; begun + (done[kind] * 1000) / this.rates[kind] <= now; done[kind] += 1) act[kind](done[kind], begun + (done[kind] * 1000) / this.rates[kind]);
      }
    }, 2);
  }

  #request(from, due) {
    this.requests += 1;
    const request = http.get({ port: this.port, host: "127.0.0.1", localAddress: from, path: "/worker", agent: false, timeout: patienceMs }, (response) => {
      response.resume();
      response.on("end", () => {
        if (response.statusCode !== 200) return this.#failed(response.statusCode);
        this.answered += 1;
        this.requestLatencies.add(performance.now() - due);
      });
      response.on("error", (error) => this.#failed(error.message));
    });
    request.on("timeout", () => request.destroy(new Error(`no answer within ${patienceMs} ms`)));
    request.on("error", (error) => this.#failed(error.code ?? error.message));
  }

  /// The latencies since the last call.
  lap() {
    const lap = { echo: this.latencies.summary(), http: this.requestLatencies.summary() };
    this.latencies = new Latencies();
    this.requestLatencies = new Latencies();
    return lap;
  }

  stop() {
    clearInterval(this.timer);
  }

  /// Everything that was sent has come, and every request has ended.
  quiet() {
    return this.told >= this.said && this.answered + this.failedRequests.length >= this.requests && this.sessions.every(({ due }) => due.size === 0);
  }

  /// missing: echoes and words of a room that were sent and did not come; unsent: what was due while its session was away.
  report() {
    const missing = this.sessions.reduce((sum, { due }) => sum + due.size, this.lostEchoes);
    return {
      requests: this.requests,
      failed_requests: this.requests - this.answered,
      failed_connects: this.failedConnects.length,
      disconnects: this.disconnects.length,
      mistakes: this.mistakes.length,
      missing: missing + Math.max(0, this.said - this.told),
      unsent: this.unsent,
      echoes: this.echoes,
      room_messages: this.told,
      examples: [this.mistakes, this.disconnects, this.failedConnects, this.failedRequests].flatMap((list) => list.slice(0, 5)),
    };
  }

  leave() {
    this.leaving = true;
    this.stop();
    for (const session of this.sessions) session.leave();
  }
}

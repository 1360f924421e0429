// An open-loop load on one server: messages leave at their times whether or not answers have come, so a pause is seen by
// all that it delays. WebSocket and polling sessions that echo, rooms of 10 that talk, and short HTTP connections. Every
// message has a number: what is lost, comes twice or out of order is counted, and so is whoever is disconnected.
import http from "node:http";
import WebSocket from "ws";

const roomSize = 10;

/// Latencies in ms with the worst kept exactly.
class Latencies {
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
  heard = 0;
  toldBy = new Map(); // sender -> the last number
  due = []; // when the messages on their way were to leave
  constructor(load, number, from) {
    Object.assign(this, { load, number, from });
  }

  echo(due) {
    this.due.push(due);
    this.send(`42["echo",${(this.sent += 1)}]`);
  }

  talk() {
    this.send(`42["say",${JSON.stringify(this.room)},${this.number},${(this.said = (this.said ?? 0) + 1)}]`);
    this.load.said += roomSize - 1;
  }

  packet(text) {
    if (text === "2") return this.send("3");
    if (text.startsWith('42["echo",')) {
      const number = Number(text.slice(10, -1));
      if (number !== this.heard + 1) this.load.mistake(`session ${this.number}: echo ${number} behind ${this.heard}`);
      this.heard = number;
      this.load.latencies.add(performance.now() - this.due.shift());
    } else if (text.startsWith('42["say",')) {
      const [, sender, number] = JSON.parse(text.slice(2));
      const last = this.toldBy.get(sender) ?? 0;
      if (number !== last + 1) this.load.mistake(`session ${this.number}: ${sender} said ${number} behind ${last}`);
      this.toldBy.set(sender, number);
      this.load.told += 1;
    } else if (text.startsWith("41") || text === "1") {
      this.load.mistake(`session ${this.number}: told to go: ${text}`);
    }
  }

  lost(why) {
    if (!this.load.leaving) this.load.disconnected(`session ${this.number}: ${why}`);
  }
}

class WebSocketSession extends Session {
  connect(port) {
    return new Promise((resolve, reject) => {
      this.socket = new WebSocket(`ws://127.0.0.1:${port}/socket.io/?EIO=4&transport=websocket`, { localAddress: this.from, perMessageDeflate: false });
      this.socket.on("open", () => this.send("40"));
      this.socket.on("error", (error) => (reject(error), this.lost(error.message)));
      this.socket.on("close", (code) => (reject(new Error(`closed: ${code}`)), this.lost(`closed: ${code}`)));
      this.socket.on("message", (data) => {
        const text = data.toString();
        if (text.startsWith("40")) resolve();
        else this.packet(text);
      });
    });
  }
  send(text) {
    this.socket.send(text);
  }
  leave() {
    this.socket.terminate();
  }
}

class PollingSession extends Session {
  waiting = [];

  constructor(...args) {
    super(...args);
    this.agent = new http.Agent({ localAddress: this.from, keepAlive: true, maxSockets: 2 });
  }

  request(method, body) {
    return new Promise((resolve, reject) => {
      const sid = this.sid ? `&sid=${this.sid}` : "";
      const options = { port: this.port, host: "127.0.0.1", agent: this.agent, method, path: `/socket.io/?EIO=4&transport=polling${sid}` };
      const request = http.request(options, (response) => {
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

  async connect(port) {
    this.port = port;
    this.sid = JSON.parse((await this.request("GET")).slice(1)).sid;
    await this.request("POST", "40");
    for (let joined = false; !joined; ) {
      for (const packet of (await this.request("GET")).split("\x1e")) {
        if (packet.startsWith("40")) joined = true;
        else this.packet(packet);
      }
    }
    this.poll();
  }

  async poll() {
    try {
      while (!this.load.leaving) for (const packet of (await this.request("GET")).split("\x1e")) this.packet(packet);
    } catch (error) {
      this.lost(error.message);
    }
  }

  /// One post at a time; what is to be said meanwhile goes with the next.
  async send(text) {
    this.waiting.push(text);
    if (this.posting) return;
    this.posting = true;
    try {
      while (this.waiting.length > 0) await this.request("POST", this.waiting.splice(0).join("\x1e"));
    } catch (error) {
      this.lost(error.message);
    }
    this.posting = false;
  }
  leave() {
    this.agent.destroy();
  }
}

export class Load {
  mistakes = [];
  disconnects = [];
  failedRequests = [];
  requests = 0;
  said = 0;
  told = 0;
  latencies = new Latencies();
  requestLatencies = new Latencies();

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
  }

  /// A hundred at a time, so that no queue of the machine overflows.
  async connect() {
    for (let i = 0; i < this.sessions.length; i += 100) await Promise.all(this.sessions.slice(i, i + 100).map((session) => session.connect(this.port)));
    await Promise.all(
      this.talkers.map((session, i) => {
        session.room = `room ${Math.floor(i / roomSize)}`;
        session.send(`42["enter",${JSON.stringify(session.room)}]`);
      }),
    );
  }

  start() {
    const begun = performance.now();
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
    const request = http.get({ port: this.port, host: "127.0.0.1", localAddress: from, path: "/worker", agent: false }, (response) => {
      response.resume();
      response.on("end", () => (response.statusCode === 200 ? this.requestLatencies.add(performance.now() - due) : this.failedRequests.push(response.statusCode)));
      response.on("error", (error) => this.failedRequests.push(error.message));
    });
    request.on("error", (error) => this.failedRequests.push(error.code ?? error.message));
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

  /// Everything that was sent has come.
  quiet() {
    return this.told >= this.said && this.sessions.every((session) => session.heard === session.sent);
  }

  report() {
    const missing = this.sessions.reduce((sum, session) => sum + session.sent - session.heard, 0);
    return {
      requests: this.requests,
      failed_requests: this.failedRequests.length,
      disconnects: this.disconnects.length,
      mistakes: this.mistakes.length,
      missing: missing + Math.max(0, this.said - this.told),
      echoes: this.sessions.reduce((sum, session) => sum + session.heard, 0),
      room_messages: this.told,
      examples: [...this.mistakes, ...this.disconnects, ...this.failedRequests].slice(0, 5),
    };
  }

  leave() {
    this.leaving = true;
    this.stop();
    for (const session of this.sessions) session.leave();
  }
}

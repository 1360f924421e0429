// Official clients in rooms of ten that talk, in rounds: everyone says a word, and the next round begins once everyone
// has heard all words of its room, or patience has ended. Whoever was disconnected comes back and joins its room again,
// as an application's client does. What is counted stands at `report`.
import { ask, client, leave } from "../client/official.mjs";
import { within } from "./process.mjs";

const kRoom = 10;
/// In turn: polling only, polling then upgrade, WebSocket only.
const kTransports = [["polling"], ["polling", "websocket"], ["websocket"]];
const kPatienceMs = 5_000;

class Talker {
  heard = new Map(); // member -> number of its last word
  words = 0;
  round = 0;
  ofRound = 0; // words of this round
  joins = 0;
  disconnects = [];
  connectErrors = [];
  mistakes = [];
  #waiters = new Set();

  constructor(number, count, url, from) {
    this.name = `t${number}`;
    this.room = `room ${Math.floor(number / kRoom)}`;
    this.others = Math.min(kRoom, count - number + (number % kRoom)) - 1;
    this.from = from;
    // The official delays, not the short ones of other tests.
    this.socket = client(url, { from, transports: kTransports[number % kTransports.length], reconnectionDelay: 1000, reconnectionDelayMax: 5000 });
    this.socket.on("connect", () => this.#join());
    this.socket.on("disconnect", (reason) => this.disconnects.push(reason));
    this.socket.on("connect_error", (error) => this.connectErrors.push(`${error.message} ${error.description ?? ""}`));
    this.socket.on("word", (text) => this.#hear(text));
  }

  async #join() {
    try {
      await ask(this.socket, "join", this.room);
      this.joins += 1;
      this.#wake();
    } catch (error) {
      this.mistakes.push(`join: ${error.message}`);
    }
  }

  #hear(text) {
    const [member, number] = [text.split(" ")[0], Number(text.split(" ")[1])];
    const last = this.heard.get(member) ?? 0;
    if (number <= last || member === this.name) return this.mistakes.push(`heard ${text} behind ${last}`);
    this.heard.set(member, number);
    this.words += 1;
    if (number === this.round) this.ofRound += 1;
    this.#wake();
  }

  #wake() {
    for (const look of [...this.#waiters]) look();
  }

  /// Is it true by then?
  #by(look, deadlineMs) {
    let waiter;
    const reached = new Promise((resolve) => {
      waiter = () => look() && resolve(true);
      this.#waiters.add(waiter);
      waiter();
    });
    return within(reached, this.name, deadlineMs)
      .catch(() => false)
      .finally(() => this.#waiters.delete(waiter));
  }

  joined(deadlineMs) {
    return this.#by(() => this.joins > 0, deadlineMs);
  }

  async say(round) {
    Object.assign(this, { round, ofRound: 0 });
    await ask(this.socket, "word", [this.room], [], `${this.name} ${round}`).catch((error) => this.mistakes.push(`word ${round}: ${error.message}`));
  }

  heardRound() {
    return this.#by(() => this.ofRound >= this.others, kPatienceMs);
  }
}

export class Rooms {
  rounds = 0;

  /// Comes back when everyone is in its room, or at the deadline without those that are not.
  static async connect(url, addresses, deadlineMs = 30_000) {
    const rooms = new Rooms();
    rooms.talkers = addresses.map((from, i) => new Talker(i, addresses.length, url, from));
    await Promise.all(rooms.talkers.map((talker) => talker.joined(deadlineMs)));
    return rooms;
  }

  /// Rounds for so long, ten at least; `inTheMiddle()` runs beside them from half of the time, and is waited for.
  async chat(seconds, inTheMiddle = async () => {}) {
    const begun = performance.now();
    const elapsed = () => (performance.now() - begun) / 1000;
    let between;
    while (elapsed() < seconds || this.rounds < 10) {
      if (elapsed() >= seconds / 2) between ??= inTheMiddle();
      await this.#talk();
    }
    await (between ?? inTheMiddle());
  }

  async #talk() {
    this.rounds += 1;
    await Promise.all(this.talkers.map((talker) => talker.say(this.rounds)));
    await Promise.all(this.talkers.map((talker) => talker.heardRound()));
  }

  /// joined: clients that came into their room. rejoined: that they had to again. missing: words that a member of the room
  /// did not hear. mistakes: words twice or out of order, words and joins without an acknowledgement.
  report() {
    const all = (list) => this.talkers.flatMap((talker) => talker[list].map((what) => `${talker.name} ${talker.socket.io.opts.transports}: ${what}`));
    const sum = (count) => this.talkers.reduce((total, talker) => total + count(talker), 0);
    const lists = { disconnects: all("disconnects"), connect_errors: all("connectErrors"), mistakes: all("mistakes") };
    return {
      clients: this.talkers.length,
      joined: this.talkers.filter(({ joins }) => joins > 0).length,
      rejoined: sum(({ joins }) => Math.max(0, joins - 1)),
      rounds: this.rounds,
      words: sum(({ words }) => words),
      missing: sum(({ others, words }) => this.rounds * others - words),
      ...Object.fromEntries(Object.entries(lists).map(([name, list]) => [name, list.length])),
      examples: Object.values(lists).flatMap((list) => list.slice(0, 5)),
    };
  }

  leave() {
    leave(...this.talkers.map(({ socket }) => socket));
  }
}

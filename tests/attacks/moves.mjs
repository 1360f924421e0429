// What strangers have under way in the moment in which an operator replaces the workers (issue 8): it moves, or it is ended in
// words; the operator's commands end well, and in time.
import { performance } from "node:perf_hooks";
import { randomBytes } from "node:crypto";
import { frame as masked } from "../client/raw.mjs";
import { Hose, many, packet, packets, repeat } from "./hose.mjs";
import { until } from "../system/process.mjs";
import { kLimitsThatMove } from "./moves_limits.mjs";
import { Talker, cut, joinPolling, kOperations, kQuick, operate, peak, polled } from "./talker.mjs";

const soon = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
const listed = (things) => (things.length ? things.slice(0, 5).join("; ") : undefined);
const wrongs = ({ refused, wrong }) => listed([...refused, ...wrong]);
const clean = { right: wrongs, replaces: true, seconds: 90 };

/// A message of 900,000 bytes in three fragments with a ping between them, cut within heads, masks, payloads and the ping.
async function halfMessages(target) {
  const said = randomBytes(450_000).toString("hex");
  const whole = `421["echo","${said}"]`;
  const third = Math.floor(whole.length / 3);
  const parts = [masked(0x01, whole.slice(0, third)), masked(0x89, "between"), masked(0x00, whole.slice(third, 2 * third)), masked(0x80, whole.slice(2 * third))];
  const starts = parts.map((_, i) => parts.slice(0, i).reduce((sum, { length }) => sum + length, 0));
  const bytes = Buffer.concat(parts);
  const talkers = await many(30, async (i) => {
    const talker = await Talker.join(target, i, { heard: (text, self) => text.startsWith("431[") && (self.answer = text) });
    return Object.assign(talker, { pieces: cut(bytes, [i % 15, starts[1] + (i % 13), starts[2] + (i % 15), starts[3] + (i % 15), bytes.length - 1 - (i % 5)]) });
  });
  const refused = await operate(target, kOperations, (i) => Promise.all(talkers.map((talker) => talker.pour(talker.pieces[i]))));
  await Promise.all(talkers.map((talker) => talker.until(({ answer }) => answer, 40_000)));
  return { refused, wrong: talkers.flatMap(({ answer, end, code }, i) => (answer === `431["${said}"]` ? [] : [`client ${i}: ${answer?.slice(0, 40)} ${end} ${code}`])) };
}

/// Ten attachments of 90,000 bytes; nine and a half have come when the last move begins. Half of the clients poll.
async function halfAttachments(target) {
  const files = Array.from({ length: 10 }, () => randomBytes(90_000));
  const head = `4510-1["echo",${files.map((_, num) => `{"_placeholder":true,"num":${num}}`).join(",")}]`;
  const bytes = Buffer.concat([packet(head), ...files.map((file) => masked(0x82, file))]);
  const talkers = await many(20, async (i) => {
    const talker = await Talker.join(target, i, { got: (file, { files: back }) => back.push(file) });
    return Object.assign(talker, { files: [], pieces: cut(bytes, [10, 90_000 + i, 500_000 + i, 800_000 + i, 850_000 + i]) });
  });
  const pollers = await many(10, (i) => joinPolling(target, 20 + i));
  const encoded = files.map((file) => `b${file.toString("base64")}`);
  const posts = [head, encoded.slice(0, 3).join("\x1e"), encoded.slice(3, 5).join("\x1e"), encoded[5], encoded.slice(6, 9).join("\x1e"), encoded[9]];
  const refused = await operate(target, kOperations, async (i) => {
    const answers = await Promise.all(pollers.map((session) => session.post(posts[i])));
    for (const { status, body } of answers) if (status !== 200) refused.push(`post ${i}: ${status} ${body}`);
    await Promise.all(talkers.map((talker) => talker.pour(talker.pieces[i])));
  });
  await Promise.all(talkers.map((talker) => talker.until(() => talker.files.length === 10, 40_000)));
  const wrong = talkers.flatMap(({ files: back, end }, i) => (back.length === 10 && back.every((file, j) => file.equals(files[j])) ? [] : [`client ${i}: ${back.length} files, ${end}`]));
  const last = await Promise.all(pollers.map((session) => polled(session, (text) => text === encoded[9] || text.startsWith("43"))));
  return { refused, wrong: [...wrong, ...last.filter((text) => text !== encoded[9] && !text.startsWith("4610-1[")).map((text) => `poller: ${text.slice(0, 60)}`)] };
}

/// 10 MB that 20 share and do not read: one copy before the move. They read on after it.
async function sharedQueues(target, moves) {
  const [count, size] = [1_000, 10_000];
  const readers = await many(20, async (i) => {
    const hear = (text, self) => text.startsWith('42["word"') && (Number(text.slice(11, 16)) === self.next ? (self.next += 1) : (self.faults += 1));
    const reader = Object.assign(await Talker.join(target, i, { heard: hear }), { next: 0, faults: 0 });
    await reader.pour(packet('42["enter","r"]'));
    await reader.echo();
    reader.socket.pause();
    return reader;
  });
  const speaker = await Talker.join(target, 50);
  for (let i = 0; i < count; i += 100) await speaker.pour(packets(100, (j) => `42["word","r",[],"${String(i + j).padStart(5, "0")}${"x".repeat(size)}"]`));
  await speaker.echo();
  const before = await peak(target);
  const refused = await operate(target, moves);
  const grewMiB = (await peak(target)) - before;
  readers.forEach((reader) => reader.socket.resume());
  await Promise.all(readers.map((reader) => reader.until(({ next }) => next === count, 60_000)));
  const wrong = readers.flatMap(({ next, faults, end, code }, i) => (faults || (next < count && !end) ? [`reader ${i}: ${next} of ${count} in order, ${faults} not; ${end} ${code}`] : []));
  return { refused, wrong, grewMiB, before, whole: readers.filter(({ next }) => next === count).length };
}

/// Numbered events go on through all moves; each is acknowledged once, in order. Others come and go meanwhile.
async function floods(target) {
  const wrong = [];
  let over = false;
  const talkers = await many(30, async (i) => {
    const flooder = await Talker.join(target, i, {
      heard: (text, talker) => {
        if (!text.startsWith("43")) return;
        if (!text.startsWith(`43${talker.heardLast + 1}[`)) wrong.push(`client ${i}: ${text.slice(0, 20)} behind ${talker.heardLast}`);
        talker.heardLast = Number.parseInt(text.slice(2), 10);
      },
    });
    return Object.assign(flooder, { heardLast: 0, saidLast: 0 });
  });
  const flood = async (talker) => {
    while (!over && !talker.end) {
      await talker.pour(packets(100, (j) => `42${talker.saidLast + 1 + j}["echo",1]`));
      talker.saidLast += 100;
      await talker.until(({ heardLast }) => heardLast >= talker.saidLast - 200, 20_000);
    }
  };
  let visits = 0;
  const visit = async (i) => {
    for (; !over; visits += 1) {
      const visitor = await Talker.join(target, 100 + i).catch((error) => wrong.push(error.message));
      if (!(visitor instanceof Hose)) return;
      await visitor.pour(packet('42["enter","r"]'));
      visitor.destroy();
    }
  };
  const going = [...talkers.map(flood), ...Array.from({ length: 8 }, (_, i) => visit(i))];
  const refused = await operate(target, [...kOperations, "reload", "upgrade", "reload"]);
  over = true;
  await Promise.all(going);
  await Promise.all(talkers.map((talker) => talker.until(({ heardLast }) => heardLast === talker.saidLast, 40_000)));
  for (const [i, { heardLast, saidLast, end, code }] of talkers.entries()) if (heardLast !== saidLast) wrong.push(`client ${i}: heard ${heardLast} of ${saidLast}; ${end} ${code}`);
  return { refused, wrong, said: talkers.reduce((sum, { saidLast }) => sum + saidLast, 0), visits };
}

const kPost = (sid, length) => `POST /socket.io/?EIO=4&transport=polling&sid=${sid} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;

/// Each session has a poll that waits and a post of which half has come: that one is answered, once, and the session goes on.
async function halfPosts(target) {
  const sessions = await many(100, (i) => joinPolling(target, i));
  const polls = sessions.map((session) => polled(session, (text) => text.startsWith("43")));
  const text = `421["echo","${"x".repeat(1_000)}"]`;
  const posts = await many(100, async (i) => {
    const hose = new Hose(target, i);
    const bytes = Buffer.from(kPost(sessions[i].sid, text.length) + text);
    hose.rest = bytes.subarray(i < 20 ? 40 + i : bytes.length - 5 * i);
    await hose.pour(bytes.subarray(0, bytes.length - hose.rest.length));
    return hose;
  });
  const begun = performance.now();
  const refused = await operate(target, ["reload", "scale 1", "scale 2"]);
  const seconds = (performance.now() - begun) / 1_000;
  await Promise.all(posts.map((hose) => hose.pour(hose.rest)));
  await Promise.all(posts.map((hose) => hose.until(({ received }) => received > 0, 5_000)));
  const status = posts.map(({ tail }) => tail.slice(9, 12));
  const answers = posts.map(({ tail }) => tail.split("HTTP/1.1 ").length - 1);
  const wrong = posts.flatMap(({ tail, end }, i) => (answers[i] === 1 && ["200", "408"].includes(status[i]) ? [] : [`post ${i}: ${answers[i]} answers: ${tail.slice(0, 60)} ${end}`]));
  // Those that were told 408 say it again.
  await Promise.all(sessions.map((session, i) => status[i] === "200" || session.post(text)));
  for (const [i, answer] of (await Promise.all(polls.map((poll) => Promise.race([poll, soon(10_000)])))).entries()) if (!answer?.startsWith('431["')) wrong.push(`session ${i}, post ${status[i]}: ${answer}`);
  return { refused, wrong, seconds, told: status.filter((each) => each === "408").length };
}

/// Upgrades to WebSocket that stand still at each place where they can: within the head, within the probe's frame, behind it.
async function halfProbes(target) {
  const sessions = await many(60, (i) => joinPolling(target, i));
  const polls = sessions.map((session) => session.get()); // each ends with a noop when its probe comes
  const probes = sessions.map((session, i) => {
    const probe = new Hose(target, i);
    probe.head = Buffer.from(`GET /socket.io/?EIO=4&transport=websocket&sid=${session.sid} HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n`);
    return probe;
  });
  const kinds = { head: (probe) => probe.head.length - 30, frame: (probe) => probe.head.length + 4, behind: (probe) => probe.head.length + packet("2probe").length };
  await Promise.all(
    probes.map(async (probe, i) => {
      const bytes = Buffer.concat([probe.head, packet("2probe")]);
      const place = Object.values(kinds)[i % 3](probe);
      probe.rest = bytes.subarray(place);
      await probe.pour(bytes.subarray(0, place));
      if (i % 3 > 0) await probe.until(({ tail }) => tail.includes("HTTP/1.1 101"));
    }),
  );
  const refused = await operate(target, ["reload", "scale 1", "scale 2"]);
  await Promise.all(probes.map(async (probe) => {
    if (probe.rest.length) await probe.pour(probe.rest);
    await probe.until(({ tail }) => tail.includes("3probe"), 5_000);
  }));
  const served = await Promise.all(probes.map(async (probe, i) => {
    if (!probe.end) {
      await polls[i]; // a client says 5 when its poll is back
      await probe.pour(packet("5"));
      return (await probe.echo(5_000)) || "no echo over WebSocket";
    }
    // An upgrade that failed: the session goes on over polling.
    await polls[i];
    const { status } = await sessions[i].post('421["echo",1]');
    return status === 200 ? (await polled(sessions[i], (text) => text.startsWith("43"))) === "431[1]" || "no echo over polling" : `post: ${status}`;
  }));
  const ended = probes.filter(({ end }) => end).length;
  return { refused, ended, wrong: served.flatMap((how, i) => (how === true ? [] : [`probe halted in ${Object.keys(kinds)[i % 3]}: ${how}; ${probes[i].end}`])) };
}

/// Rooms and open acknowledgements by thousands, in both namespaces; after the moves each answer is taken, once.
async function roomsAndAcknowledgements(target) {
  const [rooms, questions] = [3_000, 1_000];
  const wrong = [];
  const talkers = await many(10, async (i) => {
    const asked = [];
    const answered = new Set();
    const hear = (text, self) => {
      const question = text.match(/^42(\d+)\["question"/);
      if (question) asked.push(question[1]);
      const answer = text.match(/^42\["answered",(\d+)\]/);
      if (answer && answered.size === answered.add(answer[1]).size) wrong.push(`client ${i}: twice ${answer[1]}`);
      if (text.startsWith(`43${rooms}[`)) self.rooms = JSON.parse(text.slice(String(rooms).length + 2))[0].length;
    };
    const talker = await Talker.join(target, i, { heard: hear });
    await talker.pour(packet("40/other,"));
    for (let at = 0; at < rooms; at += 1_000) await talker.pour(packets(1_000, (j) => `42["enter","room ${at + j}"]`));
    await talker.pour(repeat(packet('42["ask me","1"]'), questions));
    await talker.until(() => asked.length === questions);
    return Object.assign(talker, { asked, answered });
  });
  // The old workers stay for the answers: the reload is not over.
  const refused = (await operate(target, ["reload --timeout 3"])).filter((words) => !words.startsWith("reload --timeout 3: 124"));
  await Promise.all(talkers.map((talker) => talker.pour(Buffer.concat(talker.asked.map((id, n) => packet(`43${id}[${n}]`))))));
  await Promise.all(talkers.map((talker) => talker.until(({ answered }) => answered.size === questions, 40_000)));
  await Promise.all(talkers.map((talker) => talker.pour(packet(`42${rooms}["rooms"]`)).then(() => talker.until(() => talker.rooms, 5_000))));
  await until(async () => (await target.ctl("reload")).code === 0, "a second reload", 60_000).catch((error) => refused.push(error.message));
  for (const [i, talker] of talkers.entries()) if (talker.answered.size !== questions || talker.rooms !== rooms + 1) wrong.push(`client ${i}: ${talker.answered.size} answers, ${talker.rooms} rooms; ${talker.end} ${talker.code}`);
  return { refused, wrong };
}

export const kMoves = [
  // Each of them moves, and is answered, in one piece.
  { name: "30 messages of 900,000 bytes, cut within heads, masks and pings, while workers are replaced", turnUs: 30_000, settings: kQuick, attack: halfMessages, ...clean },
  { name: "nine of ten attachments of 30 clients while workers are replaced", turnUs: 40_000, settings: kQuick, attack: halfAttachments, ...clean },
  {
    name: "10 MB that 20 do not read, shared, then a reload and scales, limits.memory = 256 MiB", turnUs: 120_000,
    settings: { ...kQuick, "limits.memory": "256MiB" },
    attack: (target) => sharedQueues(target, ["reload", "scale 1", "scale 2"]),
    ...clean,
    right: ({ grewMiB, ...result }) => wrongs(result) ?? (grewMiB <= 256 + 32 ? undefined : `a worker grew by ${grewMiB.toFixed(0)} MiB`),
  },
  { name: "30 clients flood numbered events, others come and go, while workers are replaced", settings: kQuick, attack: floods, ...clean },
  { name: "100 polls that wait and 100 half posts while workers are replaced", settings: kQuick, attack: halfPosts, ...clean, keepsSessions: true },
  { name: "60 upgrades to WebSocket that stand still while workers are replaced", settings: kQuick, attack: halfProbes, ...clean, keepsSessions: true },
  { name: "3,000 rooms and 1,000 open acknowledgements of each of 10 clients while workers are replaced", settings: kQuick, attack: roomsAndAcknowledgements, ...clean },
  ...kLimitsThatMove,
];

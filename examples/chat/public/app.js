// The chat page. The server sends `chat message` with "<message> from <user>"; our own lines are shown as we send them.
"use strict";

const $ = (id) => document.getElementById(id);
const messages = $("messages");
const scroller = document.querySelector("main");

const kCreatures = ["Anemone", "Barnacle", "Cockle", "Dogwhelk", "Eelgrass", "Flounder", "Gull", "Kelp", "Mussel", "Periwinkle", "Sandpiper", "Urchin"];

// The name ------------------------------------------------------------------------------------------------------------

const nameField = $("name");
nameField.value = sessionStorage.getItem("name") ??
  `${kCreatures[Math.floor(Math.random() * kCreatures.length)]} ${1 + Math.floor(Math.random() * 99)}`;

/** What others will see; " from " would make a line ambiguous. */
function ownName() {
  return nameField.value.trim().replace(/\bfrom\b/gi, "f.") || "Somebody";
}
nameField.addEventListener("change", () => {
  nameField.value = ownName();
  sessionStorage.setItem("name", nameField.value);
});

// The list ------------------------------------------------------------------------------------------------------------

let lastSpeaker = null;

function append(item) {
  const atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 80;
  messages.append(item);
  while (messages.childElementCount > 500) messages.firstElementChild.remove();
  if (atEnd || item.classList.contains("own")) scroller.scrollTop = scroller.scrollHeight;
}

function element(tag, className, text) {
  const made = document.createElement(tag);
  made.className = className;
  if (text !== undefined) made.textContent = text;
  return made;
}

function showMessage(user, text, own) {
  const item = element("li", own ? "message own" : "message");
  const speaker = own ? "own" : `other ${user}`;
  if (speaker === lastSpeaker) item.classList.add("again");
  lastSpeaker = speaker;
  let hue = 0;
  for (const c of user) hue = (hue * 31 + c.codePointAt(0)) % 360;
  item.style.setProperty("--hue", hue);
  const face = element("span", "face", [...user][0]?.toUpperCase() ?? "?");
  face.setAttribute("aria-hidden", "true");
  item.append(face, element("span", "who", user), element("span", "text", text));
  append(item);
  return item;
}

function showNote(text) {
  lastSpeaker = null;
  append(element("li", "note", text));
}

function setState(state, summary) {
  document.body.dataset.state = state;
  $("state").textContent = state === "lost" ? "reconnecting" : state;
  $("summary").textContent = summary;
}

// The connection --------------------------------------------------------------------------------------------------------

function start() {
  const socket = io();
  let seat = null;

  const showTransport = (transport) => { $("transport").textContent = transport.name; };

  socket.on("connect", () => {
    setState("connected", "Everybody on this server reads what you write.");
    showTransport(socket.io.engine.transport);
    socket.io.engine.on("upgrade", showTransport);
    socket.timeout(5000).emit("where am i", (error, slot, generation) => {
      if (error) return;
      $("worker").textContent = slot;
      const now = `${slot}/${generation}`;
      if (seat !== null && seat !== now) showNote(`Back again, on worker ${slot} (generation ${generation}).`);
      seat = now;
    });
  });
  socket.on("disconnect", (reason) => {
    $("transport").textContent = "–";
    setState(socket.active ? "lost" : "disconnected", socket.active ? "The connection was lost. Trying again…" : "The server ended this connection. Reload the page to come back.");
    showNote(`Connection lost (${reason}).`);
  });
  socket.on("connect_error", () => {
    if (socket.active) setState("lost", "No connection to the server. Trying again…");
  });

  socket.on("chat message", (line) => {
    const cut = line.lastIndexOf(" from ");
    if (cut < 0) showMessage("Somebody", line, false);
    else showMessage(line.slice(cut + 6), line.slice(0, cut), false);
  });

  $("composer").addEventListener("submit", (event) => {
    event.preventDefault();
    const text = $("line").value.trim();
    if (text === "") return;
    $("line").value = "";
    const item = showMessage(ownName(), text, true);
    item.classList.add("waiting");
    // Without a connection the client keeps it and sends it once there is one.
    socket.emit("chat message", ownName(), text, () => item.classList.remove("waiting"));
  });
}

if (typeof io === "undefined") {
  setState("disconnected", "The browser client is not installed: run `npm install` in examples/chat, then reload.");
} else {
  start();
}

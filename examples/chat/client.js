#!/usr/bin/env node
// A chat client for the terminal: each line you type is sent, each line of the others is printed.
//   node client.js [NAME] [URL]        (default: your user name, http://localhost:3000)
"use strict";

const os = require("node:os");
const readline = require("node:readline");
const { io } = require("socket.io-client");

const user = process.argv[2] ?? os.userInfo().username;
const url = process.argv[3] ?? "http://localhost:3000";

const socket = io(url);
const terminal = readline.createInterface({ input: process.stdin, output: process.stdout, prompt: `${user}> ` });

/** Prints a line above the one that is being typed. */
function print(line) {
  if (terminal.terminal) {
    readline.clearLine(process.stdout, 0);
    readline.cursorTo(process.stdout, 0);
  }
  console.log(line);
  terminal.prompt(true);
}

socket.on("connect", () => {
  socket.timeout(5000).emit("where am i", (error, slot) => {
    print(error ? "* connected" : `* connected to worker ${slot}`);
  });
});
socket.on("disconnect", (reason) => {
  if (reason !== "io client disconnect") print(`* connection lost (${reason})`);
});
socket.on("connect_error", (error) => print(`* no connection to ${url}: ${error.message}`));
socket.on("chat message", (line) => print(line));

terminal.on("line", (message) => {
  if (message.trim() !== "") socket.emit("chat message", user, message);
  terminal.prompt();
});
// The end of the input must not cut off what has just been typed.
terminal.on("close", () => {
  socket.timeout(5000).emit("where am i", () => {
    socket.close();
    process.exit(0);
  });
});

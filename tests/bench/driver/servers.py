"""The servers under measurement: start one, learn its port, end it. Every process that is started here is ended here,
by its id, whatever happens in between."""

import contextlib
import ctypes
import json
import os
import queue
import re
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from dataclasses import dataclass, replace
from pathlib import Path

START_PATIENCE_S = 60
STOP_PATIENCE_S = 5
SERVING = re.compile(r"serving on .*?127\.0\.0\.1:(\d+)")
PR_SET_PDEATHSIG = 1

LIBC = ctypes.CDLL(None)


class Failure(Exception):
    """A server or the load generator did not do what it is there for; the message says which and how."""


@dataclass(frozen=True)
class Kind:
    name: str  # in tables
    command: tuple  # {runtime} is replaced by a fresh directory
    configuration: str | None = None  # written to {runtime}/server.conf; {port} is replaced by a free one
    serving: re.Pattern = SERVING  # what it says when it serves; group 1, if there is one, is its port
    says_so: int = 1  # how often (each worker may)
    environment: tuple = ()  # of pairs


def die_with_parent():
    # If this driver is killed, it cannot end what it has started.
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


def children_of(pid):
    found = [pid]
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{pid}/task").iterdir():
            for child in (task / "children").read_text().split():
                found += children_of(int(child))
    return found


def handles_of(tree):
    """A pidfd for each process that still is; unlike a pid it names one process for ever."""
    for pid in tree:
        with contextlib.suppress(ProcessLookupError):
            yield os.pidfd_open(pid)


def await_end(handle, patience_s):
    """Whether the process ended in time."""
    return bool(select.select([handle], [], [], patience_s)[0])


class Server:
    """A running server. A context manager: leaving it ends the server's whole tree."""

    def __init__(self, kind):
        self.kind = kind
        self.runtime = tempfile.TemporaryDirectory(prefix="limpet-bench-")
        self.port = self._configure() if kind.configuration else None
        command = [word.replace("{runtime}", self.runtime.name) for word in kind.command]
        self.lines = queue.Queue()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        stderr=subprocess.STDOUT, text=True, errors="replace",
                                        start_new_session=True, preexec_fn=die_with_parent,
                                        env=os.environ | dict(kind.environment))
        threading.Thread(target=self._read, daemon=True).start()

    def __enter__(self):
        try:
            self.port = self._await_port()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    @property
    def pid(self):
        return self.process.pid

    def _configure(self):
        """Gives the port; free now, and nobody but this driver's servers asks for one."""
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        text = self.kind.configuration.replace("{runtime}", self.runtime.name).replace("{port}", str(port))
        (Path(self.runtime.name) / "server.conf").write_text(text)
        return port

    def _read(self):
        for line in self.process.stdout:
            self.lines.put(line)
        self.lines.put(None)

    def _await_port(self):
        said, times = [], 0
        while True:
            try:
                line = self.lines.get(timeout=START_PATIENCE_S)
            except queue.Empty:
                line = None
            if line is None:
                raise Failure(f"{self.kind.name}: did not start; it said:\n" + "".join(said[-20:]))
            said.append(line)
            if match := self.kind.serving.search(line):
                times += 1
                if times == self.kind.says_so:
                    return self.port or int(match[1])

    def recent_lines(self):
        said = []
        with contextlib.suppress(queue.Empty):
            while True:
                said.append(self.lines.get_nowait() or "")
        return "".join(said[-20:])

    def stop(self):
        tree = list(handles_of(children_of(self.pid)))
        for attempt in (signal.SIGTERM, signal.SIGTERM, signal.SIGKILL):
            self.process.send_signal(attempt)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(STOP_PATIENCE_S)
                break
            print(f"{self.kind.name}: still runs {STOP_PATIENCE_S} s after signal {attempt}", file=sys.stderr)
        for handle in tree:
            self._await_descendant(handle)
        self.runtime.cleanup()

    def _await_descendant(self, handle):
        if not await_end(handle, STOP_PATIENCE_S):
            print(f"{self.kind.name}: a process outlived its parent; killed", file=sys.stderr)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
        os.close(handle)


def counters_of(server):
    """Limpet's totals by name."""
    limpet = server.kind.command[0]
    answer = json.loads(run_child([limpet, "ctl", "--runtime-dir", server.runtime.name, "stats", "--json"]))
    return {counter["name"]: counter["total"] for counter in answer["counters"]}


NGINX = """
user root; daemon off; worker_processes 2; pid {runtime}/nginx.pid; error_log stderr notice;
events { worker_connections 2048; }
http {
  access_log off; log_not_found off; sendfile on; tcp_nopush on; tcp_nodelay on; keepalive_requests 1000000000;
  open_file_cache max=1000 inactive=60s; open_file_cache_valid 1s; open_file_cache_errors off;
  client_body_temp_path {runtime}/body; proxy_temp_path {runtime}/proxy; fastcgi_temp_path {runtime}/fastcgi;
  uwsgi_temp_path {runtime}/uwsgi; scgi_temp_path {runtime}/scgi;
  types { text/plain txt; } default_type application/octet-stream;
  server { listen 127.0.0.1:{port}; location /files/ { alias {site}/; } }
}
"""
NGINX_SERVES = re.compile(r"start worker process \d+")


def serving_files(limpets, site):
    """Builds of Limpet, {name: Kind}, each serving the directory `site` below /files/."""
    return {name: replace(kind, environment=(("LIMPET_BENCH_FILES", str(site)),)) for name, kind in limpets.items()}


def nginx_and(limpet, site):
    """Limpet and nginx, both serving the directory `site` below /files/."""
    return {"nginx": Kind("nginx", ("nginx", "-c", "{runtime}/server.conf", "-e", "stderr"),
                          configuration=NGINX.replace("{site}", str(site)), serving=NGINX_SERVES, says_so=2),
            **serving_files({"limpet": limpet}, site)}


def known_kinds(build, repository):
    return {
        "raw": Kind("raw loop", (str(build / "raw_loop"),)),
        "limpet": Kind("Limpet", (str(build / "limpet"), "serve", str(build / "bench_app"), "--workers", "2",
                                  "--listen", "tcp://127.0.0.1:0", "--runtime-dir", "{runtime}")),
        "node": Kind("Node socket.io", ("node", str(repository / "tests/bench/node/server.mjs"))),
    }


def run_child(command):
    """Runs a helper program to its end and gives what it printed on stdout."""
    child = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             text=True, start_new_session=True, preexec_fn=die_with_parent)
    try:
        output, errors = child.communicate()
    except BaseException:
        child.kill()
        child.wait()
        raise
    if child.returncode != 0:
        raise Failure(errors.strip() or f"{command[0]}: exit code {child.returncode}")
    return output

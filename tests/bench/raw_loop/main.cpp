// raw_loop: the practical limit that Limpet is measured against, in two processes that share a port by
// SO_REUSEPORT. Prints `raw_loop: serving on tcp://127.0.0.1:PORT with 2 processes` and serves until SIGTERM.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <csignal>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

#include "tests/bench/loopback.h"
#include "tests/bench/raw_loop/loop.h"

namespace limpet::bench {
namespace {

constexpr int kBacklog = 4096;
constexpr std::size_t kMostProcesses = 2;

base::Descriptor listening_socket(std::uint16_t port) {
  base::Descriptor socket(base::require(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0),
                                        "raw_loop: make a socket"));
  const int on = 1;
  base::require(setsockopt(socket.get(), SOL_SOCKET, SO_REUSEPORT, &on, sizeof on),
                "raw_loop: share the port");
  // Accepted sockets inherit it.
  base::require(setsockopt(socket.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on),
                "raw_loop: set TCP_NODELAY");
  const sockaddr_in address = loopback(port);
  base::require(bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address),
                "raw_loop: bind 127.0.0.1");
  base::require(listen(socket.get(), kBacklog), "raw_loop: listen");
  return socket;
}

std::uint16_t port_of(const base::Descriptor& socket) {
  sockaddr_in address{};
  socklen_t length = sizeof address;
  base::require(getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length),
                "raw_loop: read the port");
  return ntohs(address.sin_port);
}

void raise_open_files() {
  rlimit limit{};
  base::require(getrlimit(RLIMIT_NOFILE, &limit), "raw_loop: read the limit of open files");
  limit.rlim_cur = limit.rlim_max;
  base::require(setrlimit(RLIMIT_NOFILE, &limit), "raw_loop: raise the limit of open files");
}

[[noreturn]] void run_loop(base::Descriptor listening, base::Descriptor peer) {
  base::require(prctl(PR_SET_PDEATHSIG, SIGKILL), "raw_loop: die with the parent");
  try {
    Loop(std::move(listening), std::move(peer)).run();
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    _exit(1);
  }
}

/// SIGTERM and SIGCHLD wait for await_end(), so that no process is left behind or unreaped.
sigset_t block_signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGCHLD);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  return signals;
}

/// Waits for SIGTERM, or for a process that failed; ends all. Gives the exit code.
int await_end(const sigset_t& signals, const std::vector<pid_t>& children) {
  int signal = 0;
  sigwait(&signals, &signal);
  for (const pid_t child : children) kill(child, SIGKILL);
  for (const pid_t child : children) waitpid(child, nullptr, 0);
  return signal == SIGTERM ? 0 : 1;
}

int serve(std::size_t processes) {
  raise_open_files();
  const sigset_t signals = block_signals();
  std::array<int, kMostProcesses> pair{};
  base::require(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair.data()),
                "raw_loop: make a socket pair");
  std::array<base::Descriptor, kMostProcesses> peers{base::Descriptor(pair[0]), base::Descriptor(pair[1])};
  std::array<base::Descriptor, kMostProcesses> listening;
  listening[0] = listening_socket(0);
  const std::uint16_t port = port_of(listening[0]);
  if (processes > 1) listening[1] = listening_socket(port);
  std::vector<pid_t> children;
  for (std::size_t at = 0; at < processes; ++at) {
    children.push_back(base::require(fork(), "raw_loop: fork"));
    if (children.back() > 0) continue;
    // A descriptor of the other process's socket would keep connections in its accept queue for nobody.
    listening[1 - at] = {};
    peers[1 - at] = {};
    if (processes == 1) peers[at] = {};
    run_loop(std::move(listening[at]), std::move(peers[at]));
  }
  listening = {};
  peers = {};
  std::printf("raw_loop: serving on tcp://127.0.0.1:%u with %zu processes\n", port, processes);
  std::fflush(stdout);
  return await_end(signals, children);
}

}  // namespace
}  // namespace limpet::bench

int main(int argc, char** argv) {
  try {
    return limpet::bench::serve(argc > 1 && std::string_view(argv[1]) == "1" ? 1 : 2);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}

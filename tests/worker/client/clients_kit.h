// What the tests of client connections have in common: clients over sockets whose other ends the test holds,
// a clock set by hand, and a receiver that remembers. Sockets of one machine's kernel: what one end wrote,
// the other can read at once, except over TCP, where the tests poll.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <string>
#include <utility>

#include "worker/client/clients.h"
#include "worker/client/listen.h"

namespace limpet::client::test {

using namespace std::chrono_literals;

inline loop::Buffer buffer(std::string_view bytes) { return loop::Buffer::copy_of(bytes); }

/// Bytes that differ from place to place, so that a lost or doubled piece shows.
inline std::string pattern(std::size_t size, std::uint32_t seed = 1) {
  std::string bytes(size, '\0');
  for (char& byte : bytes) {
    seed = seed * 1664525u + 1013904223u;
    byte = static_cast<char>(seed >> 24);
  }
  return bytes;
}

class Recorder : public loop::StreamReceiver {
 public:
  std::size_t on_bytes(loop::Stream& stream, std::span<char> bytes) override {
    ++calls;
    seen.assign(bytes.data(), bytes.size());
    if (act) return act(stream, bytes);
    received.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_writable(loop::Stream&) override { ++writable; }
  void on_closed(loop::Stream&, int error) override { closed.push_back(error); }

  std::function<std::size_t(loop::Stream&, std::span<char>)> act;
  std::string received;
  std::string seen;  ///< what the last call was given
  int calls = 0;
  int writable = 0;
  std::vector<int> closed;
};

/// The other end of a connection, non-blocking.
class Peer {
 public:
  Peer() = default;
  explicit Peer(base::Descriptor socket) : socket_(std::move(socket)) {}

  /// Bytes written; fewer than all if the socket is full.
  std::size_t write(std::string_view bytes) const {
    std::size_t done = 0;
    while (done < bytes.size()) {
      const ssize_t sent = ::send(socket_.get(), bytes.data() + done, bytes.size() - done, MSG_NOSIGNAL);
      if (sent < 0) break;
      done += static_cast<std::size_t>(sent);
    }
    return done;
  }
  /// What is there now, up to `limit` bytes.
  std::string read(std::size_t limit = std::string::npos) {
    std::string all;
    std::array<char, 65536> some;
    while (all.size() < limit) {
      const ssize_t got = ::recv(socket_.get(), some.data(), std::min(some.size(), limit - all.size()), 0);
      if (got == 0) at_end_ = true;
      if (got < 0) error_ = errno;
      if (got <= 0) break;
      all.append(some.data(), static_cast<std::size_t>(got));
    }
    return all;
  }
  /// After a read(): the other side has ended the connection in an orderly way.
  [[nodiscard]] bool at_end() const { return at_end_; }
  [[nodiscard]] int error() const { return error_; }
  void half_close() const { ::shutdown(socket_.get(), SHUT_WR); }
  void close() { socket_ = {}; }
  [[nodiscard]] int descriptor() const { return socket_.get(); }
  [[nodiscard]] bool wait_for(short events) const {
    pollfd ready{socket_.get(), events, 0};
    return ::poll(&ready, 1, 5000) == 1;
  }

 private:
  base::Descriptor socket_;
  bool at_end_ = false;
  int error_ = 0;
};

inline std::pair<base::Descriptor, base::Descriptor> socket_pair(int type = SOCK_STREAM) {
  std::array<int, 2> ends{};
  base::require(::socketpair(AF_UNIX, type | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends.data()),
                "make a socket pair");
  return {base::Descriptor(ends[0]), base::Descriptor(ends[1])};
}

/// The two ends of a TCP connection on 127.0.0.1: ours, the client's.
inline std::pair<base::Descriptor, base::Descriptor> tcp_pair() {
  const auto listener = listen_on("tcp://127.0.0.1:0");
  sockaddr_in address{};
  socklen_t size = sizeof address;
  base::require(::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &size),
                "name a listener");
  base::Descriptor client(base::require(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), "make a socket"));
  base::require(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), size), "connect");
  pollfd ready{listener.get(), POLLIN, 0};
  if (::poll(&ready, 1, 5000) != 1) base::throw_system_error("accept", ETIMEDOUT);
  base::Descriptor ours(
      base::require(::accept4(listener.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC), "accept"));
  ::fcntl(client.get(), F_SETFL, ::fcntl(client.get(), F_GETFL) | O_NONBLOCK);
  return {std::move(ours), std::move(client)};
}

inline void shrink_send_buffer(const base::Descriptor& socket) {
  const int small = 4096;
  ::setsockopt(socket.get(), SOL_SOCKET, SO_SNDBUF, &small, sizeof small);
}

inline std::string get(const std::string& target) { return "GET " + target + " HTTP/1.1\r\nHost: x\r\n\r\n"; }
inline std::string poll_of(const std::string& sid) {
  return get("/socket.io/?EIO=4&transport=polling&sid=" + sid);
}
inline std::string post_of(const std::string& sid, const std::string& body) {
  return "POST /socket.io/?EIO=4&transport=polling&sid=" + sid +
         " HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain;charset=UTF-8\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + body;
}
/// Of the answer to a handshake.
inline std::string sid_in(const std::string& text) { return text.substr(text.find("\"sid\":\"") + 7, 20); }

/// What the peer gets until nothing happens any more, however often `turn` is called. Sockets of one kernel:
/// no time passes on the way.
template <class Turn>
std::string everything_for(Peer& peer, Turn turn) {
  std::string got;
  for (int idle = 0; idle < 64;) {  // much input is worked off over several turns
    turn();
    const std::string some = peer.read();
    got += some;
    idle = some.empty() ? idle + 1 : 0;
  }
  return got;
}

/// Clients and the part of a worker's loop that drives them.
class ClientsTest : public testing::Test {
 protected:
  static Limits limits() {
    Limits limits;
    limits.header_timeout = 10s;
    limits.body_timeout = 30s;
    limits.idle_timeout = 60s;
    limits.send_queue_bytes = 1'000'000;
    return limits;
  }

  /// As a worker's turn, with the clock standing still.
  void turn() {
    (void)poller_.dispatch(allowance_);
    clients_.redeliver();
    clients_.check_deadlines();
    clients_.flush();
    clients_.bury();
  }
  /// Turns until `done`, each woken by readiness of a client or of `also`; false after 5 s without any.
  template <class Condition>
  bool turn_until(Condition done, int also = -1, short events = POLLIN) {
    while (!done()) {
      std::array<pollfd, 2> ready{{{poller_.descriptor(), POLLIN, 0}, {also, events, 0}}};
      if (!clients_.has_work() && ::poll(ready.data(), ready.size(), 5000) == 0) return false;
      turn();
    }
    return true;
  }
  void pass(std::chrono::milliseconds time) { clock_.advance_to(clock_.now() + time); }
  [[nodiscard]] std::uint64_t count(ipc::Counter counter) const { return counters_.get(counter); }

  /// A client whose bytes go to `receiver`, and its other end.
  std::pair<ClientConnection*, Peer> connect(loop::StreamReceiver& receiver, int type = SOCK_STREAM,
                                             std::string_view unread = {}) {
    auto [ours, theirs] = socket_pair(type);
    return {adopt(std::move(ours), receiver, unread), Peer(std::move(theirs))};
  }
  ClientConnection* adopt(base::Descriptor socket, loop::StreamReceiver& receiver,
                          std::string_view unread = {}) {
    ClientConnection* connection =
        clients_.adopt(std::move(socket), PeerAddress::from_text("127.0.0.5", 4711), 1, unread);
    connection->set_receiver(&receiver);
    return connection;
  }

  loop::Poller poller_;
  loop::Clock clock_{loop::TimePoint(1000s)};
  ipc::CounterBlock counters_ = ipc::CounterBlock::create({0, 0, 1});
  Recorder recorder_;  // outlives the clients, which tell it of their end
  loop::Allowance allowance_ = loop::Allowance::unlimited();
  loop::MemoryTotal memory_;
  Clients clients_{poller_, clock_, allowance_, memory_, counters_, limits()};
};

}  // namespace limpet::client::test

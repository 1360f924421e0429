#include "tests/bench/load_generator/client.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <cstring>
#include <stdexcept>

#include "tests/bench/traffic.h"

namespace limpet::bench {
namespace {

// Key and answer of RFC 6455, 1.3.
constexpr std::string_view kUpgradeRequest =
    "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
    "Host: 127.0.0.1\r\n"
    "Upgrade: websocket\r\n"
    "Connection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "\r\n";
constexpr std::string_view kUpgradeStatus = "HTTP/1.1 101 ";
constexpr std::string_view kAcceptedKey = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
constexpr std::string_view kHeaderEnd = "\r\n\r\n";

std::string framed(std::string_view packet) {
  std::string frame;
  append_client_frame(frame, packet);
  return frame;
}

}  // namespace

void Client::connect(const Caller& caller, std::uint16_t port, int epoll, std::uint32_t number) {
  socket_ = started_connection(caller.source, port);
  preamble_ = caller.preamble;
  state_ = State::Connecting;
  number_ = number;
  rest_.clear();
  epoll_event event{.events = EPOLLOUT, .data = {.u32 = number}};
  base::require(epoll_ctl(epoll, EPOLL_CTL_ADD, socket_.get(), &event), "client: watch a socket");
}

void Client::on_ready(int epoll, Workload& workload, std::span<char> buffer) {
  if (state_ == State::Connecting) return on_connected(epoll);
  if (state_ != State::Absent) on_bytes(workload, buffer);
}

void Client::on_connected(int epoll) {
  int error = 0;
  socklen_t length = sizeof error;
  base::require(getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &error, &length), "client: read the result");
  if (error != 0) base::throw_system_error("client: connect", error);
  epoll_event event{.events = EPOLLIN, .data = {.u32 = number_}};
  base::require(epoll_ctl(epoll, EPOLL_CTL_MOD, socket_.get(), &event), "client: watch a socket");
  state_ = State::Upgrading;
  send(std::string(preamble_).append(kUpgradeRequest));
}

void Client::on_bytes(Workload& workload, std::span<char> buffer) {
  const std::size_t kept = rest_.size();
  std::memcpy(buffer.data(), rest_.data(), kept);
  const ssize_t received = recv(socket_.get(), buffer.data() + kept, buffer.size() - kept, 0);
  if (received <= 0) return on_end(workload, received);
  const std::string_view bytes(buffer.data(), kept + static_cast<std::size_t>(received));
  const std::size_t consumed = consume(workload, bytes);
  rest_.assign(bytes.substr(consumed));
}

void Client::on_end(Workload& workload, ssize_t received) {
  if (received == -1 && (errno == EAGAIN || errno == EINTR)) return;
  if (state_ != State::Leaving) fail(received == 0 ? "closed by the server" : std::strerror(errno));
  drop();
  workload.on_left(*this);
}

std::size_t Client::consume(Workload& workload, std::string_view bytes) {
  std::size_t consumed = 0;
  while (state_ != State::Absent) {
    const std::string_view rest = bytes.substr(consumed);
    const std::size_t step =
        state_ == State::Upgrading ? consume_upgrade(rest) : consume_frame(workload, rest);
    if (step == 0) break;
    consumed += step;
  }
  return consumed;
}

std::size_t Client::consume_upgrade(std::string_view bytes) {
  const std::size_t end = bytes.find(kHeaderEnd);
  if (end == std::string_view::npos) return 0;
  const std::string_view header = bytes.substr(0, end);
  if (!header.starts_with(kUpgradeStatus) || header.find(kAcceptedKey) == std::string_view::npos) {
    fail("the upgrade was refused");
  }
  state_ = State::Opening;
  return end + kHeaderEnd.size();
}

std::size_t Client::consume_frame(Workload& workload, std::string_view bytes) {
  if (bytes.size() < kServerHeaderLength) return 0;
  const auto first = static_cast<unsigned char>(bytes[0]);
  std::size_t header = kServerHeaderLength;
  std::size_t length = static_cast<unsigned char>(bytes[1]);
  if (length == 126) {  // the open packet can be so long
    header += 2;
    if (bytes.size() < header) return 0;
    length = static_cast<std::size_t>(static_cast<unsigned char>(bytes[2])) << 8 |
             static_cast<unsigned char>(bytes[3]);
  } else if (length > 126) {
    fail("a frame that is masked or too long");
  }
  if (first != kTextFrame && state_ != State::Leaving) {
    fail("a frame that is no text frame: " + std::to_string(first) + " " + std::string(bytes.substr(1, 40)));
  }
  if (bytes.size() < header + length) return 0;
  on_message(workload, bytes.substr(header, length));
  return header + length;
}

void Client::on_message(Workload& workload, std::string_view packet) {
  static const std::string kConnect = framed("40");
  static const std::string kPong = framed("3");
  if (state_ == State::Leaving) return;
  if (state_ == State::Joined && packet.starts_with('4')) return workload.on_packet(*this, packet);
  if (packet == "2") return send(kPong);
  if (state_ == State::Opening && packet.starts_with("0{")) {
    state_ = State::Joining;
    return send(kConnect);
  }
  if (state_ == State::Joining && packet.starts_with("40{")) {
    state_ = State::Joined;
    return workload.on_joined(*this);
  }
  fail("unexpected packet: " + std::string(packet));
}

void Client::send(std::string_view frames) {
  const ssize_t sent = ::send(socket_.get(), frames.data(), frames.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(frames.size())) fail(sent == -1 ? std::strerror(errno) : "a send was cut");
}

void Client::leave() {
  state_ = State::Leaving;
  base::require(shutdown(socket_.get(), SHUT_WR), "client: end the sending direction");
}

void Client::drop() {
  state_ = State::Absent;
  socket_ = {};
}

void Client::fail(std::string_view what) const {
  throw std::runtime_error("client " + std::to_string(number_) + " in state " +
                           std::to_string(static_cast<int>(state_)) + ": " + std::string(what));
}

}  // namespace limpet::bench

#include "tests/bench/raw_loop/loop.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>

#include "tests/bench/raw_loop/handshake.h"
#include "tests/bench/traffic.h"

namespace limpet::bench {
namespace {

constexpr std::uint32_t kMostQueued = 64;
constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr int kEventsPerTurn = 1024;
/// `42`, an id and `["e"` or `["b"`: as much of a packet as tells what to do.
constexpr std::size_t kTelling = 26;

void send_whole(int client, std::string_view bytes) {
  const ssize_t sent = send(client, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(bytes.size()))
    throw std::runtime_error("raw_loop: a send was refused or cut");
}

}  // namespace

Loop::Loop(base::Descriptor listening, base::Descriptor peer)
    : listening_(std::move(listening)),
      peer_(std::move(peer)),
      epoll_(base::require(epoll_create1(EPOLL_CLOEXEC), "raw_loop: make an epoll set")),
      buffer_(kBufferBytes),
      ack_suffix_(ack_suffix()) {
  const std::string frame = server_frame(broadcast_packet());
  broadcast_length_ = frame.size();
  for (std::uint32_t at = 0; at < kMostQueued; ++at) broadcasts_ += frame;
  watch(listening_.get());
  if (peer_) watch(peer_.get());
}

void Loop::run() {
  for (;;) turn();
}

void Loop::turn() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int ready = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn, -1);
  for (int at = 0; at < ready; ++at) {
    const int descriptor = events[static_cast<std::size_t>(at)].data.fd;
    if (descriptor == listening_.get()) {
      accept_all();
    } else if (descriptor == peer_.get()) {
      hear_peer();
    } else {
      receive(descriptor);
    }
  }
  if (asked_ > 0) publish();
}

void Loop::watch(int descriptor) {
  epoll_event event{.events = EPOLLIN, .data = {.fd = descriptor}};
  base::require(epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, descriptor, &event), "raw_loop: watch a descriptor");
}

void Loop::accept_all() {
  for (;;) {
    const int client = accept4(listening_.get(), nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (client == -1) return;
    const auto at = static_cast<std::size_t>(client);
    if (phases_.size() <= at) {
      phases_.resize(at + 1, Phase::Absent);
      places_.resize(at + 1);
    }
    phases_[at] = Phase::Upgrading;
    watch(client);
  }
}

void Loop::receive(int client) {
  const ssize_t received = recv(client, buffer_.data(), buffer_.size(), 0);
  if (received <= 0) return forget(client);
  handle(client, {buffer_.data(), static_cast<std::size_t>(received)});
}

void Loop::handle(int client, std::string_view bytes) {
  Phase& phase = phases_[static_cast<std::size_t>(client)];
  if (phase == Phase::Open) return handle_frames(client, bytes);
  const std::string answer = handshake_answer(bytes, ++sessions_);
  if (answer.empty()) return forget(client);
  phase = Phase::Open;
  send_whole(client, answer);
}

void Loop::handle_frames(int client, std::string_view bytes) {
  answers_.clear();
  while (!bytes.empty()) {
    const std::size_t length = kClientHeaderLength + (static_cast<unsigned char>(bytes[1]) & 0x7fu);
    // Over loopback one send arrives whole, so the limit need not put frames together.
    if (bytes.size() < length) throw std::runtime_error("raw_loop: a frame in two parts");
    append_answer(client, bytes.substr(kClientHeaderLength, length - kClientHeaderLength),
                  bytes.substr(2, 4));
    bytes.remove_prefix(length);
  }
  if (!answers_.empty()) send_whole(client, answers_);
}

void Loop::append_answer(int client, std::string_view masked, std::string_view mask) {
  std::array<char, kTelling> packet{};
  const std::size_t telling = masked.size() < kTelling ? masked.size() : kTelling;
  for (std::size_t at = 0; at < telling; ++at) packet[at] = static_cast<char>(masked[at] ^ mask[at % 4]);
  if (packet[0] != '4') return;  // a pong
  if (packet[1] == '0') {
    places_[static_cast<std::size_t>(client)] = static_cast<std::uint32_t>(clients_.size());
    clients_.push_back(client);
    answers_ += connect_answer(sessions_);
    return;
  }
  std::size_t id_end = 2;
  while (packet[id_end] != '[') ++id_end;
  if (packet[id_end + 2] == 'b') {
    ++asked_;
    return;
  }
  const std::string_view id(packet.data() + 2, id_end - 2);
  answers_ += static_cast<char>(kTextFrame);
  answers_ += static_cast<char>(kAckPrefix.size() + id.size() + ack_suffix_.size());
  answers_.append(kAckPrefix).append(id).append(ack_suffix_);
}

void Loop::forget(int client) {
  const base::Descriptor closing(client);
  const std::uint32_t place = places_[static_cast<std::size_t>(client)];
  phases_[static_cast<std::size_t>(client)] = Phase::Absent;
  if (place >= clients_.size() || clients_[place] != client) return;  // never joined
  clients_[place] = clients_.back();
  places_[static_cast<std::size_t>(clients_[place])] = place;
  clients_.pop_back();
}

void Loop::publish() {
  // The peer first: it works while this process does.
  if (peer_ && send(peer_.get(), &asked_, sizeof asked_, MSG_NOSIGNAL) != sizeof asked_) {
    throw std::runtime_error("raw_loop: the other process does not read");
  }
  deliver(asked_);
  asked_ = 0;
}

void Loop::hear_peer() {
  std::uint32_t broadcasts = 0;
  if (recv(peer_.get(), &broadcasts, sizeof broadcasts, 0) != sizeof broadcasts) {
    throw std::runtime_error("raw_loop: the other process is gone");
  }
  deliver(broadcasts);
}

void Loop::deliver(std::uint32_t broadcasts) {
  if (broadcasts > kMostQueued) throw std::runtime_error("raw_loop: too many broadcasts in one turn");
  const std::string_view frames(broadcasts_.data(), broadcasts * broadcast_length_);
  for (const int client : clients_) send_whole(client, frames);
}

}  // namespace limpet::bench

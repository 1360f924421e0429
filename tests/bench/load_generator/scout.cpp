#include "tests/bench/load_generator/scout.h"

#include <arpa/inet.h>
#include <poll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <map>
#include <stdexcept>

namespace limpet::bench {
namespace {

/// The longest wait for an answer.
constexpr int kPatienceMs = 20'000;
/// Names that are tried until both kinds are found: with two workers, that one kind is missing is less likely
/// than 1 in 10^9.
constexpr std::uint32_t kNames = 32;
constexpr std::string_view kHandshake = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::string_view kSlot = "GET /slot HTTP/1.1\r\nHost: x\r\n\r\n";

/// One connection, one request after the other.
class Talk {
 public:
  Talk(const Caller& caller, std::uint16_t port) : socket_(started_connection(caller.source, port)) {
    wait_for(POLLOUT);
    if (!caller.preamble.empty()) send(caller.preamble);
  }

  /// The whole answer to `request`.
  std::string ask(std::string_view request) {
    send(request);
    for (;;) {
      const std::size_t size = size_of_answer();
      if (size > 0) {
        std::string answer = received_.substr(0, size);
        received_.erase(0, size);
        if (!answer.starts_with("HTTP/1.1 200 ")) throw std::runtime_error("scout: " + answer);
        return answer;
      }
      receive();
    }
  }
  std::string ask_for_body(std::string_view request) {
    const std::string answer = ask(request);
    return answer.substr(answer.find("\r\n\r\n") + 4);
  }

 private:
  void wait_for(short events) const {
    pollfd ready{socket_.get(), events, 0};
    if (base::require(::poll(&ready, 1, kPatienceMs), "scout: wait") == 0)
      throw std::runtime_error("scout: the server does not answer");
  }
  void send(std::string_view bytes) const {
    const auto sent = base::require(
        static_cast<int>(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL)), "scout: send");
    if (static_cast<std::size_t>(sent) != bytes.size()) throw std::runtime_error("scout: a send was cut");
  }
  void receive() {
    wait_for(POLLIN);
    std::array<char, 4096> bytes;
    const int got = base::require(static_cast<int>(::recv(socket_.get(), bytes.data(), bytes.size(), 0)),
                                  "scout: receive");
    if (got == 0) throw std::runtime_error("scout: closed by the server behind: " + received_);
    received_.append(bytes.data(), static_cast<std::size_t>(got));
  }
  /// 0: not whole yet.
  [[nodiscard]] std::size_t size_of_answer() const {
    constexpr std::string_view kLength = "Content-Length: ";
    const std::size_t end = received_.find("\r\n\r\n");
    if (end == std::string::npos) return 0;
    const std::size_t at = received_.find(kLength);
    if (at > end) throw std::runtime_error("scout: an answer without length: " + received_);
    std::size_t length = 0;
    std::from_chars(received_.data() + at + kLength.size(), received_.data() + end, length);
    const std::size_t size = end + 4 + length;
    return received_.size() < size ? 0 : size;
  }

  base::Descriptor socket_;
  std::string received_;
};

std::string text_of(const sockaddr_in& address) {
  std::array<char, INET_ADDRSTRLEN> text{};
  ::inet_ntop(AF_INET, &address.sin_addr, text.data(), text.size());
  return text.data();
}

Caller named_caller(const sockaddr_in& source, std::uint32_t name) {
  return {source, "PROXY TCP4 192.0.2." + std::to_string(name + 1) + " " + text_of(source) + " 1 1\r\n"};
}

unsigned number_in(const std::string& text) {
  unsigned number = 0;
  if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc())
    throw std::runtime_error("scout: no slot: " + text);
  return number;
}

std::string sid_in(const std::string& open_packet) {
  constexpr std::string_view kBefore = "\"sid\":\"";
  const std::size_t at = open_packet.find(kBefore);
  if (at == std::string::npos) throw std::runtime_error("scout: no handshake: " + open_packet);
  const std::size_t from = at + kBefore.size();
  return open_packet.substr(from, open_packet.find('"', from) - from);
}

}  // namespace

std::string polling_request(std::string_view sid, std::string_view body) {
  std::string request(body.empty() ? "GET" : "POST");
  request.append(" /socket.io/?EIO=4&transport=polling&sid=").append(sid).append(" HTTP/1.1\r\nHost: x\r\n");
  if (!body.empty())
    request.append("Content-Type: text/plain\r\nContent-Length: ").append(std::to_string(body.size())) +=
        "\r\n";
  return request.append("\r\n").append(body);
}

unsigned Scout::slot_of(const Caller& caller) const {
  return number_in(Talk(caller, port_).ask_for_body(kSlot));
}

unsigned Scout::slot_of_session(const Caller& caller) const {
  Talk talk(caller, port_);
  (void)sid_in(talk.ask_for_body(kHandshake));
  return number_in(talk.ask_for_body(kSlot));  // the connection went to where the session is
}

std::string Scout::open_session(const Caller& caller) const {
  Talk talk(caller, port_);
  std::string sid = sid_in(talk.ask_for_body(kHandshake));
  (void)talk.ask(polling_request(sid, "40"));
  const std::string joined = talk.ask_for_body(polling_request(sid));
  if (!joined.starts_with("40{")) throw std::runtime_error("scout: no namespace: " + joined);
  return sid;
}

std::string Scout::answer(const Caller& caller, const std::string& request) const {
  return Talk(caller, port_).ask(request);
}

std::vector<Caller> Scout::named_callers(std::size_t count, bool at_home) const {
  std::map<std::uint32_t, unsigned> slots;  // by name
  for (std::uint32_t name = 0; name < kNames; ++name)
    slots[name] = slot_of_session(named_caller(source_address(0), name));
  std::vector<Caller> callers;
  for (std::uint32_t source = 0; source < count; ++source) {
    const unsigned accepting = slot_of(named_caller(source_address(source), 0));
    const auto name = std::find_if(slots.begin(), slots.end(),
                                   [&](const auto& each) { return (each.second == accepting) == at_home; });
    if (name == slots.end()) throw std::runtime_error("scout: every name is placed in the same slot");
    callers.push_back(named_caller(source_address(source), name->first));
  }
  return callers;
}

}  // namespace limpet::bench

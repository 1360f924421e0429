#include "tests/bench/load_generator/requests.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstring>
#include <map>
#include <stdexcept>
#include <utility>

#include "tests/bench/load_generator/crowd.h"
#include "tests/bench/load_generator/scout.h"
#include "tests/bench/traffic.h"

namespace limpet::bench {
namespace {

constexpr int kEventsPerTurn = 256;
/// The meter is asked once in so many turns.
constexpr unsigned kTurnsPerQuestion = 16;
/// Source addresses that are looked at for one in another slot.
constexpr std::uint32_t kAddresses = 64;

/// In an answer that is waited for, a byte that may be any.
constexpr char kAny = '\0';

/// The time of day is another each time, and as long.
std::string with_any_date(std::string answer) {
  constexpr std::string_view kDate = "\r\nDate: ";
  if (const auto at = answer.find(kDate); at != std::string::npos)
    for (std::size_t i = at + kDate.size(); i < answer.size() && answer[i] != '\r'; ++i) answer[i] = kAny;
  return answer;
}

/// An event for which the application has no handler.
std::string message() { return "42[\"n\",\"" + argument() + "\"]"; }

}  // namespace

class Requesters::Requester {
 public:
  Requester(Caller caller, std::vector<std::string> writes, const RequestPattern& pattern)
      : caller_(std::move(caller)), writes_(std::move(writes)), pattern_(pattern) {}

  void connect(std::uint16_t port, int epoll, std::uint32_t number) {
    socket_ = started_connection(caller_.source, port);
    connecting_ = true;
    epoll_event event{.events = EPOLLOUT, .data = {.u32 = number}};
    base::require(epoll_ctl(epoll, EPOLL_CTL_ADD, socket_.get(), &event), "requests: watch a socket");
  }

  /// Requests that were answered. The connection is due for another if it says so.
  std::uint64_t on_ready(int epoll, std::uint32_t number, std::string_view answer, bool* connect_again) {
    if (std::exchange(connecting_, false)) {
      epoll_event event{.events = EPOLLIN, .data = {.u32 = number}};
      base::require(epoll_ctl(epoll, EPOLL_CTL_MOD, socket_.get(), &event), "requests: watch a socket");
      send();
      return 0;
    }
    receive(answer);
    const std::size_t due = pattern_.writes[at_].size() * answer.size();
    if (received_ < due) return 0;
    if (received_ > due) throw std::runtime_error("requests: more answers than requests");
    received_ = 0;
    const std::uint64_t answered = pattern_.writes[at_].size();
    at_ = (at_ + 1) % writes_.size();
    *connect_again = pattern_.fresh;
    if (!pattern_.fresh) send();
    return answered;
  }

 private:
  void send() const {
    const std::string& bytes = writes_[at_];
    const ssize_t sent = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (sent != static_cast<ssize_t>(bytes.size()))
      throw std::runtime_error(std::string("requests: send: ") +
                               (sent < 0 ? std::strerror(errno) : "it was cut"));
  }
  void receive(std::string_view answer) {
    std::array<char, 16384> bytes;
    const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0)
      throw std::runtime_error(std::string("requests: ") +
                               (got < 0 ? std::strerror(errno) : "closed by the server"));
    for (ssize_t at = 0; at < got; ++at) {
      const char wanted = answer[received_++ % answer.size()];
      if (wanted != kAny && bytes[static_cast<std::size_t>(at)] != wanted)
        throw std::runtime_error("requests: wrong answer: " +
                                 std::string(bytes.data(), static_cast<std::size_t>(got)));
    }
  }

  Caller caller_;
  std::vector<std::string> writes_;
  const RequestPattern& pattern_;
  base::Descriptor socket_;
  std::size_t at_ = 0;        ///< the write whose answers are due
  std::size_t received_ = 0;  ///< bytes of them
  bool connecting_ = false;
};

Requesters::Requesters(std::uint16_t port, std::size_t clients, RequestPattern pattern)
    : port_(port),
      pattern_(std::move(pattern)),
      epoll_(base::require(epoll_create1(EPOLL_CLOEXEC), "requests: make an epoll set")) {
  raise_open_files(clients);
  const Scout scout(port);
  std::map<unsigned, std::vector<Caller>> by_slot;
  for (const Caller& caller : plain_callers(kAddresses)) by_slot[scout.slot_of(caller)].push_back(caller);
  if (by_slot.size() < 2) throw std::runtime_error("requests: all addresses belong to one slot");
  for (std::size_t number = 0; number < clients; ++number) {
    auto home = std::next(by_slot.begin(), static_cast<std::ptrdiff_t>(number % by_slot.size()));
    auto other = std::next(home) == by_slot.end() ? by_slot.begin() : std::next(home);
    const Caller& caller = home->second[number % home->second.size()];
    const std::map<char, std::string> requests{
        {'h', polling_request(scout.open_session(caller), message())},
        {'o', polling_request(scout.open_session(other->second[number % other->second.size()]), message())}};
    std::vector<std::string> writes;
    for (const std::string& letters : pattern_.writes) {
      writes.emplace_back();
      for (const char letter : letters) writes.back() += requests.at(letter);
    }
    if (answer_.empty()) answer_ = with_any_date(scout.answer(caller, requests.at('h')));
    requesters_.push_back(std::make_unique<Requester>(caller, std::move(writes), pattern_));
  }
}

Requesters::~Requesters() = default;

void Requesters::turn() {
  std::array<epoll_event, kEventsPerTurn> events;
  const int ready = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn,
                               static_cast<int>(std::chrono::milliseconds(Crowd::kPatience).count()));
  if (ready == -1 && errno == EINTR) return;
  if (base::require(ready, "requests: wait for readiness") == 0)
    throw std::runtime_error("the server has been silent for too long");
  for (int at = 0; at < ready; ++at) {
    const std::uint32_t number = events[static_cast<std::size_t>(at)].data.u32;
    bool connect_again = false;
    answered_ += requesters_[number]->on_ready(epoll_.get(), number, answer_, &connect_again);
    if (connect_again) requesters_[number]->connect(port_, epoll_.get(), number);
  }
}

Figure Requesters::measure(Meter& meter) {
  for (std::uint32_t number = 0; number < requesters_.size(); ++number)
    requesters_[number]->connect(port_, epoll_.get(), number);
  while (meter.goes_on(answered_)) {
    for (unsigned turns = 0; turns < kTurnsPerQuestion; ++turns) turn();
  }
  return meter.figure();
}

}  // namespace limpet::bench

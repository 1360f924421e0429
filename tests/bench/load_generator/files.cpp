#include "tests/bench/load_generator/files.h"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <string_view>
#include <utility>

#include "tests/bench/load_generator/crowd.h"

namespace limpet::bench {
namespace {

constexpr int kEventsPerTurn = 256;
/// The meter is asked once in so many turns.
constexpr unsigned kTurnsPerQuestion = 16;
constexpr std::size_t kReadBytes = 256 * 1024;

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("files: cannot read " + path);
  std::ostringstream content;
  content << file.rdbuf();
  return content.str();
}

std::size_t length_in(std::string_view head) {
  const std::size_t at = head.find("Content-Length: ");
  if (at == std::string_view::npos) throw std::runtime_error("files: no length in " + std::string(head));
  return std::stoul(std::string(head.substr(at + 16, head.find('\r', at) - at - 16)));
}

}  // namespace

class Fetchers::Fetcher {
 public:
  Fetcher(const Caller& caller, std::uint16_t port, int epoll, std::uint32_t number, std::string_view request,
          const Fetch& fetch, std::string_view content)
      : socket_(started_connection(caller.source, port)),
        request_(request),
        status_(fetch.content_of.empty() ? "HTTP/1.1 404 " : "HTTP/1.1 200 "),
        checks_content_(!fetch.content_of.empty()),
        content_(content) {
    epoll_event event{.events = EPOLLOUT, .data = {.u32 = number}};
    base::require(epoll_ctl(epoll, EPOLL_CTL_ADD, socket_.get(), &event), "files: watch a socket");
  }

  /// Whether an answer came to its end.
  bool on_ready(int epoll, std::uint32_t number, std::vector<char>& buffer) {
    if (!std::exchange(connected_, true)) {
      epoll_event event{.events = EPOLLIN, .data = {.u32 = number}};
      base::require(epoll_ctl(epoll, EPOLL_CTL_MOD, socket_.get(), &event), "files: watch a socket");
      ask();
      return false;
    }
    const ssize_t got = ::recv(socket_.get(), buffer.data(), buffer.size(), 0);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return false;
    if (got <= 0)
      throw std::runtime_error(std::string("files: ") +
                               (got < 0 ? std::strerror(errno) : "closed by the server"));
    return take({buffer.data(), static_cast<std::size_t>(got)});
  }

 private:
  void ask() const {
    if (::send(socket_.get(), request_.data(), request_.size(), MSG_NOSIGNAL) !=
        static_cast<ssize_t>(request_.size()))
      throw std::runtime_error("files: a request was cut");
  }
  bool take(std::string_view bytes) {
    if (!in_body_) {
      head_.append(bytes);
      const std::size_t end = head_.find("\r\n\r\n");
      if (end == std::string::npos) return false;
      if (!head_.starts_with(status_)) throw std::runtime_error("files: wrong answer: " + head_);
      length_ = length_in(std::string_view(head_).substr(0, end + 2));
      if (checks_content_ && length_ != content_.size()) throw std::runtime_error("files: wrong length");
      const std::string rest = head_.substr(end + 4);
      head_.clear();
      in_body_ = true;
      return take_body(rest);
    }
    return take_body(bytes);
  }
  bool take_body(std::string_view bytes) {
    if (received_ + bytes.size() > length_) throw std::runtime_error("files: more than was asked for");
    if (checks_content_ && content_.substr(received_, bytes.size()) != bytes)
      throw std::runtime_error("files: wrong content");
    received_ += bytes.size();
    if (received_ < length_) return false;
    received_ = 0;
    in_body_ = false;
    ask();
    return true;
  }

  base::Descriptor socket_;
  std::string_view request_;
  std::string_view status_;
  bool checks_content_;
  std::string_view content_;
  std::string head_;
  std::size_t length_ = 0;
  std::size_t received_ = 0;
  bool in_body_ = false;
  bool connected_ = false;
};

Fetchers::Fetchers(std::uint16_t port, const std::vector<Caller>& callers, std::size_t clients,
                   const Fetch& fetch)
    : epoll_(base::require(epoll_create1(EPOLL_CLOEXEC), "files: make an epoll set")),
      request_("GET " + fetch.path +
               " HTTP/1.1\r\nHost: localhost\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n"
               "Accept-Language: en\r\nConnection: keep-alive\r\n\r\n"),
      content_(fetch.content_of.empty() ? std::string() : read_file(fetch.content_of)) {
  raise_open_files(clients);
  for (std::uint32_t number = 0; number < clients; ++number)
    fetchers_.push_back(std::make_unique<Fetcher>(callers[number % callers.size()], port, epoll_.get(),
                                                  number, request_, fetch, content_));
}

Fetchers::~Fetchers() = default;

void Fetchers::turn() {
  static std::vector<char> buffer(kReadBytes);
  std::array<epoll_event, kEventsPerTurn> events;
  const int ready = epoll_wait(epoll_.get(), events.data(), kEventsPerTurn,
                               static_cast<int>(std::chrono::milliseconds(Crowd::kPatience).count()));
  if (ready == -1 && errno == EINTR) return;
  if (base::require(ready, "files: wait for readiness") == 0)
    throw std::runtime_error("the server has been silent for too long");
  for (int at = 0; at < ready; ++at) {
    const std::uint32_t number = events[static_cast<std::size_t>(at)].data.u32;
    if (fetchers_[number]->on_ready(epoll_.get(), number, buffer)) ++answered_;
  }
}

Figure Fetchers::measure(Meter& meter) {
  while (meter.goes_on(answered_)) {
    for (unsigned turns = 0; turns < kTurnsPerQuestion; ++turns) turn();
  }
  return meter.figure();
}

}  // namespace limpet::bench

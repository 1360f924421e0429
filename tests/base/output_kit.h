// Pipes, sockets, terminals and files for tests of what is written to them: both ends, and what has come.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace limpet::base::test {

/// A descriptor and whoever reads it; both closed at the end.
struct Ends {
  int reads = -1;
  int writes = -1;
  Ends() = default;
  Ends(int reading, int writing) : reads(reading), writes(writing) {}
  Ends(Ends&& other) noexcept
      : reads(std::exchange(other.reads, -1)), writes(std::exchange(other.writes, -1)) {}
  Ends& operator=(Ends&&) = delete;
  ~Ends() {
    close_reading();
    if (writes >= 0) ::close(writes);
  }
  void close_reading() {
    if (reads >= 0) ::close(std::exchange(reads, -1));
  }
};

inline Ends make_pipe() {
  std::array<int, 2> ends{};
  EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
  return {ends[0], ends[1]};
}

inline Ends make_sockets(int type) {
  std::array<int, 2> ends{};
  EXPECT_EQ(::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()), 0);
  return {ends[0], ends[1]};
}

/// Of TCP, on loopback: the one kind that takes a part of a line.
inline Ends make_tcp() {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  EXPECT_EQ(::bind(listener, any, size), 0);
  EXPECT_EQ(::listen(listener, 1), 0);
  EXPECT_EQ(::getsockname(listener, any, &size), 0);
  const int writing = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  EXPECT_EQ(::connect(writing, any, size), 0);
  const int reading = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  ::close(listener);
  return {reading, writing};
}

inline Ends make_terminal() {
  const int master = ::posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
  EXPECT_EQ(::grantpt(master), 0);
  EXPECT_EQ(::unlockpt(master), 0);
  const int terminal = ::open(::ptsname(master), O_WRONLY | O_NOCTTY | O_CLOEXEC);
  EXPECT_GE(terminal, 0);
  return {master, terminal};
}

inline bool readable(int descriptor, int longest_ms) {
  pollfd ready{descriptor, POLLIN, 0};
  return ::poll(&ready, 1, longest_ms) == 1 && (ready.revents & POLLIN) != 0;
}

/// What has come by now; waits for nothing.
inline std::string take(int descriptor) {
  std::string text;
  std::array<char, 65536> buffer;
  while (readable(descriptor, 0)) {
    const ssize_t got = ::read(descriptor, buffer.data(), buffer.size());
    if (got <= 0) break;
    text.append(buffer.data(), static_cast<std::size_t>(got));
  }
  return text;
}

/// Until `bytes` have come, or 10 seconds are over.
inline std::string take(int descriptor, std::size_t bytes) {
  std::string text;
  while (text.size() < bytes && readable(descriptor, 10'000)) text += take(descriptor);
  return text;
}

inline std::vector<std::string> lines_of(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

/// The process must survive what a log meets (`open_log` sees to it in a real one).
class OutputTest : public testing::Test {
 protected:
  OutputTest() {
    ::signal(SIGPIPE, SIG_IGN);
    ::signal(SIGXFSZ, SIG_IGN);
  }
};

}  // namespace limpet::base::test

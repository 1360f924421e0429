// Noise for a supervisor's control socket (SOCK_SEQPACKET, which node cannot open).
//   noise PATH send HEX…      one connection per datagram; prints what came back until the end: `N bytes,
//   closed` noise PATH silent COUNT   that many connections that say nothing; prints `connected`, lives until
//   stdin ends
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace {

int connect_to(const char* path) {
  const int socket = ::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::strncpy(address.sun_path, path, sizeof address.sun_path - 1);
  if (::connect(socket, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    std::perror("connect");
    std::exit(1);
  }
  return socket;
}

std::string from_hex(std::string_view hex) {
  std::string bytes;
  for (std::size_t i = 0; i + 1 < hex.size(); i += 2) {
    bytes.push_back(static_cast<char>(std::strtoul(std::string(hex.substr(i, 2)).c_str(), nullptr, 16)));
  }
  return bytes;
}

void send_and_listen(const char* path, const std::string& datagram) {
  const int socket = connect_to(path);
  ::send(socket, datagram.data(), datagram.size(), MSG_NOSIGNAL);
  std::vector<char> answer(1 << 20);
  ssize_t total = 0;
  const char* end = "still open";
  for (pollfd ready = {socket, POLLIN, 0}; ::poll(&ready, 1, 5000) == 1;) {
    const ssize_t count = ::recv(socket, answer.data(), answer.size(), 0);
    if (count <= 0) {
      end = "closed";
      break;
    }
    total += count;
  }
  std::printf("%zd bytes, %s\n", total, end);
  ::close(socket);
}

void be_silent(const char* path, int count) {
  for (int i = 0; i < count; ++i) connect_to(path);
  std::puts("connected");
  std::fflush(stdout);
  for (char byte = 0; ::read(STDIN_FILENO, &byte, 1) > 0;) {
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 4) return 2;
  if (std::string_view(words[2]) == "silent") {
    be_silent(words[1], std::atoi(words[3]));
    return 0;
  }
  for (int i = 3; i < count; ++i) send_and_listen(words[1], from_hex(words[i]));
}

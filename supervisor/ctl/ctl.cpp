#include "supervisor/ctl/ctl.h"

#include <fmt/format.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <cstdio>
#include <cstring>
#include <optional>

#include "ipc/messages/ctl.h"
#include "supervisor/ctl/ctl_output.h"
#include "supervisor/system/runtime_dir.h"
#include "supervisor/system/system_check.h"

namespace limpet::supervisor {
namespace {

constexpr CtlVerb kVerbs[] = {
    {.name = "status",
     .help = "who serves: slots, workers, what goes on",
     .has_json = true,
     .request = [](const CtlCommand&) -> ipc::CtlRequest { return ipc::StatusRequest{}; }},
    {.name = "stats",
     .help = "counters, in total and by slot",
     .has_json = true,
     .request = [](const CtlCommand&) -> ipc::CtlRequest { return ipc::StatsRequest{}; }},
    {.name = "reload",
     .help = "read the configuration again, replace every worker, one slot at a time; waits for the verdict",
     .waits = true,
     .request = [](const CtlCommand&) -> ipc::CtlRequest { return ipc::ReloadRequest{}; }},
    {.name = "scale",
     .help = "have that many workers; their share of the sessions moves; waits for the verdict",
     .has_count = true,
     .waits = true,
     .request = [](const CtlCommand& command) -> ipc::CtlRequest {
       return ipc::ScaleRequest{command.count};
     }},
    {.name = "upgrade",
     .help = "become the limpet that lies on disk now, then replace every worker; waits for the verdict",
     .waits = true,
     .request = [](const CtlCommand&) -> ipc::CtlRequest { return ipc::UpgradeRequest{}; }},
    {.name = "stop",
     .help = "let every worker drain and leave; waits",
     .has_now = true,
     .waits = true,
     .request = [](const CtlCommand& command) -> ipc::CtlRequest { return ipc::StopRequest{command.now}; }},
};

using TimePoint = std::chrono::steady_clock::time_point;

/// How long a supervisor may say nothing at all. One that is asked for an operation: longer than the trial of
/// an upgrade may take (supervisor/upgrade/upgrade.cpp), before which it says nothing.
constexpr std::chrono::seconds kFirstAnswerDeadline{5};
constexpr std::chrono::seconds kFirstWordDeadline{15};

/// Through the directory that was looked at, which nobody can swap meanwhile.
std::optional<ipc::Channel> connect_in(const base::Descriptor& runtime_dir, const std::string& its_path) {
  if (!runtime_dir) return std::nullopt;
  const std::string path = control_path(runtime_dir);
  sockaddr_un address = {};
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  base::Descriptor socket(base::require(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0), "socket"));
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0)
    return ipc::Channel(std::move(socket));
  const int error = errno;
  require_proc();
  if (error == ENOENT || error == ECONNREFUSED) return std::nullopt;
  throw std::runtime_error(
      fmt::format("runtime directory {}: {}{}", its_path, std::strerror(error),
                  error == EACCES ? "; ask as the user of its supervisor, or as root" : ""));
}

/// From now on the supervisor carries out no order of ours that it has not read. False: it may have read it,
/// for it has answered the hello, which comes before.
bool withdraw(ipc::Channel* channel) {
  ::shutdown(channel->descriptor(), SHUT_RDWR);
  ipc::Datagram answer;
  return channel->receive(&answer) != ipc::ReceiveStatus::Message;
}

/// What it means that a supervisor, which answers every request at once, has not.
std::string silence_of(const ipc::Channel& channel) {
  ucred owner = {};
  socklen_t size = sizeof owner;
  ::getsockopt(channel.descriptor(), SOL_SOCKET, SO_PEERCRED, &owner, &size);
  return fmt::format("the supervisor (pid {}) does not answer: it may be stopped, or have no CPU", owner.pid);
}

/// Blocks until `socket` can be read; false if that is not before `until`.
bool wait_to_read(int socket, std::optional<TimePoint> until) {
  using std::chrono::milliseconds;
  for (;;) {
    milliseconds left{-1};
    if (until) {
      left = std::chrono::ceil<milliseconds>(*until - std::chrono::steady_clock::now());
      if (left.count() <= 0) return false;
    }
    pollfd wait{socket, POLLIN, 0};
    if (::poll(&wait, 1, static_cast<int>(std::min(left, milliseconds(INT_MAX)).count())) > 0) return true;
  }
}

/// Blocks until the supervisor has said something; nullopt when it is gone, or when `until` has come: then
/// `late` says what that means.
template <typename Late>
std::optional<ipc::CtlReply> next_reply(ipc::Channel* channel, std::optional<TimePoint> until,
                                        const Late& late, std::string* why) {
  *why = "the supervisor has closed the connection";
  for (;;) {
    ipc::Datagram datagram;
    switch (channel->receive(&datagram)) {
      case ipc::ReceiveStatus::Message:
        return ipc::decode_ctl_reply(datagram, why);
      case ipc::ReceiveStatus::Empty:
        break;
      default:
        return std::nullopt;
    }
    if (!wait_to_read(channel->descriptor(), until)) {
      *why = late();
      return std::nullopt;
    }
  }
}

/// The exit code, if this reply is the last.
std::optional<int> show(const ipc::CtlReply& reply, const CtlCommand& command) {
  if (const auto* status = std::get_if<ipc::StatusReply>(&reply)) {
    std::fputs((command.json ? status_json(*status) : status_table(*status)).c_str(), stdout);
    return kDone;
  }
  if (const auto* stats = std::get_if<ipc::StatsReply>(&reply)) {
    std::fputs((command.json ? stats_json(*stats) : stats_table(*stats)).c_str(), stdout);
    return kDone;
  }
  if (const auto* progress = std::get_if<ipc::Progress>(&reply)) std::printf("%s\n", progress->line.c_str());
  const auto* done = std::get_if<ipc::Done>(&reply);
  std::fflush(stdout);
  // The first line of an operation says that it was not refused.
  if (std::holds_alternative<ipc::Progress>(reply) && command.no_wait) return kDone;
  if (done == nullptr) return std::nullopt;
  std::fprintf(done->exit_code == 0 ? stdout : stderr, "%s\n", done->line.c_str());
  return done->exit_code;
}

}  // namespace

std::span<const CtlVerb> ctl_verbs() { return kVerbs; }

namespace {

int ask(const CtlCommand& command) {
  const std::string runtime_dir = command.runtime_dir.empty() ? default_runtime_dir() : command.runtime_dir;
  std::optional<ipc::Channel> channel;
  try {
    channel = connect_in(open_to_ask(runtime_dir, trust_of(command.runtime_dir)), runtime_dir);
  } catch (const std::exception& refusal) {
    std::fprintf(stderr, "limpet: %s\n", refusal.what());
    return kRefused;
  }
  if (!channel) {
    std::fprintf(stderr, "limpet: no supervisor runs in %s%s\n", runtime_dir.c_str(),
                 command.runtime_dir.empty() ? "; --runtime-dir DIR names another" : "");
    return kNotRunning;
  }
  // A refusal to take a request shows as the end of the replies.
  (void)channel->send(ipc::encode(ipc::CtlRequest(ipc::CtlHello{})));
  (void)channel->send(ipc::encode(command.verb->request(command)));
  const TimePoint asked_at = std::chrono::steady_clock::now();
  std::optional<TimePoint> until;
  if (command.timeout_s > 0) {
    until = asked_at +
            std::chrono::ceil<std::chrono::milliseconds>(std::chrono::duration<double>(command.timeout_s));
  }
  const std::string status = fmt::format("`{} status`", ctl_command(command.limpet, runtime_dir));
  std::string why;
  const TimePoint first = asked_at + (command.verb->waits ? kFirstWordDeadline : kFirstAnswerDeadline);
  const auto silence = [&] {
    const std::string words = silence_of(*channel);
    if (!command.verb->waits) return words;
    if (withdraw(&*channel)) return words + "; the order will not be carried out";
    return fmt::format("{}; the order may be carried out; {} shows it", words, status);
  };
  const auto still_under_way = [&] { return fmt::format("still under way; {} shows it", status); };
  auto reply = next_reply(&*channel, std::min(until.value_or(first), first), silence, &why);
  while (reply) {
    if (const auto code = show(*reply, command)) return *code;
    reply = next_reply(&*channel, until, still_under_way, &why);
  }
  std::fprintf(stderr, "limpet: %s: %s\n", std::string(command.verb->name).c_str(), why.c_str());
  return until && std::chrono::steady_clock::now() >= *until ? kTimedOut : kRefused;
}

}  // namespace

int run_ctl(const CtlCommand& command) {
  const int code = ask(command);
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return code;
  std::fprintf(stderr, "limpet: %s: the answer cannot be written: %s\n",
               std::string(command.verb->name).c_str(), std::strerror(errno));
  return code == kDone ? kRefused : code;
}

}  // namespace limpet::supervisor

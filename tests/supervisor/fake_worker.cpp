// A worker that speaks the contract of ipc/heritage.h and ipc/messages.h and nothing else, for tests of the
// supervisor. Argument: a file with one word, read at start, that says how it behaves:
//   good | exit | fail | hang-in-boot | die-after-ready | hang-when-ready | die-when-seated | die-taking |
//   hold | ignore-drain | second-hello | nonsense
// and, before it, optionally `slot N`: only in that slot, good elsewhere; after it, optionally `sessions N`:
// what one that succeeds nobody begins with. Answers each connection with one line: "slot S gen G pid P ms
// CLOCK". A session moves as one byte, and is taken when one byte has come back.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <string>

#include "ipc/channel.h"
#include "ipc/codec.h"
#include "ipc/counters.h"
#include "ipc/heritage.h"

namespace {

using namespace limpet::ipc;

Heritage heritage() {
  std::string why;
  const char* text = std::getenv(kHeritageVariable);
  const auto result = heritage_from_environment(text != nullptr ? text : "", &why);
  if (!result) std::exit(90);
  return *result;
}

std::int64_t clock_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

struct Behaviour {
  std::string word;
  std::uint64_t sessions = 0;
};

Behaviour behaviour(const char* file, std::uint16_t slot) {
  std::ifstream stream(file);
  Behaviour result;
  unsigned only = slot;
  stream >> result.word;
  if (result.word == "slot") stream >> only >> result.word;
  if (only != slot) result.word = "good";
  if (std::string word; stream >> word && word == "sessions") stream >> result.sessions;
  return result;
}

/// The byte that is one session, and the one that says that it was taken.
constexpr char kSession = 's';
constexpr char kTook = 'k';
/// How many sessions `die-taking` takes.
constexpr std::uint64_t kTakenBeforeDeath = 2;

class FakeWorker {
 public:
  FakeWorker(const Heritage& given, Behaviour behaviour)
      : given_(given),
        behaviour_(std::move(behaviour.word)),
        sessions_(behaviour.sessions),
        who_{given.slot, given.lane, given.generation},
        channel_(Descriptor(kControlChannel)),
        counters_(CounterBlock::create(who_)) {}

  int run() {
    if (behaviour_ == "exit") return 3;
    if (behaviour_ == "hang-in-boot") ::pause();
    say_hello();
    if (behaviour_ == "fail") {
      send(Failed{"no database"});
      return 4;
    }
    if (behaviour_ == "nonsense") (void)channel_.send(std::vector<std::byte>(24, std::byte{0xff}));
    while (!leaving_) turn();
    return exit_code_;
  }

 private:
  void send(const WorkerMessage& message) { (void)channel_.send(encode(message)); }

  void say_hello() {
    const Descriptor memory(::memfd_create("fake", MFD_CLOEXEC));
    const Descriptor doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    const int descriptors[] = {memory.get(), memory.get(), counters_.descriptor(), doorbell.get()};
    (void)channel_.send(encode(WorkerMessage(Hello{kProtocolVersion, "fake", who_})), descriptors);
    if (behaviour_ == "second-hello") {
      (void)channel_.send(encode(WorkerMessage(Hello{kProtocolVersion, "fake", who_})), descriptors);
    }
  }

  void turn() {
    counters_.beat(std::chrono::steady_clock::now());
    counters_.add(Counter::LoopTurns);
    counters_.set(Counter::SessionsOpen, sessions_);
    pollfd wait[3] = {{kControlChannel, POLLIN, 0},
                      {seated_ ? kFirstListener : -1, POLLIN, 0},
                      {stream_ ? stream_.get() : -1, POLLIN, 0}};
    (void)::poll(wait, 3, 10);
    if (wait[0].revents != 0) read_messages();
    if (wait[1].revents != 0) answer();
    if (wait[2].revents != 0) read_stream();
    if (deadline_ms_ && clock_ms() >= *deadline_ms_) drain();
  }

  /// The giver counts what was taken, the taker takes; both see the end of the other.
  void read_stream() {
    char byte = 0;
    const ssize_t got = ::read(stream_.get(), &byte, 1);
    if (got == -1 && errno == EAGAIN) return;
    if (got != 1) {
      stream_ = {};
      if (deadline_ms_) send(progress());
    } else if (byte == kTook) {
      --sessions_;
      ++moved_;
      if (sessions_ == 0) leave();
    } else {
      ++sessions_;
      (void)::send(stream_.get(), &kTook, 1, MSG_NOSIGNAL);
      if (behaviour_ == "die-taking" && sessions_ == kTakenBeforeDeath) {
        counters_.set(Counter::SessionsOpen, sessions_);
        ::_exit(6);
      }
    }
  }

  [[nodiscard]] DrainProgress progress() const { return {sessions_, moved_, drained_}; }
  void drain() {
    drained_ += std::exchange(sessions_, 0);
    leave();
  }
  void leave() {
    send(progress());
    send(Leaving{moved_, drained_});
    leaving_ = true;
  }

  void answer() {
    const Descriptor client(::accept4(kFirstListener, nullptr, nullptr, SOCK_CLOEXEC));
    if (!client) return;
    counters_.add(Counter::ConnectionsAccepted);
    const std::string line = "slot " + std::to_string(given_.slot) + " gen " +
                             std::to_string(given_.generation) + " pid " + std::to_string(::getpid()) +
                             " ms " + std::to_string(clock_ms()) + "\n";
    (void)::send(client.get(), line.data(), line.size(), MSG_NOSIGNAL);
  }

  void read_messages() {
    Datagram datagram;
    for (;;) {
      const ReceiveStatus status = channel_.receive(&datagram);
      if (status == ReceiveStatus::Empty) return;
      std::string why;
      const auto message = decode_supervisor_message(datagram, &why);
      if (status != ReceiveStatus::Message || !message) {
        leaving_ = true;  // an orphan
        return;
      }
      take(*message, datagram);
    }
  }

  void take(const SupervisorMessage& message, Datagram& datagram) {
    if (std::holds_alternative<Welcome>(message)) send(Ready{});
    if (std::holds_alternative<Welcome>(message) && behaviour_ == "die-after-ready") {
      leaving_ = true;
      exit_code_ = 5;
    }
    if (std::holds_alternative<Welcome>(message) && behaviour_ == "hang-when-ready") ::pause();
    if (std::holds_alternative<TakeSeat>(message)) seated_ = true;
    if (std::holds_alternative<TakeSeat>(message) && behaviour_ == "die-when-seated") ::_exit(7);
    if (std::holds_alternative<Succeed>(message)) {
      sessions_ = 0;
      stream_ = std::move(datagram.descriptors.front());
    }
    if (const auto* migrate = std::get_if<Migrate>(&message)) {
      seated_ = false;
      deadline_ms_ = clock_ms() + migrate->deadline.count();
      stream_ = std::move(datagram.descriptors.front());
      const std::string all(behaviour_ == "hold" ? 0 : sessions_, kSession);
      (void)::send(stream_.get(), all.data(), all.size(), MSG_NOSIGNAL);
      if (sessions_ == 0) leave();
    }
    if (std::holds_alternative<GiveUpSeat>(message)) seated_ = false;
    if (std::holds_alternative<Drain>(message) && behaviour_ != "ignore-drain") {
      drain();
    }
  }

  Heritage given_;
  std::string behaviour_;
  std::uint64_t sessions_;
  std::uint64_t moved_ = 0;
  std::uint64_t drained_ = 0;
  std::optional<std::int64_t> deadline_ms_;  ///< since a Migrate
  Descriptor stream_;
  Incarnation who_;
  Channel channel_;
  CounterBlock counters_;
  bool seated_ = false;
  bool leaving_ = false;
  int exit_code_ = 0;
};

}  // namespace

int main(int count, char** words) {
  if (count < 2) return 91;
  const Heritage given = heritage();
  return FakeWorker(given, behaviour(words[1], given.slot)).run();
}

// A worker that speaks the contract of ipc/birth/heritage.h and ipc/messages/control.h and nothing else, for
// tests of the supervisor. Argument: a file with one word, read at start, that says how it behaves:
//   good | exit | fail | hang-in-boot | die-after-ready | hang-when-ready | die-when-seated | die-taking |
//   hold | ignore-drain | second-hello | nonsense | another-build | another-protocol | older
// and, before it, optionally `slot N`: only in that slot, good elsewhere; after it, optionally `sessions N`:
// what one that succeeds nobody begins with, each in a bucket of its own that is its slot's. Answers each
// connection with one line: "slot S gen G pid P ms CLOCK". A session moves as its bucket, and is taken when
// it has come back.
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "ipc/birth/heritage.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/control.h"
#include "ipc/shared/bucket_table.h"
#include "ipc/shared/counters.h"

namespace {

using namespace limpet;
using namespace limpet::ipc;
using base::Descriptor;

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

/// How many sessions `die-taking` takes.
constexpr std::uint64_t kTakenBeforeDeath = 2;

class FakeWorker {
 public:
  FakeWorker(const Heritage& given, Behaviour behaviour)
      : given_(given),
        behaviour_(std::move(behaviour.word)),
        wanted_sessions_(behaviour.sessions),
        who_{given.slot, given.lane, given.generation},
        channel_(Descriptor(kControlChannel)),
        counters_(CounterBlock::create(who_)) {}

  int run() {
    if (behaviour_ == "exit") return 3;
    if (behaviour_ == "hang-in-boot") ::pause();
    begin_sessions();
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
    const std::uint32_t protocol = kProtocolVersion + (behaviour_ == "another-protocol" ? 1 : 0);
    const std::string build = behaviour_ == "another-build" ? "fake 2" : "fake";
    const std::uint32_t level = behaviour_ == "older" ? 0 : kLevel;
    (void)channel_.send(encode(WorkerMessage(Hello{protocol, build, who_, level})), descriptors);
    if (behaviour_ == "second-hello") {
      (void)channel_.send(encode(WorkerMessage(Hello{kProtocolVersion, "fake", who_})), descriptors);
    }
  }

  void turn() {
    counters_.beat(std::chrono::steady_clock::now());
    counters_.add(Counter::LoopTurns);
    counters_.set(Counter::SessionsOpen, sessions_.size());
    std::vector<pollfd> wait = {{kControlChannel, POLLIN, 0}};
    if (seated_ && given_.listeners > 0) wait.push_back({kFirstListener, POLLIN, 0});
    for (const auto& [slot, sockets] : borrowed_) wait.push_back({sockets.at(1).get(), POLLIN, 0});
    const std::size_t listeners = wait.size();
    for (const Stream& each : streams_) wait.push_back({each.socket.get(), POLLIN, 0});
    (void)::poll(wait.data(), wait.size(), 10);
    // First, and alone: a message may bring streams and listeners.
    if (wait[0].revents != 0) return read_messages();
    for (std::size_t index = listeners; index < wait.size(); ++index)
      if (wait[index].revents != 0) read_stream(streams_[index - listeners]);
    std::erase_if(streams_, [](const Stream& each) { return !each.socket; });
    for (std::size_t index = 1; index < listeners; ++index)
      if (wait[index].revents != 0) answer(wait[index].fd);
    if (deadline_ms_ && clock_ms() >= *deadline_ms_) drain();
  }

  /// The other end is a taker's or a giver's.
  struct Stream {
    Descriptor socket;
    std::optional<std::uint16_t> to_slot{};  ///< of a giver by MoveBuckets
    std::vector<std::uint16_t> given{};      ///< of a giver: not taken yet
    bool gives = false;
    std::uint64_t moved = 0;
  };

  void begin_sessions() {
    std::string why;
    const auto table = BucketTable::map(Descriptor(::dup(kClusterPage)), &why);
    for (std::uint16_t bucket = 0; bucket < kBuckets && sessions_.size() < wanted_sessions_; ++bucket)
      if (table->owner(bucket) == given_.slot) sessions_.push_back(bucket);
  }

  void give(Stream stream, std::vector<std::uint16_t> which) {
    stream.gives = true;
    stream.given = std::move(which);
    for (const std::uint16_t each : stream.given)
      (void)::send(stream.socket.get(), &each, sizeof each, MSG_NOSIGNAL);
    if (stream.given.empty()) return end_of_giving(stream);
    streams_.push_back(std::move(stream));
  }
  void end_of_giving(const Stream& stream) {
    if (stream.to_slot) return send(BucketsMoved{*stream.to_slot, stream.moved, 0});
    if (sessions_.empty()) leave();
  }

  /// The giver counts what was taken, the taker takes; both see the end of the other.
  void read_stream(Stream& stream) {
    std::uint16_t bucket = 0;
    const ssize_t got = ::read(stream.socket.get(), &bucket, sizeof bucket);
    if (got == -1 && errno == EAGAIN) return;
    if (got != sizeof bucket) {
      stream.socket = {};
      if (deadline_ms_) send(progress());
    } else if (stream.gives) {
      std::erase(sessions_, bucket);
      std::erase(stream.given, bucket);
      ++stream.moved;
      ++moved_;
      if (!stream.given.empty()) return;
      end_of_giving(stream);
      stream.socket = {};
    } else {
      sessions_.push_back(bucket);
      (void)::send(stream.socket.get(), &bucket, sizeof bucket, MSG_NOSIGNAL);
      if (behaviour_ == "die-taking" && sessions_.size() == kTakenBeforeDeath) {
        counters_.set(Counter::SessionsOpen, sessions_.size());
        ::_exit(6);
      }
    }
  }

  [[nodiscard]] DrainProgress progress() const { return {sessions_.size(), moved_, drained_}; }
  void drain() {
    drained_ += sessions_.size();
    sessions_.clear();
    leave();
  }
  void leave() {
    send(progress());
    send(Leaving{moved_, drained_});
    leaving_ = true;
  }

  void answer(int listener) {
    const Descriptor client(::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC));
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
    if (const auto* knows = std::get_if<Knows>(&message)) {
      std::fprintf(stderr, "told of level %u\n", static_cast<unsigned>(knows->level));
      if (behaviour_ == "older") ::_exit(9);  // it cannot know what this is
    }
    if (std::holds_alternative<TakeSeat>(message)) seated_ = true;
    if (std::holds_alternative<TakeSeat>(message) && behaviour_ == "die-when-seated") ::_exit(7);
    if (std::holds_alternative<Succeed>(message)) {
      sessions_.clear();
      streams_.push_back({.socket = std::move(datagram.descriptors.front())});
    }
    if (std::holds_alternative<ExpectSessions>(message))
      streams_.push_back({.socket = std::move(datagram.descriptors.front())});
    if (const auto* migrate = std::get_if<Migrate>(&message)) {
      seated_ = false;
      borrowed_.clear();
      deadline_ms_ = clock_ms() + migrate->deadline.count();
      if (behaviour_ != "hold") give({.socket = std::move(datagram.descriptors.front())}, sessions_);
    }
    if (const auto* move = std::get_if<MoveBuckets>(&message)) {
      std::string why;
      const auto table = BucketTable::map(Descriptor(::dup(kClusterPage)), &why);
      std::vector<std::uint16_t> which;
      for (const std::uint16_t each : sessions_)
        if (table->owner(each) == move->to_slot) which.push_back(each);
      if (behaviour_ != "hold")
        give({.socket = std::move(datagram.descriptors.front()), .to_slot = move->to_slot}, which);
    }
    if (const auto* borrow = std::get_if<BorrowSlot>(&message))
      borrowed_[borrow->slot] = std::move(datagram.descriptors);
    if (const auto* back = std::get_if<ReturnSlot>(&message)) borrowed_.erase(back->slot);
    if (std::holds_alternative<GiveUpSeat>(message)) seated_ = false;
    if (std::holds_alternative<Drain>(message) && behaviour_ != "ignore-drain") {
      drain();
    }
  }

  Heritage given_;
  std::string behaviour_;
  std::uint64_t wanted_sessions_;
  std::vector<std::uint16_t> sessions_;  ///< their buckets
  std::uint64_t moved_ = 0;
  std::uint64_t drained_ = 0;
  std::optional<std::int64_t> deadline_ms_;  ///< since a Migrate
  std::vector<Stream> streams_;
  std::map<std::uint16_t, std::vector<Descriptor>> borrowed_;  ///< inbox, then listening sockets
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

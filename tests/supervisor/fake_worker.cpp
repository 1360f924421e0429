// A worker that speaks the contract of ipc/heritage.h and ipc/messages.h and nothing else, for tests of the
// supervisor. Argument: a file with one word, read at start, that says how it behaves:
//   good | exit | fail | hang-in-boot | die-after-ready | ignore-drain | second-hello | nonsense
// and, before it, optionally `slot N`: only in that slot, good elsewhere. Answers each connection with one
// line: "slot S gen G pid P ms CLOCK".
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>
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

std::string behaviour(const char* file, std::uint16_t slot) {
  std::ifstream stream(file);
  std::string word;
  stream >> word;
  if (word != "slot") return word;
  unsigned only = 0;
  stream >> only >> word;
  return only == slot ? word : "good";
}

class FakeWorker {
 public:
  FakeWorker(const Heritage& given, std::string behaviour)
      : given_(given),
        behaviour_(std::move(behaviour)),
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
    pollfd wait[2] = {{kControlChannel, POLLIN, 0}, {seated_ ? kFirstListener : -1, POLLIN, 0}};
    (void)::poll(wait, 2, 10);
    if (wait[0].revents != 0) read_messages();
    if (wait[1].revents != 0) answer();
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
      take(*message);
    }
  }

  void take(const SupervisorMessage& message) {
    if (std::holds_alternative<Welcome>(message)) send(Ready{});
    if (std::holds_alternative<Welcome>(message) && behaviour_ == "die-after-ready") {
      leaving_ = true;
      exit_code_ = 5;
    }
    if (std::holds_alternative<TakeSeat>(message)) seated_ = true;
    if (std::holds_alternative<GiveUpSeat>(message)) seated_ = false;
    if (std::holds_alternative<Drain>(message) && behaviour_ != "ignore-drain") {
      send(DrainProgress{0});
      send(Leaving{});
      leaving_ = true;
    }
  }

  Heritage given_;
  std::string behaviour_;
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

// Workers without a process, for tests of what the supervisor does with them. What a worker is told can be
// read, and it can say something; its pid is its generation, negative: nothing reaches a process by it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "ipc/messages/control.h"
#include "ipc/shared/counters.h"
#include "supervisor/cluster/slots.h"

namespace limpet::supervisor {

/// Of no executable: a start of it fails.
inline SharedProgram program_of(const Options& options, const std::string& name = "/nowhere/app") {
  auto program = std::make_shared<Program>();
  program->options = options;
  program->file.name = name;
  program->file.resolved = name;
  return program;
}

/// Through the life-cycle table, by the shortest way.
inline void bring_to(Worker& worker, WorkerState state) {
  const std::map<WorkerState, WorkerEvent> next = {{WorkerState::Spawned, WorkerEvent::SaysHello},
                                                   {WorkerState::Attaching, WorkerEvent::SaysReady},
                                                   {WorkerState::Ready, WorkerEvent::IsSeated},
                                                   {WorkerState::Serving, WorkerEvent::IsToDrain},
                                                   {WorkerState::Draining, WorkerEvent::IsToStop}};
  while (worker.state() != state) worker.happen(next.at(worker.state()), "for a test");
}

class WorkersKit {
 public:
  explicit WorkersKit(Loop& loop) : loop_(loop) {}

  /// A new one, with the next generation (the first is 1), in that slot.
  Worker& add(const Slots& slots, std::uint16_t slot, const SharedProgram& program,
              WorkerState state = WorkerState::Serving, std::optional<ipc::Child> child = std::nullopt) {
    const ipc::Incarnation who{slot, static_cast<std::uint16_t>(generation_), ++generation_};
    auto [ours, theirs] = ipc::Channel::pair();
    peers_.emplace(who.generation, ipc::Channel(std::move(theirs)));
    if (!child) child.emplace(-static_cast<pid_t>(who.generation), base::Descriptor());
    auto worker = std::make_unique<Worker>(loop_, who, program, *std::move(child), std::move(ours));
    worker->level = ipc::kLevel;
    worker->build = "test";
    bring_to(*worker, state);
    const ipc::CounterBlock& counters =
        counters_.emplace(who.generation, ipc::CounterBlock::create(who)).first->second;
    std::string why;
    worker->counters = ipc::CounterView::map(base::Descriptor(::dup(counters.descriptor())), who, &why);
    EXPECT_TRUE(worker->counters) << why;
    slots.at(slot).workers.push_back(std::move(worker));
    return *slots.at(slot).workers.back();
  }

  /// The names of the messages that it has been told since the last call, with the number of descriptors.
  std::vector<std::string> told(const Worker& worker) {
    std::vector<std::string> result;
    ipc::Datagram datagram;
    while (peers_.at(worker.who().generation).receive(&datagram) == ipc::ReceiveStatus::Message) {
      std::string why;
      const auto message = ipc::decode_supervisor_message(datagram, &why);
      EXPECT_TRUE(message) << why;
      if (message) result.push_back(name_of(*message, datagram.descriptors.size()));
    }
    return result;
  }
  void say(const Worker& worker, const ipc::WorkerMessage& message, std::vector<int> descriptors = {}) {
    EXPECT_EQ(peers_.at(worker.who().generation).send(ipc::encode(message), descriptors),
              ipc::SendStatus::Sent);
  }
  /// Readable when it has been told something.
  [[nodiscard]] int descriptor(const Worker& worker) const {
    return peers_.at(worker.who().generation).descriptor();
  }
  void close_channel(const Worker& worker) { peers_.erase(worker.who().generation); }
  ipc::CounterBlock& counters(const Worker& worker) { return counters_.at(worker.who().generation); }

 private:
  static std::string name_of(const ipc::SupervisorMessage& message, std::size_t descriptors) {
    struct Name {
      std::string operator()(const ipc::Welcome&) const { return "welcome"; }
      std::string operator()(const ipc::PeerJoined& peer) const {
        return "peer joined " + std::to_string(peer.who.generation);
      }
      std::string operator()(const ipc::PeerLeft& peer) const {
        return "peer left " + std::to_string(peer.who.generation);
      }
      std::string operator()(const ipc::TakeSeat&) const { return "take seat"; }
      std::string operator()(const ipc::GiveUpSeat&) const { return "give up seat"; }
      std::string operator()(const ipc::Drain&) const { return "drain"; }
      std::string operator()(const ipc::Succeed&) const { return "succeed"; }
      std::string operator()(const ipc::Migrate&) const { return "migrate"; }
      std::string operator()(const ipc::ExpectSessions& from) const {
        return "expect sessions of " + std::to_string(from.from_slot);
      }
      std::string operator()(const ipc::MoveBuckets& move) const {
        return "move buckets to " + std::to_string(move.to_slot);
      }
      std::string operator()(const ipc::BorrowSlot& borrow) const {
        return "borrow slot " + std::to_string(borrow.slot);
      }
      std::string operator()(const ipc::ReturnSlot& lent) const {
        return "return slot " + std::to_string(lent.slot);
      }
      std::string operator()(const ipc::Knows&) const { return "knows"; }
      std::string operator()(const ipc::GoOn&) const { return "go on"; }
      std::string operator()(const ipc::Leave&) const { return "leave"; }
    };
    const std::string name = std::visit(Name{}, message);
    return descriptors == 0 ? name : name + " +" + std::to_string(descriptors);
  }

  Loop& loop_;
  std::uint64_t generation_ = 0;
  std::map<std::uint64_t, ipc::Channel> peers_;
  std::map<std::uint64_t, ipc::CounterBlock> counters_;
};

}  // namespace limpet::supervisor

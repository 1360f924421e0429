// A cluster without processes, for tests of operations: it does each step to its own workers
// (tests/supervisor/cluster/workers_kit.h), writes it down, and reports as the real one does. What its
// workers say and how they end is the test's.
#pragma once

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "base/check.h"
#include "supervisor/cluster/steps.h"
#include "supervisor/operations/operation.h"
#include "supervisor/system/loop.h"
#include "tests/supervisor/cluster/workers_kit.h"

namespace limpet::supervisor {

class FakeCluster final : public ClusterSteps {
 public:
  /// Of that many slots, in each of which a worker serves; of slot n it has generation n + 1.
  explicit FakeCluster(std::uint16_t open, const Options& options = {})
      : old_program(program_of(options, "/old/app")), slots_(loop, open), program_(old_program) {
    for (std::uint16_t slot = 0; slot < open; ++slot) (void)add(slot);
  }

  Worker& add(std::uint16_t slot, WorkerState state = WorkerState::Serving) {
    return kit.add(slots_, slot, program_, state);
  }
  std::uint16_t add_bridge() { return slots_.add_bridge(old_program).number; }
  /// Whoever has that generation.
  Worker& worker(std::uint64_t generation) {
    Worker* found = nullptr;
    slots_.each_worker([&](Worker& each) {
      if (each.who().generation == generation) found = &each;
    });
    CHECK(found != nullptr, "a test names a worker that is not there");
    return *found;
  }

  // ---- what happens to workers, and is reported ----
  void becomes_ready(std::uint64_t generation) {
    Worker& ready = worker(generation);
    bring_to(ready, WorkerState::Ready);
    if (!operation->on_ready(ready)) seat(ready);
  }
  void says_progress(std::uint64_t generation, const ipc::DrainProgress& progress) {
    worker(generation).progress = progress;
    operation->on_progress(worker(generation));
  }
  void has_moved(std::uint64_t generation, const ipc::BucketsMoved& moved) {
    operation->on_buckets_moved(worker(generation), moved);
  }
  void dies(std::uint64_t generation, Cause cause, std::uint64_t sessions_inside = 0) {
    Worker& dying = worker(generation);
    if (dying.counters) kit.counters(dying).set(ipc::Counter::SessionsOpen, sessions_inside);
    const std::unique_ptr<Worker> dead = slots_.take_out(dying);
    dead->happen(WorkerEvent::HasEnded, "for a test");
    slots_.remove_closed();
    if (operation != nullptr) operation->on_gone(*dead, cause, "gen " + std::to_string(generation) + " died");
  }

  // ---- steps ----
  [[nodiscard]] bool has_free_lane() const noexcept override { return lanes_are_free; }
  Worker* start_worker(std::uint16_t slot, const SharedProgram& program, std::string* why) override {
    steps.push_back("start in slot " + std::to_string(slot) + " " + program->file.name);
    if (!cannot_start_because.empty()) {
      *why = cannot_start_because;
      return nullptr;
    }
    return &kit.add(slots_, slot, program, WorkerState::Spawned);
  }
  void seat(Worker& worker) override {
    steps.push_back("seat gen " + std::to_string(worker.who().generation));
    Worker* const predecessor = slots_.tenant(worker.who().slot);
    worker.happen(WorkerEvent::IsSeated, "for a test");
    if (predecessor != nullptr) predecessor->happen(WorkerEvent::IsToDrain, "for a test");
    operation->on_seated(worker);
    if (stops_the_loop_at_a_seat) loop.stop();
  }
  void drain(Worker& worker, std::string_view why) override {
    steps.push_back("drain gen " + std::to_string(worker.who().generation) + ": " + std::string(why));
    worker.happen(WorkerEvent::IsToDrain, why);
  }
  void put_down(Worker& worker, Ending, Cause cause, std::string why) override {
    steps.push_back("end gen " + std::to_string(worker.who().generation) + ": " + why);
    EXPECT_EQ(cause, Cause::Left);
    worker.happen(WorkerEvent::IsToStop, why);
  }
  void adopt(SharedProgram program) override {
    steps.push_back("adopt " + program->file.name);
    program_ = std::move(program);
  }
  void open_slots(std::uint16_t slots) override {
    steps.push_back("open " + std::to_string(slots));
    slots_.grow(slots);
    for (std::uint16_t slot = slots_.open(); slot < slots; ++slot) (void)add(slot, WorkerState::Spawned);
  }
  void close_slots(std::uint16_t slots) override {
    steps.push_back("close " + std::to_string(slots));
    slots_.close_from(slots);
  }
  /// As if every slot whose buckets change gave some to each that gets some.
  std::map<SlotPair, bool> deal_buckets(std::uint16_t slots) override {
    steps.push_back("deal to " + std::to_string(slots));
    const std::uint16_t before = slots_.open();
    slots_.set_open(slots);
    std::map<SlotPair, bool> pairs;
    const bool up = slots > before;
    for (std::uint16_t from = up ? 0 : slots; from < before; ++from) {
      for (std::uint16_t to = up ? before : 0; to < slots; ++to)
        pairs[{from, to}] = slots_.tenant(from) != nullptr && slots_.tenant(to) != nullptr;
    }
    return pairs;
  }
  bool move_buckets(std::uint16_t from, std::uint16_t to) override {
    steps.push_back("move " + std::to_string(from) + " -> " + std::to_string(to));
    return true;
  }
  [[nodiscard]] const Slots& slots() const noexcept override { return slots_; }
  [[nodiscard]] std::uint16_t capacity() const noexcept override { return 8; }
  [[nodiscard]] std::uint16_t listener_count() const noexcept override { return listeners; }
  [[nodiscard]] const Program& program() const noexcept override { return *program_; }

  Loop loop;  ///< can run once
  WorkersKit kit{loop};
  const SharedProgram old_program;
  Operation* operation = nullptr;  ///< null: nobody hears
  std::vector<std::string> steps;
  std::string cannot_start_because;
  bool lanes_are_free = true;
  std::uint16_t listeners = 1;
  bool stops_the_loop_at_a_seat = false;

 private:
  Slots slots_;
  SharedProgram program_;
};

/// What an operation says, and how it ends.
struct Report {
  [[nodiscard]] Operation::Say say() {
    return [this](const std::string& line) { lines.push_back(line); };
  }
  /// Stops the loop too.
  [[nodiscard]] Operation::Done done(Loop& loop) {
    return [this, &loop](bool succeeded, const std::string& line) {
      ends.push_back((succeeded ? "good: " : "bad: ") + line);
      loop.stop();
    };
  }

  std::vector<std::string> lines;
  std::vector<std::string> ends;
};

}  // namespace limpet::supervisor

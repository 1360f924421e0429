// A tenancy without slot, listening sockets and clients, of real processes: born, replaced, watched, buried.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "supervisor/cluster/cluster.h"
#include "tests/supervisor/running_server.h"

namespace limpet::supervisor {
namespace {

using namespace std::chrono_literals;

/// A cluster of one worker, and what a test does at its events: once run() has begun, each is waited for, the
/// others may come between. The first worker is of generation 1, the next one that is started of 2, and so
/// on.
class Scene : private ClusterEvents {
 public:
  explicit Scene(const std::string& executable) : executable_(executable) {}

  using Act = std::function<void()>;
  /// `look`: in the middle of the event, when nothing may be changed.
  Scene& at(std::string event, Act act, Act look = {}) {
    awaited_.push_back({std::move(event), std::move(act), std::move(look)});
    return *this;
  }
  /// Ends with the last event.
  void run() {
    watchdog_.start(30s, [this] {
      ADD_FAILURE() << "waited for " << awaited_.at(heard_to_).event << "; heard "
                    << testing::PrintToString(heard);
      loop_.stop();
    });
    cluster.start_all();
    loop_.run();
  }

  /// Another one at each call, of the scene's executable or that one.
  SharedProgram make_program(const std::string& executable = "") {
    const std::string behaviour = directory_.path() + "/behaviour";
    std::ofstream(behaviour) << "good";
    CommandLine command_line;
    command_line.application = {executable.empty() ? executable_ : executable, behaviour};
    LoadedOptions loaded = load_options(command_line);
    EXPECT_THAT(loaded.mistakes, testing::IsEmpty());
    loaded.options.heartbeat_interval = 300ms;
    loaded.options.drain_window = 100ms;
    return std::make_shared<Program>(
        supervisor::make_program(loaded.options, {"tcp://127.0.0.1:0"}, 1, start_place(nullptr)));
  }
  /// Of the workers in that seat, the oldest first.
  std::vector<std::uint64_t> generations(std::uint16_t seat) const {
    std::vector<std::uint64_t> result;
    if (const Slot* const slot = cluster.slots().find(seat))
      for (const auto& worker : slot->workers) result.push_back(worker->who().generation);
    return result;
  }

 private:
  static ListenAddress loopback() {
    std::string why;
    return {.address = base::parse_address("tcp://127.0.0.1:0", &why).value()};
  }

  TemporaryDirectory directory_;
  std::string executable_;
  Loop loop_;

 public:
  Cluster cluster{loop_, *this,         Listeners{{loopback()}, 1, 0ms, 1}, {.slots = 1, .capacity = 1},
                  {},    make_program()};
  std::vector<std::string> heard;

 private:
  void hear(const std::string& event) {
    heard.push_back(event);
    if (heard_to_ == awaited_.size() || awaited_[heard_to_].event != event) return;
    if (const Act& look = awaited_[heard_to_++].look) look();
    if (!next_.running()) next_.start(0ms, [this] { act(); });
  }
  /// In a turn of its own: see ClusterEvents. More may have been heard by then.
  void act() {
    while (at_ < heard_to_) awaited_[at_++].act();
    if (at_ == awaited_.size()) loop_.stop();
  }
  static std::string number(const Worker& worker) { return std::to_string(worker.who().generation); }
  bool on_ready(Worker&) override { return false; }
  void on_seated(const Worker& worker) override { hear("seated " + number(worker)); }
  void on_progress(const Worker&) override {}
  void on_buckets_moved(const Worker&, const ipc::BucketsMoved&) override {}
  void on_gone(const Worker& worker, Cause cause, const std::string&) override {
    hear("gone " + number(worker) +
         (cause == Cause::Left   ? " left"
          : cause == Cause::Hung ? " hung"
                                 : " died"));
  }
  void on_signalled(const Worker& worker) override { hear("signalled " + number(worker)); }
  void on_held(const std::string&) override {}
  void on_all_seated() override {}
  void on_empty() override { hear("empty"); }

  struct Awaited {
    std::string event;
    Act act;
    Act look;
  };
  std::vector<Awaited> awaited_;
  std::size_t heard_to_ = 0;  ///< of awaited_
  std::size_t at_ = 0;        ///< that were acted on
  Timer next_{loop_};
  Timer watchdog_{loop_};
};

std::string beside_this_test(const std::string& name) {
  return (std::filesystem::read_symlink("/proc/self/exe").parent_path() / name).string();
}

/// The fake worker speaks the contract alone; a chat server has everything that a bridge has no use for.
class ABridge : public testing::TestWithParam<std::string> {
 protected:
  Scene scene{beside_this_test(GetParam())};
  Cluster& cluster = scene.cluster;
  std::uint16_t seat = 0;

  Worker& tenant() const { return *cluster.slots().tenant(seat); }
};
INSTANTIATE_TEST_SUITE_P(Of, ABridge, testing::Values("fake_worker", "chat"),
                         [](const auto& of) { return of.param; });

TEST_P(ABridge, is_born_replaced_watched_and_buried) {
  SharedProgram second;
  scene
      .at("seated 1",
          [&] {
            seat = cluster.open_bridge(scene.make_program());
            EXPECT_TRUE(ipc::is_bridge(seat));
          })
      .at("seated 2",
          [&] {
            EXPECT_THAT(tenant().name(), testing::StartsWith("bridge 0 gen 2 pid "));
            EXPECT_EQ(cluster.slots().statuses().size(), 1U) << "no slot of its own";
            EXPECT_EQ(cluster.stats().counters.front().by_slot.size(), 1U);
            EXPECT_THAT(cluster.obstacle_to_exec(), testing::HasSubstr("bridge"));
            second = scene.make_program();
            EXPECT_EQ(cluster.replace_bridge(seat, second), "");
          })
      .at(
          "seated 3", [] {},
          [&] {
            // Three of three lanes.
            EXPECT_THAT(scene.generations(seat), testing::ElementsAre(2, 3));
            EXPECT_FALSE(cluster.has_free_lane());
            EXPECT_EQ(cluster.replace_bridge(seat, second), "every lane is taken");
            EXPECT_EQ(tenant().program, second);
          })
      .at("gone 2 left",
          [&] {
            EXPECT_THAT(scene.generations(seat), testing::ElementsAre(3));
            EXPECT_EQ(tenant().program, second);
            ::kill(tenant().pid(), SIGSTOP);
          })
      .at("gone 3 hung", [] {})
      .at("seated 4",
          [&] {
            EXPECT_EQ(tenant().program, second) << "who follows is of the program of the one before";
            ::kill(tenant().pid(), SIGKILL);
          })
      .at("gone 4 died", [] {})
      .at("seated 5", [&] { cluster.close_bridge(seat); })
      .at("gone 5 left",
          [&] {
            EXPECT_EQ(cluster.slots().find(seat), nullptr);
            EXPECT_EQ(cluster.replace_bridge(seat, second), "bridge 0 closes");
            EXPECT_EQ(cluster.obstacle_to_exec(), "");
            EXPECT_THAT(scene.generations(0), testing::ElementsAre(1)) << "the slot's worker did not notice";
            cluster.stop(false);
          })
      .at("empty", [] {})
      .run();
}

TEST_P(ABridge, that_cannot_be_replaced_stays) {
  scene.at("seated 1", [&] { seat = cluster.open_bridge(scene.make_program()); })
      .at("seated 2", [&] { EXPECT_EQ(cluster.replace_bridge(seat, scene.make_program("/bin/false")), ""); })
      .at("gone 3 died",
          [&] {
            EXPECT_THAT(scene.generations(seat), testing::ElementsAre(2));
            ::kill(tenant().pid(), SIGKILL);
          })
      .at("gone 2 died", [] {})
      .at("seated 4",
          [&] {
            EXPECT_EQ(base::file_behind("/proc/" + std::to_string(tenant().pid()) + "/exe"),
                      base::file_behind(beside_this_test(GetParam())));
            cluster.stop(true);
          })
      .at("empty", [] {})
      .run();
}

TEST_P(ABridge, that_closes_while_it_waits_for_its_next_start_is_gone_at_once) {
  scene.at("seated 1", [&] { seat = cluster.open_bridge(scene.make_program("/bin/false")); })
      .at("gone 2 died",
          [&] {
            EXPECT_TRUE(cluster.slots().at(seat).respawn.running());
            cluster.close_bridge(seat);
            EXPECT_EQ(cluster.slots().find(seat), nullptr);
            // The next one has its number, and nothing of its past.
            EXPECT_EQ(cluster.open_bridge(scene.make_program()), seat);
          })
      .at("seated 3", [&] { cluster.stop(true); })
      .at("empty", [] {})
      .run();
}

TEST(TwoBridges, are_ended_with_the_cluster) {
  Scene scene(beside_this_test("fake_worker"));
  scene.at("seated 1", [&] { (void)scene.cluster.open_bridge(scene.make_program()); })
      .at("seated 2",
          [&] { EXPECT_EQ(scene.cluster.open_bridge(scene.make_program()), base::kFirstBridge + 1); })
      .at("seated 3", [&] { scene.cluster.stop(false); })
      .at("empty", [] {})
      .run();
}

/// The fake worker knows no signal.
TEST(ABridgeThatGetsASigterm, is_replaced_like_any_worker) {
  Scene scene(beside_this_test("chat"));
  std::uint16_t seat = 0;
  scene.at("seated 1", [&] { seat = scene.cluster.open_bridge(scene.make_program()); })
      .at("seated 2", [&] { ::kill(scene.cluster.slots().tenant(seat)->pid(), SIGTERM); })
      .at("signalled 2",
          [&] {
            // As the supervisor does, a moment later.
            EXPECT_THAT(scene.cluster.slots().bridges_of({1, 2}),
                        testing::ElementsAre(&scene.cluster.slots().at(seat)));
            EXPECT_EQ(scene.cluster.replace_bridge(seat, scene.cluster.slots().at(seat).program), "");
          })
      .at("seated 3", [] {})
      .at("gone 2 left", [&] { scene.cluster.stop(false); })
      .at("empty", [] {})
      .run();
}

}  // namespace
}  // namespace limpet::supervisor

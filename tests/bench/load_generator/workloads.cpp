#include "tests/bench/load_generator/workloads.h"

#include <stdexcept>
#include <string>
#include <vector>

#include "tests/bench/traffic.h"

namespace limpet::bench {
namespace {

/// How long a workload looks for messages too many after its end.
constexpr std::chrono::milliseconds kAftermath{50};
/// The meter is asked once in so many turns; asking costs the load generator system calls.
constexpr unsigned kTurnsPerQuestion = 16;

class Broadcast : public Workload {
 public:
  Broadcast(Crowd& crowd, unsigned queued)
      : crowd_(crowd), queued_(queued), packet_(broadcast_packet()), received_(crowd.size()) {
    for (unsigned at = 0; at < queued; ++at) append_client_frame(frames_, packet_);
  }

  void round(std::size_t sender) {
    due_ += queued_;
    const std::uint64_t total_due = due_ * crowd_.size();
    crowd_[sender].send(frames_);
    while (total_ < total_due) crowd_.turn(*this);
  }

  void on_packet(Client& client, std::string_view packet) override {
    if (packet != packet_) throw std::runtime_error("broadcast: wrong packet: " + std::string(packet));
    // With this, a total that is due means that each client has received exactly its share.
    if (++received_[client.number()] > due_) throw std::runtime_error("broadcast: a message too many");
    ++total_;
  }

  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  Crowd& crowd_;
  unsigned queued_;
  std::string packet_;
  std::string frames_;
  std::vector<std::uint64_t> received_;  ///< by client
  std::uint64_t due_ = 0;                ///< messages each client must have received
  std::uint64_t total_ = 0;
};

class Echo : public Workload {
 public:
  Echo(Crowd& crowd, unsigned in_flight)
      : crowd_(crowd), in_flight_(in_flight), suffix_(ack_suffix()), acknowledged_(crowd.size()) {}

  void start() {
    for (std::size_t at = 0; at < crowd_.size(); ++at) send_batch(crowd_[at]);
  }
  /// From now on nobody sends again.
  void stop() noexcept { stopping_ = true; }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }
  [[nodiscard]] bool all_answered() const noexcept { return total_ == sent_; }

  void on_packet(Client& client, std::string_view packet) override {
    const std::uint64_t id = acknowledged_[client.number()]++;
    check(packet, id);
    ++total_;
    if ((id + 1) % in_flight_ == 0 && !stopping_) send_batch(client);
  }

 private:
  void send_batch(Client& client) {
    frames_.clear();
    const std::uint64_t first = acknowledged_[client.number()];
    for (unsigned at = 0; at < in_flight_; ++at) append_client_frame(frames_, echo_packet(first + at));
    sent_ += in_flight_;
    client.send(frames_);
  }

  void check(std::string_view packet, std::uint64_t id) {
    expected_.assign(kAckPrefix).append(std::to_string(id)).append(suffix_);
    if (packet != expected_) throw std::runtime_error("echo: wrong packet: " + std::string(packet));
  }

  Crowd& crowd_;
  unsigned in_flight_;
  std::string suffix_;
  std::string frames_;
  std::string expected_;
  std::vector<std::uint64_t> acknowledged_;  ///< by client; also its next id
  std::uint64_t sent_ = 0;
  std::uint64_t total_ = 0;
  bool stopping_ = false;
};

class Visits : public Workload {
 public:
  explicit Visits(Crowd& crowd) : crowd_(crowd) {}

  void start() {
    for (std::size_t at = 0; at < crowd_.size(); ++at) crowd_.connect(at);
  }
  void on_joined(Client& client) override { client.leave(); }
  void on_packet(Client&, std::string_view) override {
    throw std::runtime_error("connect: a packet nobody asked for");
  }
  void on_left(Client& client) override {
    ++total_;
    crowd_.connect(client.number());
  }
  [[nodiscard]] std::uint64_t total() const noexcept { return total_; }

 private:
  Crowd& crowd_;
  std::uint64_t total_ = 0;
};

class Silence : public Workload {
 public:
  void on_packet(Client&, std::string_view) override {
    throw std::runtime_error("idle: a packet nobody asked for");
  }
};

template <typename Flow>
void run_closed_loop(Crowd& crowd, Flow& flow, Meter& meter) {
  flow.start();
  while (meter.goes_on(flow.total())) {
    for (unsigned turn = 0; turn < kTurnsPerQuestion; ++turn) crowd.turn(flow);
  }
}

}  // namespace

Figure measure_broadcast(Crowd& crowd, unsigned queued, Meter& meter) {
  Broadcast broadcast(crowd, queued);
  for (std::size_t sender = 0; meter.goes_on(broadcast.total()); ++sender) {
    broadcast.round(sender % crowd.size());
  }
  crowd.turn_for(broadcast, kAftermath);
  return meter.figure();
}

Figure measure_echo(Crowd& crowd, unsigned in_flight, Meter& meter) {
  Echo echo(crowd, in_flight);
  run_closed_loop(crowd, echo, meter);
  echo.stop();
  while (!echo.all_answered()) crowd.turn(echo);
  crowd.turn_for(echo, kAftermath);
  return meter.figure();
}

Figure measure_connect(Crowd& crowd, Meter& meter) {
  Visits visits(crowd);
  run_closed_loop(crowd, visits, meter);
  return meter.figure();
}

MemoryGrowth measure_idle(Crowd& crowd, const ServerTree& tree) {
  MemoryGrowth growth;
  growth.before_bytes = tree.pss_bytes();
  crowd.connect_all();
  Silence silence;
  crowd.turn_for(silence, kAftermath);
  growth.after_bytes = tree.pss_bytes();
  return growth;
}

}  // namespace limpet::bench

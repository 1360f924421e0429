// A worker as the tenant of a slot: does what the supervisor says, tells it how far it is, and knows what to
// do when nobody answers. An application that runs alone has none.
//
// What the supervisor may say, and in which state of the worker it counts, is one table (tenancy.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ipc/birth/heritage.h"
#include "ipc/messages/control.h"
#include "worker/application/application.h"
#include "worker/migration/migration.h"
#include "worker/process/peers.h"
#include "worker/process/shutdown.h"
#include "worker/slot/supervisor_link.h"

namespace limpet::process {

/// A worker that nobody can ask any more, or that gets no answer, drains in its own time.
inline constexpr std::chrono::milliseconds kOwnDrainWindow{2000};
inline constexpr std::chrono::milliseconds kOwnDrainDeadline{5000};

class Tenancy {
 public:
  /// The parts of the worker that it has to do with; borrowed for life. Sockets of `application`
  /// that have moved are reached through this object: set_elsewhere(nullptr) before it ends.
  struct Parts {
    boost::asio::io_context& context;
    const loop::Clock& clock;
    ipc::CounterBlock& counters;
    client::Acceptor& acceptor;
    client::Clients& clients;
    engineio::Server& engine;
    application::Application& application;
    slot::Router& router;
    slot::Front& front;
    Peers& peers;
    Shutdown& shutdown;
  };
  struct Callbacks {
    /// The application's setup. "" or why it failed.
    std::function<std::string()> set_up;
    /// The process ends with that exit code, after this turn.
    std::function<void(int code)> end;
  };

  /// `channel`: to the supervisor.
  Tenancy(const ipc::Incarnation& who, base::Descriptor channel, const Parts& parts, Callbacks callbacks);
  Tenancy(const Tenancy&) = delete;
  Tenancy& operator=(const Tenancy&) = delete;

  /// Once, when signals are heard: the supervisor answers with what there is to do.
  void say_hello();
  /// False: this process has to act on it itself.
  bool take_signal(int signal);

  /// Before the wait of a turn: sends what there is to say, hears what requests wait for.
  void before_wait();
  /// Once per turn, after the rings.
  void turn(loop::Allowance& allowance);
  /// Before new connections are accepted: answers that are due, descriptors to keep.
  void check();
  [[nodiscard]] bool has_work() const noexcept { return migration_.busy(); }
  [[nodiscard]] loop::TimePoint next_deadline() const;
  /// Of a worker that has ended with its clients.
  void say_leaving();

 private:
  enum class State : std::uint8_t { Booting, Serving, Leaving };
  template <class Message>
  struct Row;
  struct Messages;
  using Descriptors = std::vector<base::Descriptor>;

  [[nodiscard]] State state() const noexcept;
  void on_message(const ipc::SupervisorMessage& message, Descriptors descriptors);
  template <class Message>
  void take(const Message& message, Descriptors descriptors);

  void take_welcome(const ipc::Welcome& welcome, Descriptors);
  void take_level(const ipc::Knows& knows, Descriptors);
  void take_answer(const ipc::GoOn&, Descriptors);
  void take_end(const ipc::Leave&, Descriptors);
  void take_peer(const ipc::PeerJoined& joined, Descriptors descriptors);
  void forget_peer(const ipc::PeerLeft& left, Descriptors);
  void take_seat(const ipc::TakeSeat&, Descriptors);
  void give_up_seat(const ipc::GiveUpSeat&, Descriptors);
  void drain(const ipc::Drain& order, Descriptors);
  void succeed(const ipc::Succeed&, Descriptors descriptors);
  void migrate(const ipc::Migrate& order, Descriptors descriptors);
  void expect_sessions(const ipc::ExpectSessions&, Descriptors descriptors);
  void move_buckets(const ipc::MoveBuckets& order, Descriptors descriptors);
  void borrow_slot(const ipc::BorrowSlot& order, Descriptors descriptors);
  void return_slot(const ipc::ReturnSlot& order, Descriptors);

  void on_descriptors_lost(const ipc::SupervisorMessage& message);
  void on_supervisor_lost();
  void fail(const std::string& why);
  void end(int code);
  void ask_to_be_replaced();
  void tell_signalled();
  void drain_in_own_time();
  void keep_descriptors_for_sessions();

  ipc::Incarnation who_;
  Parts parts_;
  Callbacks callbacks_;
  migration::Migration migration_;
  slot::SupervisorLink link_;
  std::uint32_t supervisor_level_ = 0;  ///< nothing of a higher one is sent to it (ipc/messages/version.h)
  bool is_set_up_ = false;
  bool ended_ = false;  ///< whatever comes now is of no effect
  bool supervisor_lost_ = false;
  bool expects_parent_death_signal_ = false;
  loop::TimePoint answer_due_ = loop::TimePoint::max();  ///< of the supervisor, to one that was sent SIGTERM
  /// Sessions that this slot had when this worker took its seat from another; nullopt: it has not.
  std::optional<std::uint64_t> expected_sessions_;
};

}  // namespace limpet::process

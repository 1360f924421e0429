// The worker's end of its control channel. Sends WorkerMessages, hands SupervisorMessages to its owner, and
// says when the supervisor is gone. A message that cannot be decoded is the supervisor's mistake: logged,
// dropped. Its descriptors come out of the reserve (base/descriptor_limit.h).
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "base/log_gate.h"
#include "ipc/messages/channel.h"
#include "ipc/messages/control.h"
#include "worker/loop/watch.h"

namespace limpet::slot {

class SupervisorLink {
 public:
  using OnMessage =
      std::function<void(ipc::SupervisorMessage message, std::vector<base::Descriptor> descriptors)>;

  using OnDescriptorsLost = std::function<void(const ipc::SupervisorMessage& message)>;

  /// `on_descriptors_lost`: a message of whose descriptors some found no number in this process, and are
  /// lost; logged. `on_lost` is called once: the supervisor died, or the channel broke.
  SupervisorLink(boost::asio::io_context& context, base::Descriptor channel, OnMessage on_message,
                 OnDescriptorsLost on_descriptors_lost, std::function<void()> on_lost);

  void send(const ipc::WorkerMessage& message, std::span<const int> descriptors = {});
  /// Sends what waits, and asks for the next readiness. Once per turn.
  void turn();
  /// Hands over what the supervisor has said so far. Also done in the context, when there is something.
  void receive();

 private:
  void take(ipc::Datagram datagram);
  void lose();

  ipc::Channel channel_;
  OnMessage on_message_;
  OnDescriptorsLost on_descriptors_lost_;
  std::function<void()> on_lost_;
  loop::Watch watch_;
  base::LogGate log_gate_;
  bool lost_ = false;
};

}  // namespace limpet::slot

#include "worker/slot/supervisor_link.h"

#include <fmt/format.h>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "ipc/messages/control.h"

namespace limpet::slot {

SupervisorLink::SupervisorLink(boost::asio::io_context& context, base::Descriptor channel,
                               OnMessage on_message, OnDescriptorsLost on_descriptors_lost,
                               std::function<void()> on_lost)
    : channel_(std::move(channel)),
      on_message_(std::move(on_message)),
      on_descriptors_lost_(std::move(on_descriptors_lost)),
      on_lost_(std::move(on_lost)),
      watch_(context, channel_.descriptor(), [this] { receive(); }) {}

void SupervisorLink::send(const ipc::WorkerMessage& message, std::span<const int> descriptors) {
  if (lost_) return;
  switch (channel_.send(ipc::encode(message), descriptors)) {
    case ipc::SendStatus::Sent:
    case ipc::SendStatus::Queued:
      return;
    case ipc::SendStatus::Full:
    case ipc::SendStatus::TooLarge:
      base::log_at_most(log_gate_, std::chrono::steady_clock::now(), base::LogLevel::Error, [&] {
        return std::string("control channel: send: the supervisor does not read; the message is dropped");
      });
      return;
    case ipc::SendStatus::Closed:
      lose();
      return;
  }
}

void SupervisorLink::turn() {
  if (lost_) return;
  if (channel_.wants_write() && channel_.flush() == ipc::SendStatus::Closed) return lose();
  watch_.arm();
}

void SupervisorLink::receive() {
  const auto receive_one = [this](ipc::Datagram* into) {
    // For this call alone: what follows from a message, handlers of the application perhaps, has no part in
    // it.
    const base::DescriptorReserve reserve(base::kReservedDescriptors);
    return channel_.receive(into);
  };
  ipc::Datagram datagram;
  while (!lost_) {
    switch (receive_one(&datagram)) {
      case ipc::ReceiveStatus::Message:
      case ipc::ReceiveStatus::DescriptorsLost:
        take(std::move(datagram));
        break;
      case ipc::ReceiveStatus::Empty:
        return;
      case ipc::ReceiveStatus::Closed:
      case ipc::ReceiveStatus::Truncated:
      case ipc::ReceiveStatus::Failed:
        lose();
        return;
    }
  }
}

void SupervisorLink::take(ipc::Datagram datagram) {
  std::string why;
  const auto message = ipc::decode_supervisor_message(datagram, &why);
  if (!message) {
    base::log_at_most(log_gate_, std::chrono::steady_clock::now(), base::LogLevel::Error, [&] {
      return fmt::format("control channel: decode: {}; the message is dropped", why);
    });
  } else if (datagram.descriptors_lost) {
    base::log_at_most(log_gate_, std::chrono::steady_clock::now(), base::LogLevel::Error, [&] {
      return fmt::format(
          "control channel: receive: no number is left for the descriptors of a message "
          "(RLIMIT_NOFILE {}, and {} in reserve); the supervisor is there, the message is lost",
          base::descriptor_limit(), base::kReservedDescriptors);
    });
    on_descriptors_lost_(*message);
  } else {
    on_message_(*message, std::move(datagram.descriptors));
  }
}

void SupervisorLink::lose() {
  if (lost_) return;
  lost_ = true;
  on_lost_();
}

}  // namespace limpet::slot

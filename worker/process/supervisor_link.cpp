#include "worker/process/supervisor_link.h"

#include <fmt/format.h>

#include "base/log.h"
#include "ipc/codec.h"

namespace limpet::process {

SupervisorLink::SupervisorLink(boost::asio::io_context& context, ipc::Descriptor channel,
                               OnMessage on_message, std::function<void()> on_lost)
    : channel_(std::move(channel)),
      on_message_(std::move(on_message)),
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
  ipc::Datagram datagram;
  while (!lost_) {
    switch (channel_.receive(&datagram)) {
      case ipc::ReceiveStatus::Message: {
        std::string why;
        auto message = ipc::decode_supervisor_message(datagram, &why);
        if (!message) {
          base::log_at_most(log_gate_, std::chrono::steady_clock::now(), base::LogLevel::Error, [&] {
            return fmt::format("control channel: decode: {}; the message is dropped", why);
          });
          break;
        }
        on_message_(*message, std::move(datagram.descriptors));
        break;
      }
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

void SupervisorLink::lose() {
  if (lost_) return;
  lost_ = true;
  on_lost_();
}

}  // namespace limpet::process

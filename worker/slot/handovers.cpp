#include "worker/slot/handovers.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/descriptor_limit.h"
#include "base/log.h"
#include "worker/slot/sid_source.h"

namespace limpet::slot {
namespace {

/// Arrivals taken in one turn.
constexpr int kArrivalsPerTurn = 64;
/// What may wait privately for one slot's inbox.
constexpr std::size_t kWaitingBytes = 4u << 20;

}  // namespace

Handovers::Inbox::Inbox(boost::asio::io_context& context, base::Descriptor descriptor)
    : channel(std::move(descriptor)), watch(context, channel.descriptor(), [this] { readable = true; }) {}

Handovers::Handovers(boost::asio::io_context& context, const ipc::BucketTable& table, std::uint16_t own_slot,
                     base::Descriptor inbox, std::vector<base::Descriptor> senders,
                     ipc::CounterBlock& counters, OnArrival on_arrival)
    : context_(context),
      own_slot_(own_slot),
      table_(table),
      inbox_(context, std::move(inbox)),
      counters_(counters),
      on_arrival_(std::move(on_arrival)) {
  senders_.reserve(senders.size());
  for (base::Descriptor& sender : senders) senders_.emplace_back(std::move(sender), kWaitingBytes);
  learn_own_buckets();
}

std::optional<std::uint16_t> Handovers::other_owner_of(std::string_view sid) const {
  const std::uint16_t owner = owner_of(sid);
  if (owner == own_slot_ || owner >= senders_.size()) return std::nullopt;
  return owner;
}

std::uint16_t Handovers::owner_of(std::string_view sid) const { return table_.owner(bucket_of(sid)); }

bool Handovers::owns_a_bucket() const {
  if (table_.owner(own_bucket_) == own_slot_) return true;
  if (owned_none_) return false;
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) {
    if (table_.owner(bucket) != own_slot_) continue;
    own_bucket_ = bucket;
    return true;
  }
  owned_none_ = true;
  return false;
}

bool Handovers::is_new_owner_of(std::string_view sid) const {
  return owner_of(sid) == own_slot_ && !own_buckets_[bucket_of(sid)];
}

void Handovers::learn_own_buckets() {
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket)
    own_buckets_[bucket] = table_.owner(bucket) == own_slot_;
}

void Handovers::stop_reading() {
  reading_ = false;
  borrowed_.clear();
}

void Handovers::borrow(std::uint16_t slot, base::Descriptor inbox) {
  borrowed_.erase(slot);
  borrowed_.try_emplace(slot, context_, std::move(inbox));
}

bool Handovers::send(const base::Descriptor& socket, const client::ConnectionImage& image,
                     const client::Destination& to) {
  ipc::Handover handover;
  handover.kind = image.one_request ? ipc::HandoverKind::Request : ipc::HandoverKind::Connection;
  handover.client_address = image.client_address;
  handover.client_port = image.client_port;
  handover.listener = image.listener;
  handover.bytes = image.unread;
  handover.placed = to.opens_session;
  handover.by_proxy = image.by_proxy;
  switch (ipc::send_handover(senders_[to.slot], handover, socket.get())) {
    case ipc::SendStatus::Sent:
    case ipc::SendStatus::Queued:
      counters_.add(image.one_request ? ipc::Counter::RequestsRelayed : ipc::Counter::HandoversOut);
      if (to.opens_session) counters_.add(ipc::Counter::SessionsPlaced);
      return true;
    case ipc::SendStatus::Full:
    case ipc::SendStatus::TooLarge:
    case ipc::SendStatus::Closed:
      counters_.add(ipc::Counter::HandoversFailed);
      return false;
  }
  return false;
}

bool Handovers::deferred() const noexcept {
  return std::any_of(senders_.begin(), senders_.end(),
                     [](const ipc::Channel& sender) { return sender.wants_write(); });
}

bool Handovers::turn() {
  owned_none_ = false;
  for (ipc::Channel& sender : senders_) {
    if (sender.wants_write()) (void)sender.flush();
  }
  if (!reading_) return false;
  bool more = read(inbox_);
  for (auto& [slot, inbox] : borrowed_) more = read(inbox) || more;
  return more;
}

bool Handovers::read(Inbox& inbox) {
  if (inbox.failed || !inbox.readable) return false;
  // Whatever this worker's own clients and its application have opened.
  const base::DescriptorReserve reserve(base::kReservedForConnections);
  for (int i = 0; inbox.readable && i < kArrivalsPerTurn; ++i) {
    ipc::ReceivedHandover arrival;
    std::string why;
    switch (ipc::receive_handover(inbox.channel, &arrival, &why)) {
      case ipc::InboxStatus::Received:
        counters_.add(ipc::Counter::HandoversIn);
        on_arrival_(std::move(arrival));
        break;
      case ipc::InboxStatus::Bad:
        counters_.add(ipc::Counter::HandoversFailed);
        base::log_at_most(bad_arrivals_, std::chrono::steady_clock::now(), base::LogLevel::Warning,
                          [&] { return fmt::format("inbox: receive: {}; that connection is lost", why); });
        break;
      case ipc::InboxStatus::Failed:
        base::log(base::LogLevel::Error,
                  fmt::format("inbox: receive: {}; this worker reads it no more", why));
        inbox.failed = true;
        [[fallthrough]];
      case ipc::InboxStatus::Empty:
        inbox.readable = false;
        break;
    }
  }
  if (!inbox.readable && !inbox.failed) inbox.watch.arm();
  return inbox.readable;
}

}  // namespace limpet::slot

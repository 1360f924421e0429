// Tenants of slots in one process, joined by migration streams: everything of a worker but its supervisor.
#pragma once

#include <gmock/gmock.h>
#include <limpet/app.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ipc/messages/inbox.h"
#include "ipc/shared/bucket_table.h"
#include "tests/worker/client/clients_kit.h"
#include "tests/worker/websocket_client.h"
#include "worker/migration/migration.h"
#include "worker/slot/handovers.h"
#include "worker/slot/sid_source.h"

namespace limpet::migration::test {

using namespace client::test;

using Texts = std::vector<std::string>;

/// What the supervisor holds for all of them.
struct Cluster {
  /// `open`: slots that have buckets.
  Cluster(std::uint16_t slots, std::uint16_t open) : table(ipc::BucketTable::create(slots)) {
    for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) table.assign(bucket, bucket % open);
    for (std::uint16_t slot = 0; slot < slots; ++slot) inboxes.push_back(ipc::make_inbox());
  }
  [[nodiscard]] std::vector<base::Descriptor> senders() const {
    std::vector<base::Descriptor> senders;
    for (const ipc::Inbox& inbox : inboxes) senders.push_back(inbox.sending.duplicate());
    return senders;
  }

  ipc::BucketTable table;
  std::vector<ipc::Inbox> inboxes;
  loop::Clock clock{loop::TimePoint(1000s)};
};

/// A worker without its supervisor.
struct Tenant {
  Tenant(std::uint16_t slot, std::uint16_t lane, Cluster& cluster, std::size_t ring_bytes = 1 << 20);
  ~Tenant();  // as a worker ends

  void join(const Tenant& peer);
  void turn();
  [[nodiscard]] MigrationParts parts() {
    return {*context, clients, engine, *application, rings, router, front, handovers, counters, clock};
  }
  [[nodiscard]] std::uint64_t count(ipc::Counter counter) const { return counters.get(counter); }

  ipc::Incarnation who;
  loop::Clock& clock;
  std::uint32_t moves_per_turn = UINT32_MAX;  ///< units of the migration's allowance
  int gaps = 0;
  int sent_back = 0;                     ///< to a giver, for it may still have the session
  int passed_on = 0;                     ///< to a taker, on the stream that the session has taken
  std::vector<ipc::BucketsMoved> moved;  ///< what was told the supervisor
  Texts refusals;                        ///< of what the tenant before gave
  std::vector<Socket> sockets;           ///< the handles of all connection handlers
  slot::SidSource sids;
  std::unique_ptr<boost::asio::io_context> context;
  loop::Poller poller;
  ipc::CounterBlock counters = ipc::CounterBlock::create({0, 0, 1});
  adapter::RingAdapter rings;
  std::optional<application::Application> application;
  Io io{*application};
  engineio::Server engine;
  loop::Allowance allowance = loop::Allowance::unlimited();
  loop::MemoryTotal memory;
  client::Clients clients{poller, clock, allowance, memory, counters, client::Limits{}};
  slot::Handovers handovers;
  client::Limits limits;
  client::Admission admission{limits, clock, counters};
  client::Listeners listeners{limits, {}};
  slot::Router router{clients, listeners, engine, &handovers, nullptr};
  slot::Front front{clients, engine, *application, router, admission, limits, listeners, clock, counters};
  Migration migration{parts(), [this](const ipc::BucketsMoved& what) { moved.push_back(what); },
                      [this](const std::string& why) { refusals.push_back(why); }};

 private:
  struct CountedStreams final : slot::SessionStreams {
    explicit CountedStreams(Tenant& tenant) : of(tenant) {}
    void give_back(base::Descriptor socket, const client::ClientConnection& from,
                   std::string_view unread) override;
    bool pass_on(base::Descriptor& socket, const client::ClientConnection& from, std::uint16_t to_slot,
                 std::string_view unread) override;
    Tenant& of;
  };
  CountedStreams streams{*this};
};

/// Tenants and their clients: sockets whose other ends the test holds.
class TenantsTest : public testing::Test {
 protected:
  /// One of every tenant that lives.
  virtual void turn() = 0;
  void turns(int count = 12) {
    for (int i = 0; i < count; ++i) turn();
  }

  Peer connect_to(Tenant& tenant) {
    auto [ours, theirs] = socket_pair();
    tenant.front.welcome(std::move(ours), client::PeerAddress::from_text("127.0.0.9", 99), 3);
    return Peer(std::move(theirs));
  }
  std::string answer_to(Peer& peer) {
    return everything_for(peer, [this] { turn(); });
  }
  std::string ask(Peer& peer, const std::string& request) {
    EXPECT_EQ(peer.write(request), request.size());
    return answer_to(peer);
  }
  static std::string upgrade(const std::string& more = {}) {
    return "GET /socket.io/?EIO=4&transport=websocket" + more +
           " HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: "
           "13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
  }

  /// A WebSocket client of that worker, connected to the main namespace.
  Peer open_websocket(Tenant& tenant, std::string* sid = nullptr) {
    Peer peer = connect_to(tenant);
    const std::string opened = ask(peer, upgrade());
    EXPECT_THAT(opened, testing::HasSubstr("101 Switching"));
    if (sid != nullptr) *sid = sid_in(opened);
    EXPECT_THAT(ask(peer, limpet::test::text_frame("40")), testing::HasSubstr("40{\"sid\""));
    return peer;
  }
  /// A polling client, connected to the main namespace; its sid.
  std::string open_polling(Peer& peer) {
    const std::string sid = sid_in(ask(peer, get("/socket.io/?EIO=4&transport=polling")));
    ask(peer, post_of(sid, "40"));
    EXPECT_THAT(ask(peer, poll_of(sid)), testing::HasSubstr("40{\"sid\""));
    return sid;
  }
  Texts texts_of(Peer& peer) {
    Texts texts;
    for (const auto& frame : limpet::test::server_frames(answer_to(peer))) texts.push_back(frame.payload);
    return texts;
  }
  Texts tell(Peer& peer, const std::string& packet) {
    peer.write(limpet::test::text_frame(packet));
    return texts_of(peer);
  }
  /// Where a WebSocket client is.
  std::string where(Peer& peer) {
    const Texts heard = tell(peer, R"(420["where"])");
    return heard.empty() ? (peer.at_end() ? "ended" : "silent") : heard.back();
  }
};

}  // namespace limpet::migration::test

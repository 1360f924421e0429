// Two slots in one process, joined by real inbox sockets: requests for a session of one that reach the other.
#include "worker/slot/front.h"
#include "base/limits.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/resource.h>

#include <boost/asio/io_context.hpp>
#include <map>
#include <memory>

#include "base/log.h"
#include "ipc/shared/slot_board.h"
#include "tests/worker/client/clients_kit.h"
#include "tests/worker/plenty.h"
#include "tests/worker/slot/placed_addresses.h"
#include "worker/application/application.h"
#include "worker/process/settings.h"
#include "worker/slot/sid_source.h"

namespace limpet::slot::test {

using namespace client::test;

namespace {

using testing::HasSubstr;
using testing::StartsWith;

/// A worker without its rings and supervisor.
struct Slot {
  Slot(std::uint16_t own, const ipc::BucketTable& table, const ipc::SlotBoard& board,
       process::Settings its_settings, const loop::Clock& shared_clock, base::Descriptor inbox,
       std::vector<base::Descriptor> senders)
      : settings(std::move(its_settings)),
        placement(&board, own, 2, 0, settings.placement),
        sids(&table, own),
        application(std::in_place, shared_clock, application::Options{},
                    [this](std::span<char, base::kIdBytes> id) { sids.fill(id); }),
        engine({}, shared_clock, application->socketio(),
               {.new_sid = [this](std::span<char, base::kIdBytes> sid) { sids.fill(sid); },
                .wall_clock_ms = {},
                .refuse = {}}),
        clock(shared_clock),
        handovers(context, table, own, std::move(inbox), std::move(senders), counters,
                  [this](ipc::ReceivedHandover arrival) { front.take_in(std::move(arrival)); }) {
    io.on_connection([](Socket&) {});
    io.get("/where", [own](const HttpRequest&) { return HttpResponse::text("slot " + std::to_string(own)); });
    handovers.start_reading();
  }
  // As a worker ends.
  ~Slot() {
    clients.close_all();
    application.reset();
  }

  void turn() {
    context.restart();  // it stops whenever nothing is being waited for
    context.poll();
    (void)poller.dispatch(allowance);
    clients.redeliver();
    (void)handovers.turn();
    application->tick(limpet::test::plenty());
    engine.tick(limpet::test::plenty());
    clients.flush();
    clients.bury();
  }

  process::Settings settings;
  Placement placement;
  SidSource sids;
  boost::asio::io_context context;
  loop::Poller poller;
  ipc::CounterBlock counters = ipc::CounterBlock::create({0, 0, 1});
  std::optional<application::Application> application;
  Io io{*application};
  engineio::Server engine;
  loop::Clock clock;
  loop::Allowance allowance = loop::Allowance::unlimited();
  loop::MemoryTotal memory;
  client::Clients clients{poller, clock, allowance, memory, counters, settings.limits};
  Handovers handovers;
  client::Admission admission{settings.limits, clock, counters};
  client::Listeners listeners{settings.limits, settings.listeners};
  Router router{clients, listeners, engine, &handovers, &placement};
  Front front{clients, engine, *application, router, admission, settings.limits, listeners, clock, counters};
};

class FrontTest : public testing::Test {
 protected:
  FrontTest() : FrontTest(process::Settings{}) {}
  explicit FrontTest(const process::Settings& settings) {
    std::vector<ipc::Inbox> inboxes;
    for (int i = 0; i < 2; ++i) inboxes.push_back(ipc::make_inbox());
    for (std::uint16_t own = 0; own < 2; ++own) {
      std::vector<base::Descriptor> senders;
      for (const auto& inbox : inboxes) senders.push_back(inbox.sending.duplicate());
      slots_.push_back(std::make_unique<Slot>(own, table_, board_, settings, clock_,
                                              std::move(inboxes[own].receiving), std::move(senders)));
    }
  }

  Peer connect_to(std::size_t slot, std::uint16_t listener = 0) {
    auto [ours, theirs] = socket_pair();
    slots_[slot]->front.welcome(std::move(ours), client::PeerAddress::from_text("127.0.0.9", 99), listener);
    return Peer(std::move(theirs));
  }
  std::string answer_to(Peer& peer) {
    return everything_for(peer, [this] {
      for (const auto& slot : slots_) slot->turn();
    });
  }
  std::string ask(Peer& peer, const std::string& request) {
    EXPECT_EQ(peer.write(request), request.size());
    return answer_to(peer);
  }
  /// A session of `slot`, connected to the main namespace; its sid.
  std::string open_session(std::size_t slot) {
    Peer peer = connect_to(slot);
    const std::string opened = ask(peer, get("/socket.io/?EIO=4&transport=polling"));
    EXPECT_THAT(opened, StartsWith("HTTP/1.1 200"));
    const std::string sid = sid_in(opened);
    EXPECT_EQ(table_.owner(bucket_of(sid)), slot);
    return sid;
  }
  [[nodiscard]] std::uint64_t count(std::size_t slot, ipc::Counter counter) const {
    return slots_[slot]->counters.get(counter);
  }

  ipc::BucketTable table_ = ipc::BucketTable::create(2);
  ipc::SlotBoard board_ = ipc::SlotBoard::create(2);
  loop::Clock clock_{loop::TimePoint(1000s)};
  std::vector<std::unique_ptr<Slot>> slots_;
};

TEST_F(FrontTest, ARequestThatReachedTheOtherSlotTravelsToItsSessionsOwner) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(1);
  EXPECT_THAT(ask(peer, post_of(sid, "40")), testing::EndsWith("ok"));
  EXPECT_THAT(ask(peer, poll_of(sid)), HasSubstr("40{\"sid\":"));
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 1u) << "the connection stays with the owner";
  EXPECT_EQ(count(0, ipc::Counter::HandoversIn), 1u);
  EXPECT_EQ(slots_[1]->clients.open(), 0u);
}

TEST_F(FrontTest, AnotherSlotsPipelinedRequestIsRelayedAndTheNextIsServedHere) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(1);
  const std::string answers = ask(peer, get("/where") + post_of(sid, "40") + get("/where") + poll_of(sid));
  const std::size_t first = answers.find("slot 1");
  const std::size_t second = answers.find("ok", first);
  const std::size_t third = answers.find("slot 1", second);
  const std::size_t fourth = answers.find("40{\"sid\":", third);
  EXPECT_NE(fourth, std::string::npos) << "in the order of the requests:\n" << answers;
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 1u) << "the last one took the connection along";
}

/// A soft limit while it lives.
class SoftLimit {
 public:
  explicit SoftLimit(rlim_t soft) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    rlimit low = before_;
    low.rlim_cur = soft;
    ::setrlimit(RLIMIT_NOFILE, &low);
  }
  ~SoftLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  SoftLimit(const SoftLimit&) = delete;
  SoftLimit& operator=(const SoftLimit&) = delete;

 private:
  rlimit before_{};
};

/// Workers of which each may have 240 descriptors: 30 of them are not for relays.
class FewDescriptors : public SoftLimit, public FrontTest {
 protected:
  FewDescriptors() : SoftLimit(240) {}
};

TEST_F(FewDescriptors, RequestsAreRelayedUntilTooFewAreLeftAndThenAnswered503) {
  const std::string sid = open_session(0);
  const std::string pipelined = post_of(sid, "40") + get("/where");
  Peer first = connect_to(1);
  EXPECT_THAT(ask(first, pipelined), HasSubstr("slot 1"));
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);

  std::vector<base::Descriptor> taken;
  Peer second = connect_to(1);
  while (taken.empty() || taken.back().get() < 240 - 30)
    taken.emplace_back(base::require(::fcntl(0, F_DUPFD_CLOEXEC, 0), "take a descriptor"));
  EXPECT_THAT(ask(second, pipelined), StartsWith("HTTP/1.1 503"));
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);
  EXPECT_EQ(count(1, ipc::Counter::RelaysRefused), 1u);
  EXPECT_EQ(count(1, ipc::Counter::HandoversFailed), 0u);

  taken.clear();
  Peer third = connect_to(1);
  EXPECT_THAT(ask(third, pipelined), HasSubstr("slot 1"));
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 2u) << "as before";
}

TEST_F(FrontTest, APollParkedAtItsOwnerThroughARelayIsAnswered) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(1);
  (void)ask(peer, post_of(sid, "40"));
  Peer relayed = connect_to(1);
  EXPECT_THAT(ask(relayed, poll_of(sid) + poll_of("BBBB")), HasSubstr("40{\"sid\":"));
  Peer again = connect_to(1);
  EXPECT_EQ(ask(again, poll_of(sid) + get("/where")), "") << "parked: nothing to tell";
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 2u);
  slots_[0]->io.emit("news");
  const std::string answers = answer_to(again);
  EXPECT_THAT(answers, HasSubstr("42[\"news\"]"));
  EXPECT_THAT(answers, HasSubstr("slot 1")) << "and the request behind it is served here";
}

TEST_F(FrontTest, ABodyTooLongForAnInboxIsRelayed) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(1);
  (void)ask(peer, post_of(sid, "40"));
  Peer sender = connect_to(1);
  const std::string body = "42[\"big\",\"" + std::string(60'000, 'x') + "\"]";
  EXPECT_THAT(ask(sender, post_of(sid, body)), testing::EndsWith("ok"));
  EXPECT_EQ(count(1, ipc::Counter::HandoversFailed), 0u);
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);
}

TEST_F(FrontTest, AChunkedBodyReachesItsOwnerWhetherItTravelsOrIsRelayed) {
  const std::string sid = open_session(0);
  Peer first = connect_to(0);
  (void)ask(first, post_of(sid, "40"));
  (void)ask(first, poll_of(sid));
  const auto chunked = [&](const std::string& body) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx", body.size());
    return "POST /socket.io/?EIO=4&transport=polling&sid=" + sid +
           " HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n" + size +
           "\r\n" + body + "\r\n0\r\n\r\n";
  };
  Peer alone = connect_to(1);
  EXPECT_THAT(ask(alone, chunked("42[\"a\"]")), testing::EndsWith("ok"));
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 1u) << "nothing behind it: the connection travels";
  Peer halves = connect_to(1);
  const std::string request = chunked("42[\"a\"]");
  EXPECT_EQ(ask(halves, request.substr(0, request.size() - 9)), "");
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 2u) << "and it travels before its end is there";
  EXPECT_THAT(ask(halves, request.substr(request.size() - 9)), testing::EndsWith("ok"));
  Peer pipelined = connect_to(1);
  EXPECT_THAT(ask(pipelined, chunked("42[\"a\"]") + get("/where")), testing::EndsWith("slot 1"));
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);
  Peer large = connect_to(1);
  EXPECT_THAT(ask(large, chunked("42[\"a\",\"" + std::string(200'000, 'x') + "\"]")),
              testing::EndsWith("ok"));
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 2u);
  Peer bad = connect_to(1);
  EXPECT_THAT(ask(bad, chunked("").substr(0, chunked("").size() - 10) + "zz\r\n\r\n"),
              StartsWith("HTTP/1.1 400"));
  EXPECT_EQ(count(1, ipc::Counter::HandoversFailed), 0u);
}

TEST_F(FrontTest, AHeadBetweenOthersIsAnsweredInItsTurn) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(1);
  const std::string head =
      "HEAD /socket.io/?EIO=4&transport=polling&sid=" + sid + " HTTP/1.1\r\nHost: x\r\n\r\n";
  const std::string answers = ask(peer, head + get("/where"));
  EXPECT_THAT(answers, testing::EndsWith("slot 1"));
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);
}

TEST_F(FrontTest, AnUpgradeTravelsWithWhatIsBehindItAndIsRelayedIfThatIsTooMuch) {
  for (const std::size_t behind : {std::size_t{0}, std::size_t{100}, std::size_t{60'000}}) {
    const std::string sid = open_session(0);
    Peer peer = connect_to(1);
    const std::string upgrade =
        "GET /socket.io/?EIO=4&transport=websocket&sid=" + sid +
        " HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    // Unsolicited pongs (RFC 6455 section 5.5.3) of 0 bytes, masked with 0: nobody answers them.
    std::string pongs;
    while (pongs.size() < behind) pongs.append("\x8a\x80\0\0\0\0", 6);
    const std::string probe(
        "\x81\x86\0\0\0\0"
        "2probe",
        12);
    const std::string answer = ask(peer, upgrade + pongs + probe);
    EXPECT_THAT(answer, StartsWith("HTTP/1.1 101")) << behind;
    EXPECT_THAT(answer, testing::EndsWith("3probe")) << behind;
  }
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 2u);
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 1u);
}

TEST_F(FrontTest, ABodyThatArrivesInPiecesReachesItsOwner) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(1);
  const std::string request = post_of(sid, "40");
  EXPECT_EQ(ask(peer, request.substr(0, 30)), "");
  EXPECT_EQ(ask(peer, request.substr(30, request.size() - 31)), "");
  EXPECT_THAT(ask(peer, request.substr(request.size() - 1)), testing::EndsWith("ok"));
}

TEST_F(FrontTest, OwnSessionsUnknownSidsAndOtherPathsStayHere) {
  const std::string sid = open_session(1);
  Peer peer = connect_to(1);
  EXPECT_THAT(ask(peer, post_of(sid, "40")), testing::EndsWith("ok"));
  EXPECT_THAT(ask(peer, poll_of("no-such-sid")), StartsWith("HTTP/1.1 400"));
  EXPECT_THAT(ask(peer, get("/where?sid=" + open_session(0))), testing::EndsWith("slot 1"));
  EXPECT_THAT(ask(peer, get("/nowhere")), StartsWith("HTTP/1.1 404"));
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 0u);
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 0u);
}

TEST_F(FrontTest, ARequestForASlotThatServesNobodyIsRefusedSoThatItsClientComesBack) {
  const std::string sid = open_session(0);
  board_.set_takes_part(0, false);
  Peer peer = connect_to(1);
  EXPECT_THAT(ask(peer, poll_of(sid) + get("/where")),
              testing::AllOf(StartsWith("HTTP/1.1 503"), testing::EndsWith("slot 1")));
  EXPECT_EQ(count(1, ipc::Counter::RequestsUnowned), 1u);
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 0u);
  board_.set_takes_part(0, true);
  EXPECT_THAT(ask(peer, post_of(sid, "40")), testing::EndsWith("ok")) << "and served when it is back";
}

/// Listener 0 wants a PROXY protocol header, listener 1 has a trusted proxy, listener 2 neither.
class BehindProxies : public FrontTest {
 protected:
  BehindProxies() : FrontTest(settings()) {
    for (const auto& slot : slots_) {
      slot->io.get("/address", [](const HttpRequest& request) {
        return HttpResponse::text("<" + request.address + ">");
      });
      slot->io.on_connection([](Socket& socket) { socket.emit("you", socket.handshake().address); });
    }
  }
  static process::Settings settings() {
    process::Settings settings;
    settings.listeners.resize(3);
    settings.listeners[0].proxy_protocol = true;
    std::string why;
    settings.listeners[1].trusted.push_back(*base::parse_network("127.0.0.0/8", &why));
    return settings;
  }
  static std::string line(const std::string& address) {
    return "PROXY TCP4 " + address + " 10.0.0.1 56324 443\r\n";
  }
  static std::string get_for(const std::string& address, const std::string& target) {
    return "GET " + target + " HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: " + address + "\r\n\r\n";
  }
  static std::string sid_in(const std::string& answer) {
    const auto at = answer.find("\"sid\":\"");
    return at == std::string::npos ? "" : answer.substr(at + 7, 20);
  }
};

const std::string kHandshake = "/socket.io/?EIO=4&transport=polling";

TEST_F(BehindProxies, TheHeaderOfTheProxyNamesTheClientHoweverItIsCut) {
  const std::string bytes = line("192.0.2.77") + get("/address");
  for (std::size_t cut = 1; cut < bytes.size(); ++cut) {
    Peer peer = connect_to(1);
    EXPECT_EQ(ask(peer, bytes.substr(0, cut)), "");
    ASSERT_THAT(ask(peer, bytes.substr(cut)), testing::EndsWith("<192.0.2.77>")) << cut;
  }
}

TEST_F(BehindProxies, AHealthCheckOfTheProxyIsItsOwn) {
  Peer peer = connect_to(1);
  EXPECT_THAT(ask(peer, "PROXY UNKNOWN\r\n" + get("/address")), testing::EndsWith("<127.0.0.9>"));
}

TEST_F(BehindProxies, WithoutItsHeaderAConnectionIsClosedAndCounted) {
  Peer peer = connect_to(1);
  EXPECT_EQ(ask(peer, get("/address")), "");
  EXPECT_TRUE(peer.at_end());
  EXPECT_EQ(count(1, ipc::Counter::ProxyHeadersRefused), 1u);
}

TEST_F(BehindProxies, AHeaderThatDoesNotComeIsTimedOut) {
  Peer peer = connect_to(1);
  EXPECT_EQ(ask(peer, "PROXY TCP4 "), "");
  slots_[1]->clock.advance_to(clock_.now() + 11s);
  slots_[1]->clients.check_deadlines();
  (void)answer_to(peer);
  EXPECT_TRUE(peer.at_end());
  EXPECT_EQ(count(1, ipc::Counter::ConnectionsTimedOut), 1u);
}

TEST_F(BehindProxies, ANewSessionGoesToTheSlotOfItsClientsAddressWithItsConnection) {
  for (const std::uint16_t slot : {0, 1}) {
    const std::string address = address_of(slot);
    Peer peer = connect_to(1);
    const std::string sid = sid_in(ask(peer, line(address) + get(kHandshake)));
    ASSERT_EQ(sid.size(), 20u);
    EXPECT_EQ(table_.owner(bucket_of(sid)), slot);
    EXPECT_THAT(ask(peer, post_of(sid, "40")), testing::EndsWith("ok"));
    EXPECT_THAT(ask(peer, poll_of(sid)), HasSubstr("42[\"you\",\"" + address + "\"]"));
  }
  EXPECT_EQ(count(1, ipc::Counter::SessionsPlaced), 1u);
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 1u);
  EXPECT_EQ(count(0, ipc::Counter::HandoversOut), 0u);
}

TEST_F(BehindProxies, ANewSessionGoesThereAlsoOnAConnectionThatHasTravelledForTheSessionOfAnother) {
  // A proxy that speaks the PROXY protocol may use a connection again for the same client.
  for (const std::uint16_t slot : {0, 1}) {
    Peer neighbour = connect_to(1 - slot, 2);
    const std::string other = sid_in(ask(neighbour, get(kHandshake)));
    ASSERT_EQ(table_.owner(bucket_of(other)), 1 - slot);
    ask(neighbour, post_of(other, "40"));
    const std::uint64_t before = count(slot, ipc::Counter::HandoversOut);
    Peer peer = connect_to(slot);
    ASSERT_THAT(ask(peer, line(address_of(slot)) + poll_of(other)), StartsWith("HTTP/1.1 200"));
    ASSERT_EQ(count(slot, ipc::Counter::HandoversOut), before + 1) << "the connection is at the other slot";
    EXPECT_THAT(ask(peer, get("/address")), testing::EndsWith("<" + address_of(slot) + ">"));
    const std::string sid = sid_in(ask(peer, get(kHandshake)));
    ASSERT_EQ(sid.size(), 20u);
    EXPECT_EQ(table_.owner(bucket_of(sid)), slot);
  }
}

TEST_F(BehindProxies, WhatWasPlacedStaysAlsoIfTheTakerWouldChooseOtherwise) {
  // The board has changed on the way.
  Peer peer = connect_to(1);
  EXPECT_EQ(peer.write(line(address_of(0)) + get(kHandshake)),
            (line(address_of(0)) + get(kHandshake)).size());
  slots_[1]->turn();
  slots_[1]->turn();
  EXPECT_EQ(count(1, ipc::Counter::SessionsPlaced), 1u);
  board_.set_takes_part(0, false);
  EXPECT_EQ(sid_in(answer_to(peer)).size(), 20u);
  EXPECT_EQ(count(0, ipc::Counter::SessionsPlaced), 0u);
}

TEST_F(BehindProxies, OnAPooledConnectionEachHandshakeGoesToItsOwnSlotAndTheConnectionStays) {
  Peer pool = connect_to(1, 1);
  for (int round = 0; round < 3; ++round) {
    for (const std::uint16_t slot : {0, 1}) {
      const std::string address = address_of(slot);
      const std::string sid = sid_in(ask(pool, get_for(address, kHandshake)));
      ASSERT_EQ(sid.size(), 20u);
      EXPECT_EQ(table_.owner(bucket_of(sid)), slot);
      Peer own = connect_to(slot, 2);
      EXPECT_THAT(ask(own, post_of(sid, "40")), testing::EndsWith("ok"));
      EXPECT_THAT(ask(own, poll_of(sid)), HasSubstr("42[\"you\",\"" + address + "\"]"));
    }
  }
  EXPECT_EQ(count(1, ipc::Counter::SessionsPlaced), 3u);
  EXPECT_EQ(count(1, ipc::Counter::RequestsRelayed), 3u);
  EXPECT_EQ(count(1, ipc::Counter::HandoversOut), 0u);
  EXPECT_THAT(ask(pool, get_for("192.0.2.9", "/address")), testing::EndsWith("<192.0.2.9>"));
  EXPECT_THAT(ask(pool, get("/address")), testing::EndsWith("<127.0.0.9>")) << "the request names nobody";
}

TEST_F(BehindProxies, AHeaderOfWhoIsNotTrustedMeansNothing) {
  Peer peer = connect_to(1, 2);
  EXPECT_THAT(ask(peer, get_for("192.0.2.9", "/address")), testing::EndsWith("<127.0.0.9>"));
  EXPECT_EQ(table_.owner(bucket_of(sid_in(ask(peer, get_for(address_of(0), kHandshake))))), 1)
      << "the kernel has placed it";
}

class ByLoad : public FrontTest {
 protected:
  ByLoad()
      : FrontTest([] {
          process::Settings settings;
          settings.placement = PlacementRule::LeastConnections;
          return settings;
        }()) {}
};

TEST_F(ByLoad, NewSessionsGoToTheSlotThatHasFewest) {
  std::vector<Peer> peers;
  for (int i = 0; i < 20; ++i) {
    for (std::uint16_t slot = 0; slot < 2; ++slot)
      board_.set_sessions(slot, slots_[slot]->engine.session_count());
    board_.publish();
    peers.push_back(connect_to(1));
    EXPECT_THAT(ask(peers.back(), get(kHandshake)), StartsWith("HTTP/1.1 200"));
  }
  EXPECT_NEAR(static_cast<double>(slots_[0]->engine.session_count()), 10, 1);
  EXPECT_NEAR(static_cast<double>(slots_[1]->engine.session_count()), 10, 1);
}

void give_all_buckets_to(ipc::BucketTable& table, std::uint16_t slot) {
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; ++bucket) table.assign(bucket, slot);
}

TEST_F(FrontTest, ASessionThatIsStillHereIsServedHereWhateverTheTableSays) {
  const std::string sid = open_session(0);
  give_all_buckets_to(table_, 1);
  Peer peer = connect_to(0);
  EXPECT_THAT(ask(peer, post_of(sid, "40")), testing::EndsWith("ok"));
  EXPECT_EQ(count(0, ipc::Counter::HandoversOut), 0u);
}

TEST_F(FrontTest, ASlotWithoutABucketHandsHandshakesOver) {
  give_all_buckets_to(table_, 1);
  board_.set_takes_part(0, false);
  Peer peer = connect_to(0);
  EXPECT_THAT(ask(peer, get("/socket.io/?EIO=4&transport=polling")), HasSubstr("\"sid\":"));
  EXPECT_THAT(ask(peer, get("/where")), testing::EndsWith("slot 1")) << "with their connection";
  EXPECT_EQ(slots_[0]->engine.session_count(), 0u);
  EXPECT_EQ(slots_[1]->engine.session_count(), 1u);
  Peer other = connect_to(0);
  EXPECT_THAT(ask(other, get("/where")), testing::EndsWith("slot 0")) << "but nothing else";
}

/// Every worker that may still have a session says that it does not.
struct Givers final : SessionStreams {
  explicit Givers(Slot& taker) : taker_(taker) { taker.router.set_streams(this); }
  void give_back(base::Descriptor socket, const client::ClientConnection& from,
                 std::string_view unread) override {
    asked.push_back(from.asked() + 1);
    taker_.front.take_in(std::move(socket), image_of(from, std::string(unread)))->set_asked(asked.back());
  }
  bool pass_on(base::Descriptor&, const client::ClientConnection&, std::uint16_t, std::string_view) override {
    return false;
  }

  std::vector<std::uint32_t> asked;  ///< by their numbers

 private:
  Slot& taker_;
};

TEST_F(FrontTest, WhileSessionsComeARequestForOneThatIsNotHereGoesToEachGiverAndThenIsUnknown) {
  const Givers givers(*slots_[0]);
  const std::vector<std::uint32_t>& asked = givers.asked;
  std::string sid = open_session(0);
  sid.back() = sid.back() == 'x' ? 'y' : 'x';
  slots_[0]->router.expect_sessions(2);
  Peer peer = connect_to(0);
  EXPECT_THAT(ask(peer, poll_of(sid)), HasSubstr("Session ID unknown"));
  EXPECT_THAT(asked, testing::ElementsAre(1u, 2u));
  EXPECT_THAT(ask(peer, poll_of(sid)), HasSubstr("Session ID unknown"));
  EXPECT_THAT(asked, testing::ElementsAre(1u, 2u, 1u, 2u)) << "the next request on it asks anew";
  slots_[0]->router.expect_sessions(0);
  EXPECT_THAT(ask(peer, poll_of(sid)), HasSubstr("Session ID unknown"));
  EXPECT_EQ(asked.size(), 4u);
}

TEST_F(FrontTest, ARequestForABucketThatIsNewHereWaitsForWhatTheSupervisorSays) {
  std::string sid = open_session(1);
  give_all_buckets_to(table_, 0);
  Front& front = slots_[0]->front;
  Peer peer = connect_to(0);
  EXPECT_EQ(ask(peer, poll_of(sid)), "");
  EXPECT_TRUE(slots_[0]->router.waits_for_supervisor());
  front.ask_again();
  EXPECT_FALSE(slots_[0]->router.waits_for_supervisor());
  EXPECT_THAT(answer_to(peer), HasSubstr("Session ID unknown")) << "it has said nothing";
  slots_[0]->handovers.learn_own_buckets();
  EXPECT_THAT(ask(peer, poll_of(sid)), HasSubstr("Session ID unknown"));
}

TEST_F(FrontTest, AnHeirReadsTheInboxOfAClosedSlot) {
  ipc::Inbox closed = ipc::make_inbox();
  slots_[0]->handovers.borrow(5, std::move(closed.receiving));
  auto [ours, theirs] = socket_pair();
  ipc::Channel sender(std::move(closed.sending));
  const std::string request = get("/where");
  ASSERT_EQ(ipc::send_handover(sender, {.client_address = "127.0.0.9", .bytes = request}, ours.get()),
            ipc::SendStatus::Sent);
  ours = {};
  Peer peer(std::move(theirs));
  EXPECT_THAT(answer_to(peer), testing::EndsWith("slot 0"));
  slots_[0]->handovers.stop_reading();
  slots_[0]->handovers.start_reading();
  auto [late, waiting] = socket_pair();
  EXPECT_EQ(ipc::send_handover(sender, {.client_address = "127.0.0.9", .bytes = request}, late.get()),
            ipc::SendStatus::Closed)
      << "forgotten with the seat";
}

TEST_F(FrontTest, AFullInboxCostsTheConnectionAndIsCounted) {
  const std::string sid = open_session(0);
  slots_[0]->handovers.stop_reading();
  std::vector<Peer> peers;
  while (count(1, ipc::Counter::HandoversFailed) == 0) {
    ASSERT_LT(peers.size(), 5000u);
    peers.push_back(connect_to(1));
    peers.back().write(post_of(sid, std::string(30'000, 'x')).substr(0, 30'000));
    slots_[1]->turn();
  }
  EXPECT_EQ(answer_to(peers.back()), "");
  EXPECT_TRUE(peers.back().at_end());
}

TEST_F(FrontTest, NonsenseInAnInboxIsCountedAndFillsNoLog) {
  ipc::Inbox inbox = ipc::make_inbox();
  slots_[0]->handovers.borrow(5, std::move(inbox.receiving));
  const auto counted = count(0, ipc::Counter::HandoversFailed);
  const auto left_out = base::log_lines_dropped();
  constexpr std::uint64_t kMessages = 1000;
  for (std::uint64_t i = 0; i < kMessages; ++i) {
    ASSERT_EQ(::send(inbox.sending.get(), "nonsense", 8, MSG_DONTWAIT), 8);
    if (i % 10 == 9) slots_[0]->turn();
  }
  while (count(0, ipc::Counter::HandoversFailed) < counted + kMessages) slots_[0]->turn();
  // This may take more than one second, and each has its lines.
  EXPECT_GE(base::log_lines_dropped() - left_out, kMessages - 10 * base::LogGate::kLinesPerSecond);
}

// ---- caps

struct CappedFront : FrontTest {
  static process::Settings capped() {
    process::Settings settings;
    settings.limits.connections = 2;
    settings.limits.sessions = 1;
    return settings;
  }
  CappedFront() : FrontTest(capped()) {}
};

TEST_F(CappedFront, AnswersTheConnectionBeyondTheCapAtOnceAndServesTheOthers) {
  Peer first = connect_to(0);
  Peer second = connect_to(0);
  Peer third = connect_to(0);
  const std::string refusal = answer_to(third);
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: 2\r\n"));
  EXPECT_TRUE(third.at_end());
  EXPECT_THAT(ask(first, get("/where")), testing::EndsWith("slot 0"));
  EXPECT_THAT(ask(second, get("/where")), testing::EndsWith("slot 0"));
  EXPECT_EQ(count(0, ipc::Counter::RefusedConnections), 1u);
}

TEST_F(CappedFront, AnswersTheHandshakeBeyondTheCapAndServesTheSessionThatIsThere) {
  const std::string sid = open_session(0);
  Peer peer = connect_to(0);
  const std::string refusal = ask(peer, get("/socket.io/?EIO=4&transport=polling"));
  EXPECT_THAT(refusal, StartsWith("HTTP/1.1 503"));
  EXPECT_THAT(refusal, HasSubstr("Retry-After: 2\r\n"));
  Peer of_session = connect_to(0);
  EXPECT_THAT(ask(of_session, post_of(sid, "42[\"x\"]")), testing::EndsWith("ok"));
  EXPECT_EQ(count(0, ipc::Counter::RefusedSessions), 1u);
}

TEST_F(CappedFront, LetsInWhoseSessionIsStillOnItsWayHere) {
  std::string sid = open_session(0);
  slots_[0]->turn();  // its connection is gone
  sid.back() = sid.back() == 'x' ? 'y' : 'x';
  Peer first = connect_to(0);
  Peer second = connect_to(0);
  Peer stranger = connect_to(1);
  EXPECT_THAT(ask(stranger, poll_of(sid)), StartsWith("HTTP/1.1 503")) << "handed over to a full slot";
  EXPECT_EQ(count(0, ipc::Counter::RefusedConnections), 1u);
  const Givers givers(*slots_[0]);
  slots_[0]->router.expect_sessions(1);
  Peer of_session = connect_to(1);
  EXPECT_EQ(of_session.write(poll_of(sid)), poll_of(sid).size());
  (void)answer_to(of_session);
  EXPECT_THAT(givers.asked, testing::ElementsAre(1u)) << "it goes to whoever has the session";
  EXPECT_EQ(count(0, ipc::Counter::RefusedConnections), 1u);
}

}  // namespace
}  // namespace limpet::slot::test

// What a worker does with sockets: input in many pieces, output in many writes, many connections at once, and
// sessions on their way to another worker.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/limits.h"
#include "tests/growth/growth.h"
#include "tests/growth/order.h"
#include "tests/worker/migration/tenants_kit.h"
#include "tests/worker/plenty.h"
#include "tests/worker/websocket_client.h"
#include "worker/client/admission.h"
#include "worker/client/client_address.h"
#include "worker/client/proxy_protocol.h"

namespace limpet::growth {
namespace {

using namespace std::chrono_literals;
using client::test::Peer;
using migration::test::Cluster;
using migration::test::Tenant;
using test::client_frame;

constexpr std::size_t kPiece = 64 * 1024;

/// A worker's connections with HTTP and Engine.IO behind them; large payloads are welcome.
class Site final : public client::test::ClientsTest,
                   public http::RequestHandler,
                   public engineio::SessionHandler {
 public:
  ~Site() override { clients_.close_all(); }  // while those live whom it tells

  Route route(loop::Stream&, const http::RequestHead&, std::size_t) override { return Route::Here; }
  std::size_t body_limit(const http::RequestHead&) override { return kPayload; }
  void on_request(http::Exchange exchange, const http::Request& request) override {
    if (engine_.matches(request.head)) return engine_.on_request(std::move(exchange), request);
    ++requests;
    body_bytes += request.body.size();
    exchange.answer(http::Response(200, "text/plain", "ok"));
  }
  void on_open(engineio::Session&) override {}
  void on_text(engineio::Session&, std::string_view text) override {
    ++messages, message_bytes += text.size();
  }
  void on_binary(engineio::Session&, std::string_view) override {}
  void on_close(engineio::Session&, engineio::CloseReason) override {}

  /// A connection that speaks HTTP.
  Peer connect() {
    auto [ours, theirs] = client::test::socket_pair();
    http_.adopt(*adopt(std::move(ours), recorder_));
    return Peer(std::move(theirs));
  }
  Peer open_websocket() {
    Peer peer = connect();
    peer.write(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: "
        "Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    one_turn();
    EXPECT_NE(peer.read().find("101 Switching"), std::string::npos);
    return peer;
  }
  void one_turn() {
    allowance_ = loop::Allowance::unlimited();
    turn();
    engine_.tick(test::plenty());
  }
  /// Turns until `done`, a bounded number of them.
  template <class Condition>
  bool turns_until(Condition done, std::size_t at_most = 1'000'000) {
    for (std::size_t i = 0; i < at_most && !done(); ++i) one_turn();
    return done();
  }
  /// The client sends in pieces, each of which comes alone, and reads what is answered.
  void receive(Peer& peer, std::string_view bytes, std::size_t piece) {
    while (!bytes.empty()) {
      bytes.remove_prefix(peer.write(bytes.substr(0, piece)));
      one_turn();
      (void)peer.read();
    }
  }
  void let_pass(std::chrono::milliseconds time) { pass(time); }
  [[nodiscard]] std::size_t open() const { return clients_.open(); }
  [[nodiscard]] http::Server& http() { return http_; }
  /// A connection whose bytes nobody looks at, with little room in the kernel.
  std::pair<client::ClientConnection*, Peer> connect_slow() {
    auto [ours, theirs] = client::test::socket_pair();
    client::test::shrink_send_buffer(ours);
    return {adopt(std::move(ours), recorder_), Peer(std::move(theirs))};
  }

  std::size_t requests = 0;
  std::size_t body_bytes = 0;
  std::size_t messages = 0;
  std::size_t message_bytes = 0;

 private:
  static constexpr std::size_t kPayload = 1 << 24;

  void TestBody() override {}

  std::mt19937 random_{4711};
  engineio::Server engine_{{.max_payload_bytes = kPayload},
                           clock_,
                           *this,
                           {.new_sid =
                                [this](std::span<char, base::kIdBytes> sid) {
                                  // Random, always the same: the table of sessions relies on it.
                                  for (char& each : sid) each = static_cast<char>('a' + random_() % 26);
                                },
                            .wall_clock_ms = {},
                            .refuse = {}}};
  http::Server http_{*this, {}};
};

// ---- input

void pieces_of_a_frame(std::size_t n, std::size_t piece) {
  Site site;
  Peer peer = site.open_websocket();
  const std::string frame = client_frame(1, "4" + std::string(n * piece, 'x'));
  counted([&] { site.receive(peer, frame, piece); });
  EXPECT_TRUE(site.turns_until([&] { return site.messages == 1; }));
  EXPECT_EQ(site.message_bytes, n * piece);
}

void pieces_of_a_body(std::size_t n, std::size_t piece) {
  Site site;
  Peer peer = site.connect();
  const std::string request = "POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(n * piece) +
                              "\r\n\r\n" + std::string(n * piece, 'x');
  counted([&] { site.receive(peer, request, piece); });
  EXPECT_TRUE(site.turns_until([&] { return site.requests == 1; }));
  EXPECT_EQ(site.body_bytes, n * piece);
}

/// `piece`: bytes that come together.
void pieces_of_chunks(std::size_t n, std::size_t piece) {
  Site site;
  Peer peer = site.connect();
  std::string request = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (std::size_t i = 0; i < n; ++i) request += "1\r\na\r\n";
  request += "0\r\n\r\n";
  counted([&] { site.receive(peer, request, piece); });
  EXPECT_TRUE(site.turns_until([&] { return site.requests == 1; }));
  EXPECT_EQ(site.body_bytes, n);
}

void frame_by_bytes(std::size_t n) { pieces_of_a_frame(n, 1); }
void frame_by_pieces(std::size_t n) { pieces_of_a_frame(n, kPiece); }
void body_by_bytes(std::size_t n) { pieces_of_a_body(n, 1); }
void body_by_pieces(std::size_t n) { pieces_of_a_body(n, kPiece); }
void chunks_by_bytes(std::size_t n) { pieces_of_chunks(n, 1); }
void chunks_by_pieces(std::size_t n) { pieces_of_chunks(n, kPiece); }

void head_by_bytes(std::size_t n) {
  Site site;
  Peer peer = site.connect();
  const std::string request = "GET /" + std::string(n, 'a') + " HTTP/1.1\r\nHost: h\r\n\r\n";
  counted([&] { site.receive(peer, request, 1); });
  EXPECT_EQ(site.requests, 1u);
}

void pipelined_requests(std::size_t n) {
  Site site;
  Peer peer = site.connect();
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) bytes += client::test::get("/a");
  counted([&] {
    site.receive(peer, bytes, kPiece);
    for (std::size_t i = 0; i < n && site.requests < n; ++i) {
      site.one_turn();
      (void)peer.read();
    }
  });
  EXPECT_EQ(site.requests, n);
}

/// As they come from a socket: many reads, many turns.
void frames_by_pieces(std::size_t n) {
  Site site;
  Peer peer = site.open_websocket();
  std::string bytes;
  for (std::size_t i = 0; i < n; ++i) bytes += client_frame(1, "4hello") + client_frame(9, "");
  counted([&] {
    site.receive(peer, bytes, kPiece);
    for (std::size_t i = 0; i < n && site.messages < n; ++i) {
      site.one_turn();
      (void)peer.read();
    }
  });
  EXPECT_EQ(site.messages, n);
}

// ---- output

void queued_frames(std::size_t n) {
  Site site;
  auto slow = site.connect_slow();
  auto& connection = slow.first;
  auto& peer = slow.second;
  const loop::Buffer frame = client::test::buffer(std::string(100, 'x'));
  std::size_t got = 0;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) connection->send(frame);
    for (std::size_t i = 0; i < n && got < n * 100; ++i) {
      site.one_turn();
      got += peer.read(1000).size();
    }
  });
  EXPECT_EQ(got, n * 100);
}

// ---- many connections

void peers_close(std::size_t n) {
  Site site;
  for (std::size_t i = 0; i < n; ++i) (void)site.connect();
  counted([&] { EXPECT_TRUE(site.turns_until([&] { return site.open() == 0; })); });
}

void connections_time_out(std::size_t n) {
  Site site;
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < n; ++i) peers.push_back(site.connect());
  site.one_turn();
  site.let_pass(10min);
  counted([&] { EXPECT_TRUE(site.turns_until([&] { return site.open() == 0; }, 10 * n)); });
}

void websockets_time_out(std::size_t n) {
  Site site;
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < n; ++i) peers.push_back(site.open_websocket());
  site.let_pass(25s);
  site.one_turn();
  site.let_pass(20s);
  counted([&] {
    for (int i = 0; i < 4; ++i) site.one_turn();  // their ends are told
    site.let_pass(10min);
    EXPECT_TRUE(site.turns_until([&] { return site.open() == 0; }, 10 * n));
  });
}

void idle_connections_end(std::size_t n) {
  Site site;
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < n; ++i) peers.push_back(site.connect());
  site.one_turn();
  counted([&] {
    EXPECT_TRUE(site.http().end_idle(test::plenty()));
    for (Peer& peer : peers) peer.close();
    EXPECT_TRUE(site.turns_until([&] { return site.open() == 0; }, 10 * n));
  });
}

/// One connection and two handshakes of each, and once they are gone, the same of as many others.
void addresses(std::size_t n) {
  client::Limits limits;
  limits.connections_per_address = 1;
  limits.handshakes_per_second = 1;
  loop::Clock clock{loop::TimePoint(1000s)};
  ipc::CounterBlock counters = ipc::CounterBlock::create({0, 0, 1});
  client::Admission admission(limits, clock, counters);
  std::vector<client::PeerAddress> clients;
  for (std::size_t i = 0; i < 2 * n; ++i)
    clients.push_back(client::PeerAddress::from_text(
        "10." + std::to_string(i >> 16) + "." + std::to_string(i >> 8 & 255) + "." + std::to_string(i & 255),
        1));
  std::size_t let_in = 0;
  const auto come = [&](const client::PeerAddress& client) {
    EXPECT_TRUE(admission.admits_one_more_of(client));
    for (int i = 0; i < 2; ++i) let_in += admission.admits_handshake(0, client) ? 1 : 0;
  };
  const auto order = numbers(n, Order::Random);
  counted([&] {
    for (const std::size_t i : order) come(clients[i]);
    for (const std::size_t i : order) admission.leave(clients[i]);
    clock.advance_to(clock.now() + 2s);
    for (const std::size_t i : order) come(clients[n + i]);
  });
  EXPECT_EQ(let_in, 2 * n);
  EXPECT_EQ(admission.addresses(), 2 * n) << "those that left are forgotten";
}

// ---- what proxies say

void forwarded_addresses(std::size_t n) {
  std::string why;
  const std::vector<base::Network> trusted{base::parse_network("10.0.0.0/8", &why).value()};
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 192.0.2.7";
  for (std::size_t i = 1; i < n; ++i) head += ", 10.1.2.3";
  head += "\r\n\r\n";
  std::optional<client::PeerAddress> client;
  counted([&] {
    client = client::forwarded_client(client::PeerAddress::from_text("10.0.0.1", 1), trusted,
                                      client::AddressHeader::XForwardedFor, head);
  });
  EXPECT_EQ(client ? client->text() : "-", "192.0.2.7");
}

void forwarded_lines(std::size_t n) {
  std::string why;
  const std::vector<base::Network> trusted{base::parse_network("10.0.0.0/8", &why).value()};
  std::string head = "GET / HTTP/1.1\r\nHost: x\r\nForwarded: for=192.0.2.7\r\n";
  for (std::size_t i = 1; i < n; ++i) head += "Forwarded: for=\"10.1.2.3\"\r\n";
  head += "\r\n";
  std::optional<client::PeerAddress> client;
  counted([&] {
    client = client::forwarded_client(client::PeerAddress::from_text("10.0.0.1", 1), trusted,
                                      client::AddressHeader::Forwarded, head);
  });
  EXPECT_EQ(client ? client->text() : "-", "192.0.2.7");
}

// ---- between workers

/// A tenant's sessions with a socket in "/" each: as if they had come from elsewhere, for that is cheaper
/// than handshakes.
void fill(Tenant& tenant, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) {
    engineio::SessionImage image;
    image.sid.resize(base::kIdBytes);
    tenant.sids.fill(std::span<char, base::kIdBytes>(image.sid.data(), base::kIdBytes));
    image.handshake_head = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1";
    image.address = "127.0.0.1";
    image.timer = std::chrono::milliseconds(1000 + i * 7919 % 20'000);
    engineio::Session* const session = tenant.engine.arrive(image, nullptr);
    socketio::ClientImage client;
    client.sockets.push_back({.nsp = "/", .id = image.sid, .rooms = {"r"}, .data = {}, .auth = {}});
    ASSERT_TRUE(session != nullptr && tenant.application->socketio().arrive(*session, client));
    tenant.application->socketio().announce_arrival(*session);
  }
}

template <class Condition>
void turn_both(Tenant& a, Tenant& b, std::size_t at_most, Condition done) {
  for (std::size_t i = 0; i < at_most && !done(); ++i) {
    a.turn();
    b.turn();
  }
}

/// A reload: everybody goes to the successor.
void sessions_of_a_reload(std::size_t n) {
  Cluster cluster(1, 1);
  Tenant old(0, 0, cluster);
  fill(old, n);
  auto ends = ipc::FrameStream::pair();
  Tenant young(0, 1, cluster);
  young.migration.succeed(std::move(ends.second));
  young.join(old);
  old.join(young);
  counted([&] {
    old.migration.begin_to_give(std::move(ends.first));
    turn_both(old, young, 10 * n, [&] { return young.engine.session_count() == n; });
  });
  EXPECT_EQ(old.engine.session_count(), 0u);
  EXPECT_EQ(young.engine.session_count(), n);
}

/// Another number of slots: every other bucket goes, the others stay.
void sessions_of_a_scale(std::size_t n) {
  Cluster cluster(2, 1);
  Tenant giver(0, 0, cluster);
  fill(giver, n);
  Tenant taker(1, 1, cluster);
  taker.join(giver);
  giver.join(taker);
  auto ends = ipc::FrameStream::pair();
  taker.migration.expect_buckets(std::move(ends.second));
  for (std::uint16_t bucket = 0; bucket < ipc::kBuckets; bucket += 2) cluster.table.assign(bucket, 1);
  counted([&] {
    giver.migration.move_buckets({.to_slot = 1, .window = 1s, .deadline = 1h}, std::move(ends.first));
    turn_both(giver, taker, 10 * n, [&] { return !giver.moved.empty(); });
  });
  EXPECT_EQ(giver.moved.size(), 1u);
  EXPECT_EQ(giver.engine.session_count() + taker.engine.session_count(), n);
  EXPECT_GT(taker.engine.session_count(), n / 4);
}

/// Connections whose requests belong to another slot, all at once.
void handovers(std::size_t n) {
  Cluster cluster(2, 2);
  Tenant here(0, 0, cluster);
  Tenant there(1, 1, cluster);
  here.join(there);
  there.join(here);
  there.handovers.start_reading();
  std::string sid(base::kIdBytes, 'a');
  there.sids.fill(std::span<char, base::kIdBytes>(sid.data(), sid.size()));
  std::vector<Peer> peers;
  for (std::size_t i = 0; i < n; ++i) {
    auto [ours, theirs] = client::test::socket_pair();
    here.front.welcome(std::move(ours), client::PeerAddress::from_text("127.0.0.9", 99), 3);
    peers.emplace_back(std::move(theirs));
    peers.back().write(client::test::poll_of(sid));
  }
  counted([&] {
    turn_both(here, there, 10 * n, [&] { return there.count(ipc::Counter::HandoversIn) == n; });
    for (int i = 0; i < 3; ++i) there.turn();
  });
  EXPECT_EQ(here.count(ipc::Counter::HandoversOut), n);
  EXPECT_NE(peers.back().read().find("400 Bad Request"), std::string::npos);
}

void frames_of_a_stream(std::size_t n) {
  auto [one, other] = ipc::FrameStream::pair();
  ipc::FrameStream from(std::move(one));
  ipc::FrameStream to(std::move(other));
  const std::vector<std::byte> bytes(500);
  std::size_t got = 0;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) from.send(bytes);
    ipc::Datagram frame;
    for (std::size_t i = 0; i < 10 * n && got < n; ++i) {
      for (auto status = to.receive(&frame); status == ipc::ReceiveStatus::Message || !to.drained();
           status = to.receive(&frame))
        if (status == ipc::ReceiveStatus::Message) ++got;
      from.flush();
    }
  });
  EXPECT_EQ(got, n);
}

}  // namespace

Rows process_rows() {
  return {
      {"frame_by_bytes", 2048, frame_by_bytes},
      {"frame_by_64_kib", 8, frame_by_pieces},
      {"body_by_bytes", 2048, body_by_bytes},
      {"body_by_64_kib", 8, body_by_pieces},
      {"chunks_by_bytes", 256, chunks_by_bytes},
      {"chunks_by_64_kib", 2048, chunks_by_pieces},
      {"head_by_bytes", 1024, head_by_bytes},
      {"frames_by_64_kib", 2048, frames_by_pieces},
      {"pipelined_requests", 512, pipelined_requests},
      {"queued_frames", 1024, queued_frames},
      {"peers_close", 128, peers_close},
      {"connections_time_out", 128, connections_time_out},
      {"websockets_time_out", 128, websockets_time_out},
      {"idle_connections_end", 128, idle_connections_end},
      {"addresses", 1024, addresses},
      {"forwarded_addresses", 512, forwarded_addresses},
      {"forwarded_lines", 256, forwarded_lines},
      {"sessions_of_a_reload", 256, sessions_of_a_reload},
      {"sessions_of_a_scale", 256, sessions_of_a_scale},
      {"handovers", 64, handovers},
      {"frames_of_a_stream", 1024, frames_of_a_stream},
  };
}

}  // namespace limpet::growth

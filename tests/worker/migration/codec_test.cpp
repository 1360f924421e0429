// What passes on a migration stream comes out as it went in, or not at all and with a reason.
#include "worker/migration/codec.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <functional>
#include <limits>
#include <sstream>

#include "base/limits.h"
#include "ipc/messages/frame_stream.h"
#include "limpet.capnp.h"
#include "tests/golden.h"
#include "worker/websocket/frame.h"

namespace limpet::migration {
namespace {

using namespace std::chrono_literals;
using std::chrono::milliseconds;
using testing::HasSubstr;
using websocket::make_frame;
using websocket::Opcode;

constexpr auto kMost16 = std::numeric_limits<std::uint16_t>::max();
constexpr auto kMost32 = std::numeric_limits<std::uint32_t>::max();
constexpr auto kMost64 = std::numeric_limits<std::uint64_t>::max();
constexpr milliseconds kLongest{std::int64_t{366} * 24 * 3600 * 1000};
constexpr const char* kSid = "abcdefghij0123456-_Z";
const std::string kAllBytes = [] {
  std::string all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  return all;
}();

ipc::Datagram datagram_of(std::vector<std::byte> bytes, std::size_t descriptors = 0) {
  ipc::Datagram datagram{.bytes = std::move(bytes), .descriptors = {}};
  while (datagram.descriptors.size() < descriptors) datagram.descriptors.emplace_back(::dup(0));
  return datagram;
}

// ---- everything that a message says, as text. The bindings fail to compile when a field is added, so that
// ---- nobody forgets it here.

class Teller {
 public:
  void tell(std::string_view text) { out_ << text.size() << ':' << text << ' '; }
  void tell(const std::string& text) { tell(std::string_view(text)); }
  void tell(bool value) { out_ << (value ? "yes " : "no "); }
  void tell(std::uint16_t value) { out_ << value << ' '; }
  void tell(std::uint32_t value) { out_ << value << ' '; }
  void tell(std::uint64_t value) { out_ << value << ' '; }
  void tell(std::int64_t value) { out_ << value << ' '; }
  void tell(milliseconds value) { out_ << value.count() << "ms "; }
  void tell(engineio::Transport value) { out_ << (value == engineio::Transport::Polling ? "poll " : "ws "); }
  void tell(SocketAct::Kind value) { out_ << static_cast<int>(value) << ' '; }
  void tell(const loop::Buffer& frame) { tell(frame.view()); }
  template <class... T>
  void tell_all(const T&... values) {
    out_ << '{';
    (tell(values), ...);
    out_ << '}';
  }
  void tell(const engineio::SessionImage::Fragments& from) {
    const auto& [binary, bytes] = from;
    tell_all(binary, bytes);
  }
  void tell(const engineio::SessionImage& from) {
    const auto& [sid, head, address, issued, transport, awaits_pong, timer, lingering, queue, fragments] =
        from;
    tell_all(sid, head, address, issued, transport, awaits_pong, timer, lingering, queue, fragments);
  }
  void tell(const socketio::SocketImage& from) {
    const auto& [nsp, id, rooms, data, auth, next_reply_id] = from;
    tell_all(nsp, id, rooms, data, auth, next_reply_id);
  }
  void tell(const socketio::ClientImage::Assembly& from) {
    const auto& [text, expected, attachments] = from;
    tell_all(text, expected, attachments);
  }
  void tell(const socketio::ClientImage& from) {
    const auto& [sockets, assembly, connect_timer] = from;
    tell_all(sockets, assembly, connect_timer);
  }
  void tell(const client::ConnectionImage& from) {
    const auto& [address, port, listener, one_request, placed, by_proxy, unread, unsent] = from;
    tell_all(address, port, listener, one_request, placed, by_proxy, unread, unsent);
  }
  void tell(const SessionRecord& from) {
    const auto& [engine, client, connection] = from;
    tell_all(engine, client, connection);
  }
  void tell(const socketio::RoomNames& from) {
    out_ << '[';
    for (const std::string_view name : from) tell(std::string(name));
    out_ << ']';
  }
  void tell(const adapter::RingPosition& from) {
    tell_all(from.writer.slot, from.writer.lane, from.writer.generation, from.sequence, from.ended);
  }
  void tell(const SessionBatch& from) {
    const auto& [positions, sessions] = from;
    tell_all(positions, sessions);
  }
  void tell(const HttpConnection& from) {
    const auto& [connection, asked] = from;
    tell_all(connection, asked);
  }
  void tell(const AllGiven&) { out_ << "all given"; }
  void tell(const Expecting&) { out_ << "expecting"; }
  void tell(const SocketAct& from) {
    const auto& [kind, nsp, id, room, close, frames] = from;
    tell_all(kind, nsp, id, room, close, frames);
  }
  void tell(const Took& from) {
    const auto& [count] = from;
    tell_all(count);
  }
  void tell(const SocketReply& from) {
    const auto& [nsp, id, text, attachments] = from;
    tell_all(nsp, id, text, attachments);
  }
  template <class T>
  void tell(const std::vector<T>& list) {
    out_ << '[';
    for (const T& each : list) tell(each);
    out_ << ']';
  }
  template <class T>
  void tell(const std::optional<T>& value) {
    if (value)
      tell(*value);
    else
      out_ << "none ";
  }
  [[nodiscard]] std::string story() const { return out_.str(); }

 private:
  std::ostringstream out_;
};

std::string story_of(const MigrationMessage& message) {
  Teller teller;
  teller.tell(static_cast<std::uint64_t>(message.index()));
  std::visit([&](const auto& body) { teller.tell(body); }, message);
  return teller.story();
}

void expect_back(const MigrationMessage& message, std::size_t descriptors = 0) {
  std::string why;
  const auto back = decode_migration_message(datagram_of(encode(message), descriptors), &why);
  ASSERT_TRUE(back) << why;
  EXPECT_EQ(story_of(*back), story_of(message));
  EXPECT_EQ(why, "");
}

// ---- every state of a session -----------------------------------------------------------------------------

SessionRecord polling() {
  SessionRecord session;
  session.engine.sid = kSid;
  session.engine.handshake_head = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: h\r\n\r\n";
  session.engine.address = "2001:db8::1";
  session.engine.issued_ms = 1'700'000'000'123;
  session.engine.timer = 12'345ms;
  return session;
}
SessionRecord websocket() {
  SessionRecord session = polling();
  session.engine.transport = engineio::Transport::WebSocket;
  session.connection = client::ConnectionImage{"127.0.0.9", 4711, 3, false, true, false, {}, {}};
  return session;
}
socketio::SocketImage joined(std::string nsp, std::string id) {
  return {std::move(nsp), std::move(id), {"room", "", kAllBytes}, R"({"name":"ä"})", R"({"token":1})", 17};
}

struct State {
  const char* name;
  std::function<SessionRecord()> make;
};
void PrintTo(const State& state, std::ostream* out) { *out << state.name; }

const State kStates[] = {
    {"PollingIdle", polling},
    {"PollingWithQueue",
     [] {
       SessionRecord session = polling();
       session.engine.queue = {make_frame(Opcode::Text, "4hello"), make_frame(Opcode::Binary, kAllBytes),
                               make_frame(Opcode::Text, ""),
                               make_frame(Opcode::Binary, std::string(70'000, 'x'))};
       return session;
     }},
    {"PollingAwaitingPong",
     [] {
       SessionRecord session = polling();
       session.engine.awaits_pong = true;
       session.engine.timer = 0ms;
       session.engine.queue = {make_frame(Opcode::Text, "2")};
       return session;
     }},
    {"PollingLingering",
     [] {
       SessionRecord session = polling();
       session.engine.lingering = true;
       session.engine.queue = {make_frame(Opcode::Text, "41")};
       return session;
     }},
    {"WebSocketIdle", websocket},
    {"WebSocketAwaitingPong",
     [] {
       SessionRecord session = websocket();
       session.engine.awaits_pong = true;
       session.engine.timer = kLongest;
       return session;
     }},
    {"WebSocketInTheMiddleOfAText",
     [] {
       SessionRecord session = websocket();
       session.engine.fragments = {false, "4[\"half"};
       return session;
     }},
    {"WebSocketInTheMiddleOfABinary",
     [] {
       SessionRecord session = websocket();
       session.engine.fragments = {true, kAllBytes};
       return session;
     }},
    {"WebSocketBehindAnEmptyFragment",
     [] {
       SessionRecord session = websocket();
       session.engine.fragments = {false, ""};
       return session;
     }},
    {"WebSocketWithUnreadBytes",
     [] {
       SessionRecord session = websocket();
       session.connection->unread = kAllBytes;
       return session;
     }},
    {"WebSocketWithUnsentBytes",
     [] {
       SessionRecord session = websocket();
       session.connection->unsent = kAllBytes + std::string(1 << 20, '\0');
       return session;
     }},
    {"RelayedWebSocket",
     [] {
       SessionRecord session = websocket();
       session.connection->one_request = true;
       return session;
     }},
    {"JoinedNothingYet",
     [] {
       SessionRecord session = websocket();
       session.client.connect_timer = 44'999ms;
       return session;
     }},
    {"MustJoinNow",
     [] {
       SessionRecord session = polling();
       session.client.connect_timer = 0ms;
       return session;
     }},
    {"JoinedOneNamespace",
     [] {
       SessionRecord session = websocket();
       session.client.sockets = {joined("/", kSid)};
       return session;
     }},
    {"JoinedSeveralNamespaces",
     [] {
       SessionRecord session = polling();
       session.client.sockets = {joined("/", kSid),
                                 joined("/admin", "zyxwvutsrq9876543210"),
                                 {"/bare", "bare-bare-bare-bare-", {}, {}, {}, kMost64}};
       return session;
     }},
    {"AwaitingAllAttachments",
     [] {
       SessionRecord session = websocket();
       session.client.sockets = {joined("/", kSid)};
       session.client.assembly = {R"(52-["f",{"_placeholder":true,"num":0}])", 2, {}};
       return session;
     }},
    {"AwaitingTheLastAttachment",
     [] {
       SessionRecord session = polling();
       session.client.assembly = {
           "53-[]", 3, {make_frame(Opcode::Binary, ""), make_frame(Opcode::Binary, kAllBytes)}};
       return session;
     }},
};

class SessionState : public testing::TestWithParam<State> {};
INSTANTIATE_TEST_SUITE_P(Each, SessionState, testing::ValuesIn(kStates),
                         [](const auto& each) { return std::string(each.param.name); });

TEST_P(SessionState, ComesBackAsItWas) {
  const SessionRecord session = GetParam().make();
  expect_back(SessionBatch{{}, {session}}, session.connection ? 1 : 0);
}

TEST(MigrationCodec, AllStatesTogetherComeBackInTheirOrder) {
  SessionBatch batch;
  batch.positions = {{{4095, 8192, kMost64}, kMost64}, {{0, 0, 0}, 0}, {{1, 2, 3}, 4}};
  for (const State& state : kStates) batch.sessions.push_back(state.make());
  expect_back(batch, descriptors_of(batch));
}

TEST(MigrationCodec, EveryMessageIsSentAsBuildsBeforeSendIt) {
  constexpr std::size_t kMostBytes = 8192;  // of what is long, one is enough
  limpet::test::Golden golden("tests/worker/migration/golden.txt");
  for (const State& state : kStates) {
    const std::vector<std::byte> bytes = encode(SessionBatch{{{{4095, 8192, kMost64}, 17}}, {state.make()}});
    if (bytes.size() <= kMostBytes) golden.expect(state.name, bytes);
  }
  const client::ConnectionImage connection{"192.0.2.1",          4711,          2, true, true, true,
                                           "GET / HTTP/1.1\r\n", "HTTP/1.1 200"};
  golden.expect("http_connection", encode(HttpConnection{connection, true}));
  golden.expect("all_given", encode(AllGiven{}));
  golden.expect(
      "emit",
      encode(SocketAct{SocketAct::Kind::Emit, "/", kSid, {}, false, {make_frame(Opcode::Text, "42[]")}}));
  golden.expect("join", encode(SocketAct{SocketAct::Kind::Join, "/", kSid, "room", false, {}}));
  golden.expect("leave", encode(SocketAct{SocketAct::Kind::Leave, "/", kSid, "room", false, {}}));
  golden.expect("disconnect", encode(SocketAct{SocketAct::Kind::Disconnect, "/", kSid, {}, true, {}}));
  golden.expect("took", encode(Took{18}));
  golden.expect("reply", encode(SocketReply{"/", kSid, "430[1]", {make_frame(Opcode::Binary, "x")}}));
  golden.expect("expecting", encode(Expecting{}));
  golden.expect_all_seen();
}

TEST(MigrationCodec, OnlySessionsWithAConnectionWantADescriptor) {
  EXPECT_EQ(descriptors_of({}), 0u);
  EXPECT_EQ(descriptors_of({{}, {polling(), websocket(), polling(), websocket()}}), 2u);
}

TEST(MigrationCodec, AQueueOfVeryManySmallMessagesComesBack) {
  SessionRecord session = polling();
  session.engine.queue.assign(1'500'000, make_frame(Opcode::Text, "42[]"));
  const std::vector<std::byte> frame = encode(SessionBatch{{}, {session}});
  ASSERT_LT(frame.size(), ipc::kFrameLimitBytes) << "it will be sent";
  std::string why;
  EXPECT_TRUE(decode_migration_message(datagram_of(frame), &why)) << why;
}

TEST(MigrationCodec, TheOtherMessagesComeBack) {
  expect_back(SessionBatch{});
  expect_back(HttpConnection{{"127.0.0.1", kMost16, kMost16, true, false, true, kAllBytes, kAllBytes}}, 1);
  expect_back(HttpConnection{}, 1);
  expect_back(HttpConnection{{}, true}, 1);
  expect_back(Expecting{});
  expect_back(AllGiven{});
  expect_back(Took{0});
  expect_back(Took{kMost64});
  using Kind = SocketAct::Kind;
  expect_back(SocketAct{Kind::Emit,
                        "/",
                        kSid,
                        "",
                        false,
                        {make_frame(Opcode::Text, "42[\"x\"]"), make_frame(Opcode::Binary, kAllBytes)}});
  expect_back(SocketAct{Kind::Join, "/admin", kSid, kAllBytes, false, {}});
  expect_back(SocketAct{Kind::Leave, "/", kSid, "", false, {}});
  expect_back(SocketAct{Kind::Disconnect, "/", kSid, "", true, {}});
  expect_back(SocketReply{"/", kSid, "430[]", {}});
  expect_back(SocketReply{"/admin", kSid, "61-/admin,1[]", {make_frame(Opcode::Binary, kAllBytes)}});
}

// ---- refusals ---------------------------------------------------------------------------------------------

std::string refusal_of(const ipc::Datagram& datagram) {
  std::string why;
  EXPECT_FALSE(decode_migration_message(datagram, &why).has_value());
  return why;
}
std::string refusal_of(const MigrationMessage& message, std::size_t descriptors = 0) {
  return refusal_of(datagram_of(encode(message), descriptors));
}
std::string refusal_of(const SessionRecord& session) {
  return refusal_of(SessionBatch{{}, {session}}, session.connection ? 1 : 0);
}
/// A message that our own encoder never makes.
std::string refusal_of(const std::function<void(wire::MigrationMessage::Builder)>& make,
                       std::size_t descriptors = 0) {
  capnp::MallocMessageBuilder builder;
  make(builder.initRoot<wire::MigrationMessage>());
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  std::vector<std::byte> copy(bytes.size());
  std::memcpy(copy.data(), bytes.begin(), bytes.size());
  return refusal_of(datagram_of(std::move(copy), descriptors));
}

TEST(MigrationCodecRefuses, WhatIsNoMessage) {
  EXPECT_THAT(refusal_of(datagram_of({})), HasSubstr("malformed"));
  EXPECT_EQ(refusal_of(datagram_of(std::vector<std::byte>(7))),
            "malformed: 7 bytes are not a whole number of words");
  EXPECT_THAT(refusal_of(datagram_of(std::vector<std::byte>(64, std::byte{0xff}))), HasSubstr("malformed"));
  std::vector<std::byte> longer = encode(Took{1});
  longer.resize(longer.size() + 8);
  EXPECT_THAT(refusal_of(datagram_of(std::move(longer))), HasSubstr("bytes behind the message"));
}

TEST(MigrationCodecRefuses, EveryMessageThatIsCutShort) {
  SessionBatch batch;
  batch.positions = {{{1, 2, 3}, 4}};
  for (const State& state : kStates) batch.sessions.push_back(state.make());
  batch.sessions.erase(batch.sessions.begin() + 1);  // that with the long frames
  const std::vector<std::byte> whole = encode(batch);
  for (std::size_t size = 8; size < whole.size(); size += 8 * (1 + size / 512)) {
    const auto begin = whole.begin();
    EXPECT_NE(
        refusal_of(datagram_of({begin, begin + static_cast<std::ptrdiff_t>(size)}, descriptors_of(batch))),
        "")
        << size;
  }
}

TEST(MigrationCodecRefuses, AMessageWithoutABody) {
  // The first member of the union, and nothing in it.
  EXPECT_THAT(refusal_of([](wire::MigrationMessage::Builder) {}), HasSubstr("no body"));
  EXPECT_THAT(refusal_of([](auto to) { to.initConnection(); }, 1), HasSubstr("no body"));
}

TEST(MigrationCodecRefuses, DescriptorsThatAreNotWhatItSays) {
  EXPECT_EQ(refusal_of(SessionBatch{{}, {websocket(), polling(), websocket()}}, 1),
            "wants 2 descriptors, got 1");
  EXPECT_EQ(refusal_of(SessionBatch{{}, {polling()}}, 1), "wants 0 descriptors, got 1");
  EXPECT_EQ(refusal_of(HttpConnection{}), "wants 1 descriptors, got 0");
  EXPECT_EQ(refusal_of(HttpConnection{}, 2), "wants 1 descriptors, got 2");
  EXPECT_EQ(refusal_of(Took{1}, 1), "wants 0 descriptors, got 1");
  EXPECT_EQ(refusal_of(AllGiven{}, 1), "wants 0 descriptors, got 1");
}

TEST(MigrationCodecRefuses, IdsOfAnotherLength) {
  for (const std::size_t size : {0u, 19u, 21u}) {
    const std::string id(size, 'x');
    SessionRecord session = polling();
    session.engine.sid = id;
    EXPECT_EQ(refusal_of(session), "a sid of " + std::to_string(size) + " bytes, wants 20");
    session = polling();
    session.client.sockets = {joined("/", id)};
    EXPECT_EQ(refusal_of(session), "a socket id of " + std::to_string(size) + " bytes, wants 20");
    EXPECT_THAT(refusal_of(SocketAct{SocketAct::Kind::Emit, "/", id, "", false, {}}),
                HasSubstr("a socket id of"));
    EXPECT_THAT(refusal_of(SocketReply{"/", id, "", {}}), HasSubstr("a socket id of"));
  }
}

TEST(MigrationCodecRefuses, NamesThatAreNoNamespace) {
  for (const char* name : {"", "admin", "\\"}) {
    SessionRecord session = polling();
    session.client.sockets = {joined(name, kSid)};
    EXPECT_THAT(refusal_of(session), HasSubstr("does not begin with '/'")) << name;
    EXPECT_THAT(refusal_of(SocketAct{SocketAct::Kind::Emit, name, kSid, "", false, {}}),
                HasSubstr("begin with"));
    EXPECT_THAT(refusal_of(SocketReply{name, kSid, "", {}}), HasSubstr("begin with"));
  }
}

TEST(MigrationCodecRefuses, TimesOutsideOfTheirRange) {
  for (const milliseconds time :
       {milliseconds(-1), milliseconds(-2), kLongest + 1ms, milliseconds::min(), milliseconds::max()}) {
    SessionRecord session = polling();
    session.engine.timer = time;
    EXPECT_EQ(refusal_of(session), "a time of " + std::to_string(time.count()) + " ms");
    if (time == -1ms) continue;  // of this one: there is none
    session = polling();
    session.client.connect_timer = time;
    EXPECT_EQ(refusal_of(session), "a time of " + std::to_string(time.count()) + " ms");
  }
}

TEST(MigrationCodecRefuses, ATransportThatContradictsTheConnection) {
  SessionRecord session = polling();
  session.connection = client::ConnectionImage{};
  EXPECT_EQ(refusal_of(session), "a WebSocket without a connection, or a poll with one");
  session = websocket();
  session.connection.reset();
  EXPECT_EQ(refusal_of(session), "a WebSocket without a connection, or a poll with one");
  session = websocket();
  session.engine.lingering = true;
  EXPECT_EQ(refusal_of(session), "a WebSocket that lingers");
}

TEST(MigrationCodecRefuses, APacketThatWaitsForNothing) {
  SessionRecord session = websocket();
  for (const std::uint32_t expected : {0u, 1u}) {
    session.client.assembly = {"51-[]", expected, {make_frame(Opcode::Binary, "x")}};
    EXPECT_EQ(refusal_of(session), "a packet that waits for attachments and has them");
  }
  session.client.assembly = {"51-[]", 0, {}};
  EXPECT_EQ(refusal_of(session), "a packet that waits for attachments and has them");
  session.client.assembly = {"51-[]", kMost32, {}};
  expect_back(SessionBatch{{}, {session}}, 1);
}

TEST(MigrationCodecRefuses, MoreSessionsThanOneBatchHas) {
  SessionBatch batch;
  batch.sessions.assign(64, polling());
  expect_back(batch);
  batch.sessions.push_back(polling());
  EXPECT_EQ(refusal_of(batch), "too many sessions");
}

TEST(MigrationCodecRefuses, MorePositionsThanThereAreRings) {
  SessionBatch batch;
  batch.positions.assign(base::kLaneLimit + 1024, {{1, 2, 3}, 4});
  expect_back(batch);
  batch.positions.push_back({});
  EXPECT_EQ(refusal_of(batch), "too many ring positions");
}

TEST(MigrationCodecRefuses, WritersThatCannotBe) {
  EXPECT_THAT(refusal_of(SessionBatch{{{{4096, 0, 1}, 1}}, {}}), HasSubstr("slot 4096"));
  EXPECT_THAT(refusal_of(SessionBatch{{{{0, 8193, 1}, 1}}, {}}), HasSubstr("lane 8193"));
}

TEST(MigrationCodecRefuses, EnumerantsThatItDoesNotKnow) {
  EXPECT_EQ(refusal_of([](auto to) {
              auto session = to.initSessions().initSessions(1)[0];
              session.setSid({reinterpret_cast<const capnp::byte*>(kSid), 20});
              session.setTransport(static_cast<wire::SessionRecord::Transport>(2));
            }),
            "unknown transport 2");
  EXPECT_EQ(refusal_of([](auto to) { to.initAct().setKind(static_cast<wire::SocketAct::Kind>(4)); }),
            "unknown kind 4");
}

}  // namespace
}  // namespace limpet::migration

#include "worker/slot/relay.h"

#include <gmock/gmock.h>

#include <random>

#include "tests/worker/client/clients_kit.h"
#include "worker/http/request.h"

namespace limpet::slot::test {

using namespace client::test;

namespace {

std::string request_of(std::string_view body) {
  return "POST /socket.io/?EIO=4&transport=polling&sid=AAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: "
         "x\r\nContent-Length: " +
         std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string response_of(std::string_view body) {
  return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
         "\r\nConnection: keep-alive\r\n\r\n" + std::string(body);
}

const std::string kGet = "GET / HTTP/1.1\r\nHost: x\r\n\r\n";
constexpr std::size_t kHeaderBytes = 16384;

/// A client here, an owner that the test plays at the far end of the socket pair.
class RelayTest : public ClientsTest {
 protected:
  /// `request`: its head at least. `unread`: what of it was read before.
  void start(std::string_view request, std::string_view unread = {}) {
    auto [ours, client] = socket_pair();
    auto [near, far] = socket_pair();
    shrink_send_buffer(ours);
    shrink_send_buffer(near);
    shrink_send_buffer(far);
    client_ = Peer(std::move(client));
    owner_ = Peer(std::move(far));
    Recorder before;
    client::ClientConnection* stream = adopt(std::move(ours), before, unread);
    const auto parsed = http::parse_head(request, kHeaderBytes);
    ASSERT_EQ(parsed.status, http::HeadStatus::Complete);
    Relay::start(*stream, *adopt(std::move(near), before), parsed.head, kHeaderBytes,
                 [this](loop::Stream& served) {
                   ++done_;
                   served.set_receiver(&recorder_);
                 });
  }

  Peer client_;
  Peer owner_;
  int done_ = 0;
};

TEST_F(RelayTest, RequestAndResponsePassByteForByteHoweverTheyAreCut) {
  std::mt19937 random(7);
  for (int round = 0; round < 60; ++round) {
    const std::string request = request_of(pattern(random() % 3000, random()));
    const std::string response = response_of(pattern(random() % 3000, random()));
    const std::string next = "GET /next HTTP/1.1\r\n\r\n";
    recorder_.received.clear();
    done_ = 0;
    start(request);

    const std::string sent = request + next;  // pipelined
    std::string at_owner;
    for (std::size_t at = 0; at < sent.size();) {
      at += client_.write(std::string_view(sent).substr(at, 1 + random() % 700));
      turn();
      at_owner += owner_.read();
    }
    ASSERT_TRUE(at_owner == request) << "round " << round
                                     << ": the owner gets the request and not a byte more";
    EXPECT_EQ(recorder_.received, "") << "the next request waits for the response";

    std::string at_client;
    for (std::size_t at = 0; at < response.size();) {
      ASSERT_EQ(done_, 0) << at;
      at += owner_.write(std::string_view(response).substr(at, 1 + random() % 700));
      turn();
      at_client += client_.read();
    }
    ASSERT_TRUE(at_client == response) << "round " << round;
    EXPECT_EQ(done_, 1);
    turn();
    turn();
    EXPECT_EQ(recorder_.received, next) << "served here, by the next receiver";
    (void)owner_.read();
    EXPECT_TRUE(owner_.at_end()) << "the owner's end is closed";
    clients_.close_all();
  }
}

TEST_F(RelayTest, ARequestThatHadBeenReadAlreadyPassesToo) {
  const std::string request = request_of("body");
  start(request, request + "GET /next");
  turn();
  EXPECT_EQ(owner_.read(), request);
  owner_.write(response_of("ok"));
  turn();
  turn();
  EXPECT_EQ(client_.read(), response_of("ok"));
  EXPECT_EQ(recorder_.received, "GET /next");
}

TEST_F(RelayTest, AResponseWithoutBodyEndsWithItsHead) {
  start(kGet, kGet);
  turn();
  owner_.write("HTTP/1.1 204 No Content\r\nConnection: keep-alive\r\n\r");
  turn();
  EXPECT_EQ(done_, 0);
  owner_.write("\n");
  turn();
  EXPECT_EQ(done_, 1);
}

TEST_F(RelayTest, AHeadersNameMayBeWrittenAnyWay) {
  start(kGet, kGet);
  turn();
  owner_.write("HTTP/1.1 200 OK\r\ncOnTeNt-lEnGtH: 3\r\n\r\nab");
  turn();
  EXPECT_EQ(done_, 0);
  owner_.write("c");
  turn();
  EXPECT_EQ(done_, 1);
}

TEST_F(RelayTest, AnInterimResponseIsNotTheEnd) {
  start(kGet, kGet);
  turn();
  owner_.write("HTTP/1.1 100 Continue\r\n\r\n");
  turn();
  EXPECT_EQ(client_.read(), "HTTP/1.1 100 Continue\r\n\r\n");
  EXPECT_EQ(done_, 0);
  owner_.write("HTTP/1.1 100 Continue\r\n\r\n" + response_of("ok"));
  turn();
  EXPECT_EQ(client_.read(), "HTTP/1.1 100 Continue\r\n\r\n" + response_of("ok"));
  EXPECT_EQ(done_, 1);
}

TEST_F(RelayTest, ASlowClientMakesTheOwnerWaitAndGetsEverything) {
  start(kGet, kGet);
  turn();
  const std::string response = response_of(pattern(8'000'000));
  std::size_t sent = 0;
  for (int idle = 0; idle < 3;) {  // until the owner can write no more
    const std::size_t more = owner_.write(std::string_view(response).substr(sent));
    idle = more == 0 ? idle + 1 : 0;
    sent += more;
    turn();
  }
  EXPECT_LT(sent, 1'000'000u) << "held here: not more than the high-water mark and the sockets' buffers";
  EXPECT_EQ(done_, 0);
  std::string got;
  while (got.size() < response.size()) {
    const std::string some = client_.read(100'000);
    got += some;
    turn();
    sent += owner_.write(std::string_view(response).substr(sent));
    turn();
    ASSERT_TRUE(!some.empty() || clients_.has_work() || client_.wait_for(POLLIN)) << got.size();
  }
  EXPECT_TRUE(got == response);
  EXPECT_EQ(done_, 1);
}

TEST_F(RelayTest, ASlowOwnerMakesTheClientWaitAndGetsEverything) {
  const std::string request = request_of(pattern(8'000'000));
  start(request);
  std::size_t sent = 0;
  for (int idle = 0; idle < 3;) {
    const std::size_t more = client_.write(std::string_view(request).substr(sent));
    idle = more == 0 ? idle + 1 : 0;
    sent += more;
    turn();
  }
  EXPECT_LT(sent, 1'000'000u);
  std::string got;
  while (got.size() < request.size()) {
    const std::string some = owner_.read(100'000);
    got += some;
    turn();
    sent += client_.write(std::string_view(request).substr(sent));
    turn();
    ASSERT_TRUE(!some.empty() || clients_.has_work() || owner_.wait_for(POLLIN)) << got.size();
  }
  EXPECT_TRUE(got == request);
}

TEST_F(RelayTest, AnOwnerThatDiesInMidResponseEndsTheClientsConnection) {
  for (const std::string& part : {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-Le"),
                                  response_of("response").substr(0, response_of("response").size() - 1)}) {
    start(kGet, kGet);
    turn();
    owner_.write(part);
    turn();
    owner_.close();
    ASSERT_TRUE(turn_until([&] { return clients_.open() == 0; }));
    EXPECT_TRUE(part.starts_with(client_.read()));
    (void)client_.read();
    EXPECT_TRUE(client_.at_end());
    EXPECT_EQ(done_, 0);
  }
}

TEST_F(RelayTest, AClientThatGoesAwayEndsTheOwnersRequest) {
  const std::string request = request_of("body");
  start(request, request);
  turn();
  client_.close();
  ASSERT_TRUE(turn_until([&] { return clients_.open() == 0; }));
  EXPECT_EQ(owner_.read(), request);
  EXPECT_TRUE(owner_.at_end());
  EXPECT_EQ(done_, 0);
}

TEST_F(RelayTest, AChunkedRequestPassesToItsEndAndNotAByteFurtherHoweverItIsCut) {
  const std::string next = "GET /next HTTP/1.1\r\n\r\n";
  const std::string request =
      "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
      "5;name=value\r\nhello\r\nA\r\n0\r\n\r\n67890\r\n0\r\nTrailer: t\r\n\r\n";
  const std::string sent = request + next;
  for (std::size_t cut = 1; cut < sent.size(); ++cut) {
    recorder_.received.clear();
    done_ = 0;
    start(request);
    client_.write(sent.substr(0, cut));
    turn();
    std::string at_owner = owner_.read();
    client_.write(sent.substr(cut));
    turn();
    at_owner += owner_.read();
    ASSERT_EQ(at_owner, request) << "cut at " << cut;
    owner_.write(response_of("ok"));
    turn();
    turn();
    ASSERT_EQ(done_, 1);
    ASSERT_EQ(recorder_.received, next) << "cut at " << cut;
    clients_.close_all();
  }
}

TEST_F(RelayTest, BadChunksGoToTheOwnerAndNothingBehindThemIsARequest) {
  const std::string head = "POST /x HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const std::string& bad :
       {std::string("zz\r\n\r\nGET /smuggled HTTP/1.1\r\n\r\n"), "1" + std::string(kHeaderBytes + 1, ' ')}) {
    start(head);
    client_.write(head);
    turn();
    client_.write(bad);
    turn();
    turn();
    owner_.write("HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    turn();
    turn();
    EXPECT_THAT(client_.read(), testing::StartsWith("HTTP/1.1 400"));
    (void)client_.read();
    EXPECT_TRUE(client_.at_end());
    EXPECT_EQ(done_, 0);
    EXPECT_EQ(recorder_.received, "");
    clients_.close_all();
  }
}

TEST_F(RelayTest, AnAnswerBeforeTheBodyHasPassedEndsTheConnection) {
  const std::string request = request_of(std::string(1000, 'x'));
  start(request);
  client_.write(request.substr(0, 500));
  turn();
  owner_.write("HTTP/1.1 413 Payload Too Large\r\nContent-Length: 0\r\n\r\n");
  turn();
  turn();
  EXPECT_THAT(client_.read(), testing::StartsWith("HTTP/1.1 413"));
  client_.write(request.substr(500));
  turn();
  (void)client_.read();
  EXPECT_TRUE(client_.at_end());
  EXPECT_EQ(recorder_.received, "") << "the rest of the body is no request";
}

TEST_F(RelayTest, AResponseThatEndsItsConnectionEndsTheClients) {
  start(kGet, kGet);
  turn();
  owner_.write("HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
  turn();
  turn();
  EXPECT_THAT(client_.read(), testing::EndsWith("ok"));
  (void)client_.read();
  EXPECT_TRUE(client_.at_end());
  EXPECT_EQ(done_, 0);
}

TEST_F(RelayTest, TheResponseToAHeadHasNoBody) {
  const std::string head = "HEAD / HTTP/1.1\r\nHost: x\r\n\r\n";
  start(head, head);
  turn();
  owner_.write("HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
  turn();
  EXPECT_EQ(done_, 1);
}

TEST_F(RelayTest, AnAcceptedUpgradePassesEveryByteBothWaysUntilOneSideEnds) {
  const std::string request =
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  start(request, request + "too early");
  turn();
  EXPECT_EQ(owner_.read(), request) << "the rest belongs to whatever the answer makes of the connection";
  owner_.write("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\r\nfirst");
  turn();
  turn();
  EXPECT_THAT(client_.read(), testing::EndsWith("\r\n\r\nfirst"));
  EXPECT_EQ(owner_.read(), "too early");
  client_.write("to the owner");
  owner_.write("HTTP/1.1 is not looked for any more\r\n\r\n");
  turn();
  EXPECT_EQ(owner_.read(), "to the owner");
  EXPECT_EQ(client_.read(), "HTTP/1.1 is not looked for any more\r\n\r\n");
  owner_.write("last words");
  owner_.close();
  ASSERT_TRUE(turn_until([&] { return clients_.open() == 1; }));
  turn();
  EXPECT_EQ(client_.read(), "last words");
  EXPECT_TRUE(client_.at_end());
  EXPECT_EQ(done_, 0);
}

TEST_F(RelayTest, ARefusedUpgradeIsAResponseLikeAnyOther) {
  const std::string request =
      "GET / HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n";
  start(request, request + "GET /next");
  turn();
  owner_.write(response_of("no"));
  turn();
  turn();
  EXPECT_EQ(done_, 1);
  EXPECT_EQ(recorder_.received, "GET /next");
}

TEST_F(RelayTest, AllIsFreedWhenTheWorkerEnds) {
  start(request_of("whole"), request_of("whole").substr(0, 20));
  turn();
  clients_.close_all();
  EXPECT_EQ(clients_.open(), 0u);
  EXPECT_EQ(done_, 0);
}

}  // namespace
}  // namespace limpet::slot::test

#include "worker/http/server.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <deque>
#include <functional>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/worker/memory_stream.h"
#include "tests/worker/plenty.h"

namespace limpet::http {
namespace {

using namespace std::chrono_literals;
using test::MemoryStream;

constexpr std::string_view kGet = "GET /a HTTP/1.1\r\nHost: h\r\n\r\n";

std::string post(std::string_view body, std::string_view more = {}) {
  return "POST /a HTTP/1.1\r\nHost: h\r\n" + std::string(more) +
         "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + std::string(body);
}

std::string chunked(std::initializer_list<std::string_view> pieces, std::string_view trailer = {}) {
  std::string bytes = "POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  for (const auto piece : pieces) {
    char size[20];
    std::snprintf(size, sizeof size, "%zx\r\n", piece.size());
    bytes += size + std::string(piece) + "\r\n";
  }
  return bytes + "0\r\n" + std::string(trailer) + "\r\n";
}

/// Answers at once with the body it got, or parks.
class Handler final : public RequestHandler {
 public:
  Route route(loop::Stream& stream, const RequestHead& head, std::size_t bytes_after_head) override {
    routed.emplace_back(std::string(head.target), bytes_after_head);
    if (later) return Route::Later;
    if (head.target != take_target) return Route::Here;
    taken_bytes.assign(head.raw.data(), head.raw.size() + bytes_after_head);
    static_cast<MemoryStream&>(stream).take();
    return Route::Taken;
  }
  std::size_t body_limit(const RequestHead&) override { return limit; }
  std::unique_ptr<AwaitedBody> on_body_awaited(const RequestHead& head) override {
    struct Awaited final : AwaitedBody {
      explicit Awaited(int& counter) : count(counter) { ++count; }
      ~Awaited() override { --count; }
      [[nodiscard]] std::string_view sid() const noexcept override { return "some sid"; }
      int& count;
    };
    return head.target == "/nobody" ? nullptr : std::make_unique<Awaited>(awaited);
  }
  void on_request(Exchange exchange, const Request& request) override {
    EXPECT_EQ(awaited, 0);
    targets.emplace_back(request.head.target);
    bodies.emplace_back(request.body);
    if (park) {
      parked.push_back(std::move(exchange));
      parked.back().on_abandoned([this] { ++abandoned; });
    } else if (answer) {
      answer(exchange, request);
    } else {
      exchange.answer(Response(200, "text/plain", std::string(request.body)));
    }
  }

  std::function<void(Exchange&, const Request&)> answer;
  std::string take_target = "(none)";
  std::string taken_bytes;
  std::size_t limit = 1'000'000;
  bool park = false;
  bool later = false;
  int awaited = 0;
  int abandoned = 0;
  std::vector<std::pair<std::string, std::size_t>> routed;
  std::vector<std::string> targets;
  std::vector<std::string> bodies;
  std::vector<Exchange> parked;
};

class HttpServer : public testing::Test {
 protected:
  HttpServer() { server.adopt(stream); }

  static std::string ok(std::string_view body) {
    return "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " + std::to_string(body.size()) +
           "\r\n\r\n" + std::string(body);
  }
  std::string status_line() {
    const auto sent = stream.sent();
    return sent.substr(0, sent.find("\r\n"));
  }

  Handler handler;
  Server server{handler, {.header_bytes = 1000}};
  MemoryStream stream;
};

TEST_F(HttpServer, AnswersARequest) {
  stream.receive(kGet);
  EXPECT_EQ(stream.sent(), ok(""));
  EXPECT_FALSE(stream.finished());
  EXPECT_EQ(stream.waiting(), loop::Stream::Waiting::NextRequest);
}

TEST_F(HttpServer, TakesARequestSplitAtAnyByteAndLeavesItUnreadUntilItIsWhole) {
  const std::string bytes = post("hello");
  for (std::size_t split = 1; split < bytes.size(); ++split) {
    stream.receive(bytes.substr(0, split));
    EXPECT_EQ(stream.unread(), bytes.substr(0, split));
    EXPECT_EQ(stream.waiting(),
              split < bytes.size() - 5 ? loop::Stream::Waiting::Header : loop::Stream::Waiting::Body)
        << split;
    stream.receive(bytes.substr(split));
    EXPECT_EQ(stream.take_sent(), ok("hello")) << split;
    EXPECT_EQ(stream.unread(), "");
  }
}

TEST_F(HttpServer, TakesAChunkedBodySplitAtAnyByte) {
  const std::string bytes = chunked({"hel", "lo", std::string(300, 'x')}, "Trailer: x\r\n");
  for (std::size_t split = 1; split < bytes.size(); ++split) {
    stream.receive(bytes.substr(0, split));
    EXPECT_EQ(stream.unread(), bytes.substr(0, split));
    stream.receive(bytes.substr(split));
    EXPECT_EQ(stream.take_sent(), ok("hello" + std::string(300, 'x'))) << split;
  }
}

TEST_F(HttpServer, TakesRequestsByteByByte) {
  for (const char c : post("one") + chunked({"two", "!"}) + std::string(kGet)) stream.receive({&c, 1});
  EXPECT_EQ(stream.sent(), ok("one") + ok("two!") + ok(""));
}

TEST_F(HttpServer, ConsumesABodyThatIsTooLongToStayUnread) {
  const std::string body(3 * kMaxUnreadBytes, 'b');
  const std::string bytes = post(body);
  stream.receive(bytes.substr(0, 1000));
  stream.receive(bytes.substr(1000, kMaxUnreadBytes));
  EXPECT_LT(stream.unread().size(), 1000u);
  stream.receive(bytes.substr(1000 + kMaxUnreadBytes) + std::string(kGet));
  EXPECT_EQ(stream.sent(), ok(body) + ok(""));
  EXPECT_EQ(handler.targets, (std::vector<std::string>{"/a", "/a"}));
}

TEST_F(HttpServer, ConsumesAChunkedBodyThatIsTooLongToStayUnread) {
  const std::string piece(50'000, 'p');
  const std::string bytes = chunked({piece, piece, piece, piece}) + std::string(kGet);
  for (std::size_t at = 0; at < bytes.size(); at += 777) {
    stream.receive(std::string_view(bytes).substr(at, 777));
    EXPECT_LE(stream.unread().size(), kMaxUnreadBytes + 777);
  }
  EXPECT_EQ(stream.sent(), ok(piece + piece + piece + piece) + ok(""));
}

/// Bytes of a request with a body of 950,000 bytes, up to the 900,000th of these.
std::vector<std::string> unfinished_bodies() {
  const std::string counted = post(std::string(950'000, 'x'));
  const std::string half(450'000, 'x');
  const std::string chunks = chunked({half, half});
  return {counted.substr(0, counted.size() - 50'000), chunks.substr(0, chunks.size() - 5)};
}

TEST_F(HttpServer, HoldsABodyForItsStreamUntilItIsHandedOver) {
  handler.limit = 950'000;
  handler.answer = [this](Exchange& exchange, const Request&) {
    EXPECT_EQ(stream.held, 0);
    exchange.answer(Response(200));
  };
  for (const auto& [begin, end] : {std::pair(unfinished_bodies()[0], std::string(50'000, 'x')),
                                   std::pair(unfinished_bodies()[1], std::string("0\r\n\r\n"))}) {
    for (std::size_t at = 0; at < begin.size(); at += 60'000) {
      stream.receive(std::string_view(begin).substr(at, 60'000));
      const std::size_t received = std::min(at + 60'000, begin.size());
      ASSERT_GE(stream.held + 100, static_cast<std::ptrdiff_t>(received - stream.unread().size()));
      // A client that has sent little is not given much.
      ASSERT_LE(stream.held, static_cast<std::ptrdiff_t>(8 * received + 2'000));
    }
    EXPECT_LT(stream.held, 1'900'000);
    stream.receive(end);
    EXPECT_EQ(status_line(), "HTTP/1.1 200 OK");
    EXPECT_EQ(stream.held, 0);
    stream.take_sent();
  }
}

TEST_F(HttpServer, MakesRoomForTheRestOfALongBodyAtOnce) {
  stream.receive(unfinished_bodies()[0]);
  EXPECT_GT(stream.held, 950'000);
  EXPECT_LT(stream.held, 952'000);
}

TEST_F(HttpServer, GivesBackWhatItHeldForABodyThatIsGivenUp) {
  const std::vector<std::function<void(MemoryStream&)>> ends = {
      [](MemoryStream& one) { one.close(); },
      [this](MemoryStream&) { server.end_unfinished(test::plenty()); },
      [](MemoryStream& one) { one.receive("x\r\n" + std::string(1'000'000, 'x')); },
  };
  for (const std::string& bytes : unfinished_bodies()) {
    for (const auto& end : ends) {
      MemoryStream one;
      server.adopt(one);
      one.receive(bytes);
      ASSERT_GT(one.held, 850'000);
      end(one);
      EXPECT_EQ(one.held, 0);
      one.close();
    }
  }
}

TEST_F(HttpServer, TakesABodyOfExactlyTheLimitAndRefusesMoreWith413) {
  handler.limit = 10;
  stream.receive(post("0123456789"));
  stream.receive(chunked({"01234", "56789"}));
  EXPECT_EQ(stream.take_sent(), ok("0123456789") + ok("0123456789"));
  stream.receive(post("0123456789x").substr(0, 60));
  EXPECT_EQ(status_line(), "HTTP/1.1 413 Payload Too Large");
  EXPECT_TRUE(stream.finished());
  EXPECT_NE(stream.sent().find("Connection: close"), std::string::npos);
  EXPECT_EQ(handler.targets.size(), 2u);
}

TEST_F(HttpServer, RefusesAChunkedBodyAboveTheLimitWith413) {
  handler.limit = 10;
  stream.receive(chunked({"01234", "56789", "x"}));
  EXPECT_EQ(status_line(), "HTTP/1.1 413 Payload Too Large");
  EXPECT_TRUE(handler.targets.empty());
}

TEST_F(HttpServer, RefusesABrokenChunkWith400) {
  stream.receive("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n");
  EXPECT_EQ(status_line(), "HTTP/1.1 400 Bad Request");
  EXPECT_TRUE(stream.finished());
}

TEST_F(HttpServer, RefusesAChunkExtensionWithoutEnd) {
  stream.receive("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5;");
  for (int i = 0; i < 20 && !stream.finished(); ++i) stream.receive(std::string(100, 'x'));
  EXPECT_EQ(status_line(), "HTTP/1.1 400 Bad Request");
}

TEST_F(HttpServer, TakesALongBodyInChunksOfOneByteAndLetsNoneOfTheirFramingCount) {
  std::string bytes = chunked({});
  bytes.resize(bytes.size() - 5);  // but for the last chunk
  const std::size_t head_bytes = bytes.size();
  for (int i = 0; i < 100'000; ++i) bytes += i % 2 == 0 ? "1\r\nx\r\n" : "00000001\r\nx\r\n";
  stream.receive(bytes);
  EXPECT_EQ(stream.unread(), "\r\n") << "the end of a chunk is taken with the next one";
  EXPECT_EQ(stream.discounted, bytes.size() - head_bytes - 100'000 - 2);
  stream.receive("0\r\n\r\n");
  EXPECT_EQ(stream.sent(), ok(std::string(100'000, 'x')));
}

TEST_F(HttpServer, RefusesABodyWithMoreExtensionsThanABodyNeeds) {
  const std::string chunk = "1;" + std::string(94, 'x') + "\r\nx\r\n";  // 100 bytes around one
  std::string head = chunked({});
  stream.receive(head.substr(0, head.size() - 5));
  int chunks = 0;
  for (; chunks < 1000 && !stream.finished(); ++chunks) stream.receive(chunk);
  EXPECT_EQ(chunks, 12) << "12 × 100 bytes are more than 1,000 + 12 × 16";
  EXPECT_EQ(status_line(), "HTTP/1.1 400 Bad Request");
}

TEST_F(HttpServer, RefusesWhatIsNoRequestAndEnds) {
  stream.receive("nonsense\r\n\r\n");
  EXPECT_EQ(status_line(), "HTTP/1.1 400 Bad Request");
  EXPECT_TRUE(stream.finished());
  stream.close();
  EXPECT_EQ(server.connection_count(), 0u);
  EXPECT_EQ(server.counts().bad_requests, 1u);
  EXPECT_EQ(server.counts().errors, 1u);
}

TEST_F(HttpServer, RefusesAHeadThatIsTooLongWith431) {
  stream.receive("GET / HTTP/1.1\r\nX: " + std::string(1000, 'x'));
  EXPECT_EQ(status_line(), "HTTP/1.1 431 Request Header Fields Too Large");
  EXPECT_TRUE(stream.finished());
}

TEST_F(HttpServer, SaysTheDateOfItsClockInAnswersAndRefusalsAlike) {
  loop::Clock clock;
  clock.set_wall_time(784'111'777);
  Server dated(handler, {.header_bytes = 1000, .clock = &clock});
  for (const std::string_view bytes : {kGet, std::string_view("nonsense\r\n\r\n")}) {
    MemoryStream one;
    dated.adopt(one);
    one.receive(bytes);
    EXPECT_NE(one.sent().find("\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), std::string::npos)
        << one.sent();
    one.close();
  }
}

TEST_F(HttpServer, RefusesAHeadWithALineFeedAloneBeforeItsEndHasCome) {
  stream.receive("GET /a HTTP/1.1\r\nHo");
  stream.receive("st: h\n");
  EXPECT_EQ(status_line(), "HTTP/1.1 400 Bad Request");
  EXPECT_TRUE(stream.finished());
  EXPECT_TRUE(handler.routed.empty());
}

TEST_F(HttpServer, RefusesChunksWhoseLinesAreNone) {
  for (const std::string_view body :
       {"5\nhello\r\n0\r\n\r\n", "5;a\nb\r\nhello\r\n0\r\n\r\n", "5\r\nhello\n0\r\n\r\n",
        "5\r\nhelloX\r\n0\r\n\r\n", "0x5\r\nhello\r\n0\r\n\r\n", "-5\r\nhello\r\n0\r\n\r\n",
        "fffffffffffffffff\r\nhello\r\n", "5\r\nhello\r\n0\r\nA : b\r\n\r\n", "\r\n0\r\n\r\n"}) {
    MemoryStream one;
    server.adopt(one);
    one.receive("POST /a HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + std::string(body));
    EXPECT_EQ(one.sent().substr(0, 12), "HTTP/1.1 400") << body;
    one.close();
  }
  EXPECT_TRUE(handler.targets.empty());
}

TEST_F(HttpServer, Answers501ToAMethodThatNobodyKnowsAsksNobodyAndGoesOn) {
  std::string odd = post("body");
  odd.replace(0, 4, "BREW");
  stream.receive(odd + std::string(kGet));
  EXPECT_EQ(stream.sent(), "HTTP/1.1 501 Not Implemented\r\nContent-Length: 0\r\n\r\n" + ok(""));
  EXPECT_EQ(handler.routed.size(), 1u);
}

TEST_F(HttpServer, AnswersPipelinedRequestsInOrder) {
  stream.receive(post("1") + "\r\n" + post("2") + std::string(kGet));
  EXPECT_EQ(stream.sent(), ok("1") + ok("2") + ok(""));
}

TEST_F(HttpServer, LetsPipelinedRequestsWaitForAParkedOne) {
  handler.park = true;
  stream.receive(post("1") + post("2"));
  EXPECT_EQ(handler.bodies, std::vector<std::string>{"1"});
  EXPECT_TRUE(stream.paused());
  EXPECT_EQ(stream.waiting(), loop::Stream::Waiting::Response);
  EXPECT_EQ(stream.unread(), post("2"));
  handler.park = false;
  handler.parked[0].answer(Response(200, "text/plain", "late"));
  EXPECT_FALSE(handler.parked[0].open());
  EXPECT_FALSE(stream.paused());
  EXPECT_EQ(stream.sent(), ok("late"));
  stream.deliver();
  EXPECT_EQ(stream.sent(), ok("late") + ok("2"));
}

TEST_F(HttpServer, Answers500ForAnExchangeThatIsDropped) {
  handler.answer = [](Exchange&, const Request&) {};
  stream.receive(kGet);
  EXPECT_EQ(status_line(), "HTTP/1.1 500 Internal Server Error");
  handler.park = true;
  stream.take_sent();
  stream.receive(kGet);
  handler.parked.clear();
  EXPECT_EQ(status_line(), "HTTP/1.1 500 Internal Server Error");
}

TEST_F(HttpServer, TellsWhenTheClientLeavesBeforeItsAnswer) {
  handler.park = true;
  stream.receive(kGet);
  stream.close();
  EXPECT_EQ(handler.abandoned, 1);
  EXPECT_FALSE(handler.parked[0].open());
  handler.parked[0].answer(Response(200));
  EXPECT_EQ(stream.sent(), "");
  EXPECT_EQ(server.connection_count(), 0u);
}

TEST_F(HttpServer, LetsTheAbandonedCallbackDestroyTheExchange) {
  std::optional<Exchange> kept;
  handler.answer = [&](Exchange& exchange, const Request&) {
    kept.emplace(std::move(exchange));
    kept->on_abandoned([&] { kept.reset(); });
  };
  stream.receive(kGet);
  stream.close();
  EXPECT_FALSE(kept.has_value());
}

TEST_F(HttpServer, ClosesBehindTheAnswerIfTheClientOrTheHandlerWantsIt) {
  stream.receive("GET /a HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n" + std::string(kGet));
  EXPECT_EQ(stream.sent(),
            "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
  EXPECT_TRUE(stream.finished());
  EXPECT_EQ(handler.targets.size(), 1u);
}

TEST_F(HttpServer, SaysKeepAliveToHttp10ClientsThatAskForIt) {
  stream.receive("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  EXPECT_NE(stream.sent().find("Connection: keep-alive\r\n"), std::string::npos);
  EXPECT_FALSE(stream.finished());
  stream.take_sent();
  stream.receive("GET /a HTTP/1.0\r\n\r\n");
  EXPECT_TRUE(stream.finished());
}

TEST_F(HttpServer, AnswersHeadWithTheLengthAndWithoutTheBody) {
  handler.answer = [](Exchange& exchange, const Request&) {
    exchange.answer(Response(200, "text/plain", "12345"));
  };
  stream.receive("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(stream.sent(), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 5\r\n\r\n");
}

TEST_F(HttpServer, SaysContinueToAClientThatWaitsForIt) {
  const std::string bytes = post("hello", "Expect: 100-continue\r\n");
  stream.receive(bytes.substr(0, bytes.size() - 5));
  EXPECT_EQ(stream.take_sent(), "HTTP/1.1 100 Continue\r\n\r\n");
  stream.receive("hello");
  EXPECT_EQ(stream.take_sent(), ok("hello"));
  stream.receive(bytes);
  EXPECT_EQ(stream.take_sent(), ok("hello")) << "the body was there already";
  handler.limit = 2;
  stream.receive(bytes.substr(0, bytes.size() - 5));
  EXPECT_EQ(status_line(), "HTTP/1.1 413 Payload Too Large");
}

TEST_F(HttpServer, ConsumesNothingOfARequestThatIsTakenAway) {
  handler.take_target = "/away";
  const std::string away = "POST /away HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhel";
  stream.receive(std::string(kGet) + away);
  EXPECT_EQ(stream.sent(), ok(""));
  EXPECT_EQ(handler.taken_bytes, away);
  EXPECT_EQ(handler.targets.size(), 1u);
  EXPECT_EQ(server.connection_count(), 0u);
  EXPECT_EQ(server.counts().taken, 1u);
}

TEST_F(HttpServer, AsksForTheRouteOncePerRequest) {
  const std::string bytes = post("hello");
  for (const char c : bytes) stream.receive({&c, 1});
  EXPECT_EQ(handler.routed.size(), 1u);
  EXPECT_EQ(handler.routed[0].second, 0u);
}

TEST_F(HttpServer, TellsThatABodyIsAwaitedUntilItIsThereOrGivenUp) {
  const std::string bytes = post("hello");
  stream.receive(bytes.substr(0, bytes.size() - 6));
  EXPECT_EQ(handler.awaited, 0) << "the head is not complete";
  stream.receive(bytes.substr(bytes.size() - 6, 5));
  EXPECT_EQ(handler.awaited, 1);
  stream.close();
  EXPECT_EQ(handler.awaited, 0);
}

class Recorder final : public loop::StreamReceiver {
 public:
  std::size_t on_bytes(loop::Stream&, std::span<char> bytes) override {
    got.append(bytes.data(), bytes.size());
    return bytes.size();
  }
  void on_closed(loop::Stream&, int) override { ++closed; }
  std::string got;
  int closed = 0;
};

TEST_F(HttpServer, GivesAnUpgradedStreamAndTheRestOfItsBytesToTheNewReceiver) {
  Recorder recorder;
  handler.answer = [&](Exchange& exchange, const Request&) {
    exchange.upgrade(
        std::move(Response(101).add_header("Upgrade", "websocket").add_header("Connection", "Upgrade")),
        recorder, &recorder);
  };
  stream.receive(std::string(kGet) + "frames");
  EXPECT_EQ(stream.sent(),
            "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n");
  EXPECT_EQ(recorder.got, "frames");
  EXPECT_EQ(stream.attachment(), &recorder);
  EXPECT_EQ(stream.waiting(), loop::Stream::Waiting::Nothing);
  EXPECT_EQ(server.connection_count(), 0u);
  stream.close();
  EXPECT_EQ(recorder.closed, 1);
}

TEST_F(HttpServer, UpgradesAParkedRequestToo) {
  Recorder recorder;
  handler.park = true;
  stream.receive(std::string(kGet) + "early");
  handler.parked[0].upgrade(Response(101), recorder, nullptr);
  EXPECT_FALSE(stream.paused());
  stream.deliver();
  EXPECT_EQ(recorder.got, "early");
}

TEST_F(HttpServer, EndsConnectionsBehindTheirAnswerWhenItDrainsAndIdleOnesWhenTold) {
  MemoryStream fresh;
  MemoryStream busy;
  server.adopt(fresh);
  server.adopt(busy);
  stream.receive(kGet);
  handler.park = true;
  busy.receive(kGet);
  server.drain();
  EXPECT_FALSE(stream.finished()) << "a poll may be about to come";
  EXPECT_TRUE(server.end_idle(test::plenty()));
  EXPECT_TRUE(stream.finished());
  EXPECT_FALSE(busy.finished());
  EXPECT_FALSE(fresh.finished()) << "it may be about to ask";
  handler.parked[0].answer(Response(200));
  EXPECT_TRUE(busy.finished());
  handler.park = false;
  fresh.receive(kGet);
  EXPECT_TRUE(fresh.finished());
}

TEST_F(HttpServer, EndsThoseUnfinishedRequestsThatItIsAskedTo) {
  MemoryStream awaited, other;
  for (MemoryStream* each : {&awaited, &other}) {
    server.adopt(*each);
    each->receive(std::string(each == &awaited ? "POST /" : "POST /nobody") +
                  " HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  }
  loop::Allowance all = loop::Allowance::unlimited();
  const auto of_session = [](const AwaitedBody* body) {
    return body != nullptr && body->sid() == "some sid";
  };
  EXPECT_TRUE(server.end_unfinished(all, of_session));
  EXPECT_EQ(awaited.sent().substr(0, 12), "HTTP/1.1 408");
  EXPECT_EQ(other.sent(), "");
  other.receive("cde");
  EXPECT_EQ(handler.bodies, std::vector<std::string>{"abcde"});
  for (MemoryStream* each : {&awaited, &other}) each->close();
}

TEST_F(HttpServer, EndsUnfinishedRequestsAFewATurn) {
  std::deque<MemoryStream> streams(20);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    server.adopt(streams[i]);
    streams[i].receive(i % 2 == 0 ? "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab" : "GET / HT");
  }
  loop::Allowance little;
  int turns = 0;
  for (bool were_all = false; !were_all && turns < 100; ++turns) {
    little.begin(4, 1h);
    were_all = server.end_unfinished(little);
    // Those where the look is to go on may go meanwhile.
    if (turns == 1) streams[10].close();
  }
  EXPECT_GE(turns, 5);
  for (std::size_t i = 0; i < streams.size(); ++i) {
    if (i == 10) continue;
    EXPECT_EQ(streams[i].finished(), i % 2 == 0) << i;
    EXPECT_EQ(streams[i].sent().substr(0, 12), i % 2 == 0 ? "HTTP/1.1 408" : "") << i;
  }
  for (auto& each : streams) each.close();
}

TEST_F(HttpServer, EndsWhoeverHasNotSentWhatItCameFor) {
  MemoryStream body, head, second_head, silent, paused, parked, between;
  for (MemoryStream* each : {&body, &head, &second_head, &silent, &paused, &parked, &between})
    server.adopt(*each);
  body.receive("POST /nobody HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nab");
  head.receive("HEAD / HTTP/1.1\r\nHo");
  second_head.receive(std::string(kGet) + "G");
  between.receive(kGet);
  second_head.take_sent();
  between.take_sent();
  handler.park = true;
  parked.receive(kGet);
  paused.pause_reading(true);
  paused.receive(kGet);
  EXPECT_TRUE(server.end_waiting(test::plenty()));
  for (MemoryStream* each : {&body, &head, &second_head}) {
    EXPECT_EQ(each->sent().substr(0, 12), "HTTP/1.1 408");
    EXPECT_NE(each->sent().find("Connection: close"), std::string::npos);
    EXPECT_TRUE(each->finished());
  }
  EXPECT_TRUE(silent.finished());
  EXPECT_EQ(silent.sent(), "");
  EXPECT_FALSE(paused.finished()) << "its request is here, and was not looked at";
  EXPECT_FALSE(parked.finished());
  EXPECT_FALSE(between.finished()) << "end_idle() ends it";
  for (MemoryStream* each : {&body, &head, &second_head, &silent, &paused, &parked, &between}) each->close();
}

// ---- a look at all connections

TEST_F(HttpServer, GivesUpIdleConnectionsAFewAtATime) {
  std::deque<MemoryStream> streams(20);
  handler.park = true;
  for (std::size_t i = 0; i < streams.size(); ++i) {
    server.adopt(streams[i]);
    if (i % 2 == 0) streams[i].receive(kGet);
  }
  std::set<const loop::Stream*> taken;
  const auto visit = [&](loop::Stream& idle) { EXPECT_TRUE(taken.insert(&idle).second); };
  EXPECT_FALSE(server.take_idle(3, test::plenty(), visit));
  EXPECT_EQ(taken.size(), 3u);
  loop::Allowance allowance;
  for (int turn = 0; turn < 100; ++turn) {
    allowance.begin(2, 1h);
    if (server.take_idle(100, allowance, visit)) break;
  }
  EXPECT_EQ(taken.size(), 11u) << "and the one of all these tests";
  EXPECT_EQ(server.connection_count(), 10u);
  for (MemoryStream& busy : streams) busy.close();
}

TEST_F(HttpServer, GoesOnWithItsLookIfTheNextConnectionEndsMeanwhile) {
  std::deque<MemoryStream> streams(10);
  for (MemoryStream& each : streams) server.adopt(each);
  std::size_t taken = 0;
  EXPECT_FALSE(server.take_idle(5, test::plenty(), [&](loop::Stream&) { ++taken; }));
  for (MemoryStream& each : streams)
    if (each.receiver() != nullptr) each.close();
  MemoryStream fresh;
  server.adopt(fresh);
  EXPECT_TRUE(server.take_idle(100, test::plenty(), [&](loop::Stream&) { ++taken; }));
  EXPECT_TRUE(server.take_idle(100, test::plenty(), [&](loop::Stream&) { ++taken; })) << "who came meanwhile";
  EXPECT_EQ(taken, 5u + 2u);
  EXPECT_EQ(server.connection_count(), 0u);
}

TEST_F(HttpServer, AsksAgainThoseThatWereToldLaterAndGivesThemUpToo) {
  handler.later = true;
  MemoryStream other;
  server.adopt(other);
  stream.receive(kGet);
  other.receive(kGet);
  EXPECT_TRUE(stream.paused());
  server.ask_again();
  stream.deliver();
  other.deliver();
  EXPECT_EQ(handler.routed.size(), 4u);
  EXPECT_TRUE(stream.paused()) << "later once more";
  handler.later = false;
  other.close();
  server.ask_again();
  stream.deliver();
  EXPECT_EQ(handler.targets.size(), 1u);
  handler.later = true;
  stream.receive(kGet);
  std::size_t taken = 0;
  EXPECT_TRUE(server.take_idle(1, test::plenty(), [&](loop::Stream&) { ++taken; }));
  EXPECT_EQ(taken, 1u);
  EXPECT_EQ(server.connection_count(), 0u);
}

TEST(HttpResponse, CannotBeSplitByAHeaderValue) {
  Response response(200);
  response.add_header("X", "a\r\nSet-Cookie: evil\n\x01");
  EXPECT_EQ(response.header_lines(), "X: aSet-Cookie: evil\r\n");
}

TEST(HttpResponse, HasNoLengthWith204AndNoBodyWith304) {
  EXPECT_EQ(render(Response(204), {}).view(), "HTTP/1.1 204 No Content\r\n\r\n");
  Response not_modified(304);
  not_modified.body = "hidden";
  EXPECT_TRUE(render(not_modified, {}).view().ends_with("\r\n\r\n"));
}

TEST(HttpResponse, SendsASharedBody) {
  Response response(200);
  response.shared_body = loop::Buffer::copy_of("shared");
  EXPECT_TRUE(render(response, {}).view().ends_with("Content-Length: 6\r\n\r\nshared"));
}

TEST(HttpResponse, MadeOnceIsTheSameAsMadeEachTime) {
  Response once(200);
  once.add_header("X", "1");
  Response each = Response(200);
  each.add_header("X", "1");
  each.body = "body";
  once.whole = room_for_body(once, 4, {});
  std::copy_n("body", 4, once.whole.data() + once.whole.payload_offset());
  for (const RenderOptions& options :
       {RenderOptions{}, RenderOptions{.head_only = true}, RenderOptions{.keep_alive = false},
        RenderOptions{.head_only = true, .keep_alive = false}, RenderOptions{.say_keep_alive = true}})
    EXPECT_EQ(render(once, options).view(), render(each, options).view());
  EXPECT_EQ(render(once, {}).view().data(), once.whole.view().data());
}

/// Answers with a file of three bytes of which `promised` are promised.
void answer_with_file(Exchange& exchange, std::uint64_t promised) {
  const int file = ::memfd_create("body", MFD_CLOEXEC);
  EXPECT_EQ(::write(file, "abc", 3), 3);
  Response response(200);
  response.file = {loop::OpenFile(file), 0, promised};
  exchange.answer(std::move(response));
}

TEST_F(HttpServer, SendsAFileBehindItsHead) {
  handler.answer = [](Exchange& exchange, const Request&) { answer_with_file(exchange, 3); };
  stream.receive(kGet);
  EXPECT_EQ(stream.sent(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc");
  EXPECT_EQ(stream.waiting(), loop::Stream::Waiting::NextRequest);
}

TEST_F(HttpServer, SendsNoFileToWhoAsksForTheHead) {
  handler.answer = [](Exchange& exchange, const Request&) { answer_with_file(exchange, 3); };
  stream.receive("HEAD /a HTTP/1.1\r\nHost: h\r\n\r\n");
  EXPECT_EQ(stream.sent(), "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n");
  EXPECT_TRUE(stream.files.empty());
}

TEST_F(HttpServer, KeepsAConnectionWhileItOwesAnAnswerThatCannotTravel) {
  stream.receive(kGet);
  std::size_t given = 0;
  stream.may_travel = false;
  (void)server.take_idle(100, test::plenty(), [&](loop::Stream&) { ++given; });
  EXPECT_EQ(given, 0u);
  stream.may_travel = true;
  (void)server.take_idle(100, test::plenty(), [&](loop::Stream&) { ++given; });
  EXPECT_EQ(given, 1u);
}

}  // namespace
}  // namespace limpet::http

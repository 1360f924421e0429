// Frames, polling payloads and the lives of many sessions, over memory.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/growth/growth.h"
#include "tests/growth/order.h"
#include "tests/worker/engineio/rig.h"
#include "worker/engineio/packet.h"

namespace limpet::growth {
namespace {

using namespace std::chrono_literals;
using engineio::Session;
using engineio::SessionImage;
using std::chrono::milliseconds;
using test::client_frame;
using test::MemoryStream;
using test::Rig;

std::string times(std::size_t n, std::string_view piece) {
  std::string all;
  for (std::size_t i = 0; i < n; ++i) all += piece;
  return all;
}

void send(Session& session, std::string_view text) {
  const auto frame = test::text_message(text);
  session.send({&frame, 1});
}

/// Turns, for work that is spread over several.
void settle(Rig& rig) {
  for (int i = 0; i < 8; ++i) rig.engine.tick(test::plenty());
}

SessionImage image(std::size_t number, milliseconds timer) {
  SessionImage image;
  const std::string text = std::to_string(100'000'000 + number);
  image.sid = "bb" + text + "-" + text.substr(1);
  image.handshake_head = "GET /socket.io/?EIO=4&transport=polling HTTP/1.1";
  image.address = "127.0.0.1";
  image.timer = timer;
  return image;
}

/// Polling sessions that came from another process: cheaper to make than by handshakes.
void fill(Rig& rig, std::size_t n) {
  for (std::size_t i = 0; i < n; ++i) EXPECT_NE(rig.engine.arrive(image(i, 25s), nullptr), nullptr);
}

// ---- frames

void pings_in_one_buffer(std::size_t n) {
  Rig rig;
  MemoryStream& stream = rig.open_websocket();
  const std::string bytes = times(n, client_frame(9, "x"));
  counted([&] { stream.receive(bytes); });
  EXPECT_EQ(Rig::frames_of(stream).size(), n);
}

void messages_in_one_buffer(std::size_t n) {
  Rig rig;
  MemoryStream& stream = rig.open_websocket();
  const std::string bytes = times(n, client_frame(1, "4hello"));
  counted([&] { stream.receive(bytes); });
  EXPECT_EQ(rig.engine.counts().messages_in, n);
}

void fragments_of_one_message(std::size_t n) {
  Rig rig;
  MemoryStream& stream = rig.open_websocket();
  const std::string bytes = client_frame(1, "4", {.fin = false}) +
                            times(n - 1, client_frame(0, "abcd", {.fin = false}) + client_frame(9, "")) +
                            client_frame(0, "!");
  counted([&] { stream.receive(bytes); });
  EXPECT_EQ(rig.engine.counts().messages_in, 1u);
}

// ---- polling

void packets_in_a_post(std::size_t n) {
  Rig rig;
  const std::string query = rig.open_polling();
  const std::string body = times(n - 1, "4a\x1e") + "4a";
  MemoryStream& stream = rig.connect();
  const std::string request = Rig::request("POST", query, body);
  counted([&] {
    stream.receive(request);
    settle(rig);
  });
  EXPECT_EQ(rig.engine.counts().messages_in, n);
}

void binaries_in_a_post(std::size_t n) {
  Rig rig;
  const std::string query = rig.open_polling();
  const std::string request = Rig::request("POST", query, times(n - 1, "bAQID\x1e") + "bAQID");
  MemoryStream& stream = rig.connect();
  counted([&] {
    stream.receive(request);
    settle(rig);
  });
  EXPECT_EQ(rig.handler.log.back(), "binary \x01\x02\x03");
  EXPECT_GE(rig.handler.log.size(), n);
}

std::string text_as_jsonp(std::size_t n, std::string_view piece) {
  const std::string text = times(n, piece);
  std::string script;
  counted([&] { script = engineio::wrap_jsonp("0", text); });
  EXPECT_GT(script.size(), text.size());
  return script;
}

void plain_text_as_jsonp(std::size_t n) { (void)text_as_jsonp(n, "hello, all"); }

void escaped_text_as_jsonp(std::size_t n) { (void)text_as_jsonp(n, "\xe2\x80\xa8\"\x01"); }

void text_of_a_jsonp_form(std::size_t n) {
  const std::string form = "d=" + times(n, "a%5Cn%5C%5Cn");
  std::string text;
  counted([&] { text = engineio::unwrap_jsonp(form); });
  EXPECT_EQ(text.size(), 4 * n);
}

void messages_for_a_poll(std::size_t n) {
  Rig rig;
  const std::string query = rig.open_polling();
  Session& session = *rig.handler.last;
  MemoryStream* stream = nullptr;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) send(session, "hello");
    stream = &rig.poll(query);
    settle(rig);
  });
  EXPECT_GE(Rig::reply_of(*stream).body.size(), 6 * n);
}

/// Half of what each says is here; then every other one goes on, and the others are gone.
void unfinished_posts(std::size_t n) {
  Rig rig;
  fill(rig, n);
  std::vector<std::string> requests;
  for (std::size_t i = 0; i < n; ++i)
    requests.push_back(Rig::request("POST", "EIO=4&transport=polling&sid=" + image(i, 25s).sid, "4hello"));
  std::vector<MemoryStream*> streams;
  counted([&] {
    for (const std::string& request : requests) {
      streams.push_back(&rig.connect());
      streams.back()->receive(request.substr(0, request.size() - 3));
    }
    for (const std::size_t i : numbers(n, Order::Random)) {
      if (i % 2 == 0)
        streams[i]->receive("llo");
      else
        streams[i]->close();
    }
    settle(rig);
  });
  EXPECT_EQ(rig.engine.counts().messages_in, n / 2);
  EXPECT_EQ(rig.engine.session_count(), n);
}

// ---- many sessions

void handshakes(std::size_t n) {
  Rig rig;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) rig.connect().receive(Rig::request("GET", "EIO=4&transport=polling"));
    settle(rig);
  });
  EXPECT_EQ(rig.engine.session_count(), n);
}

void ping_round(std::size_t n) {
  Rig rig;
  fill(rig, n);
  counted([&] {
    rig.advance(25s);
    settle(rig);
  });
  EXPECT_EQ(rig.engine.counts().pings_sent, n);
}

void sessions_time_out(std::size_t n) {
  Rig rig;
  fill(rig, n);
  rig.advance(25s);
  settle(rig);
  counted([&] {
    rig.advance(20s);
    settle(rig);
  });
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

void streams_close(std::size_t n) {
  Rig rig;
  for (std::size_t i = 0; i < n; ++i) rig.open_websocket();
  counted([&] {
    for (const auto& stream : rig.streams) stream->close();
    settle(rig);
  });
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

void drain_in_steps(std::size_t n) {
  Rig rig;
  fill(rig, n);
  counted([&] {
    while (rig.engine.drain(16, test::plenty()) > 0) rig.engine.tick(test::plenty());
    settle(rig);
  });
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

void upgrade_with_queue(std::size_t n) {
  Rig rig;
  const std::string query = rig.open_polling();
  Session& session = *rig.handler.last;
  for (std::size_t i = 0; i < n; ++i) send(session, "hello");
  MemoryStream& stream = rig.probe(query);
  stream.receive(client_frame(1, "2probe"));
  stream.take_sent();
  counted([&] { stream.receive(client_frame(1, "5")); });
  EXPECT_EQ(Rig::frames_of(stream).size(), n);
}

/// In batches, as they leave for another process.
void depart_in_batches(Rig& rig, const std::function<bool(const Session&)>& which) {
  for (engineio::Round round; !round.over;) {
    for (Session* session : rig.engine.go_round(round, 16, test::plenty(), which))
      if (rig.engine.can_depart(*session)) (void)rig.engine.depart(*session);
    rig.engine.tick(test::plenty());
  }
}

void all_depart(std::size_t n) {
  Rig rig;
  fill(rig, n);
  counted([&] { depart_in_batches(rig, [](const Session&) { return true; }); });
  EXPECT_EQ(rig.engine.session_count(), 0u);
}

void half_depart(std::size_t n) {
  Rig rig;
  fill(rig, n);
  counted([&] { depart_in_batches(rig, [](const Session& session) { return session.sid()[10] % 2 == 0; }); });
  EXPECT_EQ(rig.engine.session_count(), n / 2);
}

void none_depart(std::size_t n) {
  Rig rig;
  fill(rig, n);
  counted([&] { depart_in_batches(rig, [](const Session&) { return false; }); });
  EXPECT_EQ(rig.engine.session_count(), n);
}

template <Order kOrder>
void arrive(std::size_t n) {
  Rig rig;
  const auto order = numbers(n, kOrder);
  counted([&] {
    for (const std::size_t number : order)
      (void)rig.engine.arrive(image(number, milliseconds(number * 20'000 / n)), nullptr);
  });
  EXPECT_EQ(rig.engine.session_count(), n);
  rig.advance(20s);
  settle(rig);
  EXPECT_EQ(rig.engine.counts().pings_sent, n);
}

}  // namespace

Rows engineio_rows() {
  return {
      {"pings_in_one_buffer", 2048, pings_in_one_buffer},
      {"messages_in_one_buffer", 2048, messages_in_one_buffer},
      {"fragments_of_one_message", 1024, fragments_of_one_message},
      {"packets_in_a_post", 2048, packets_in_a_post},
      {"binaries_in_a_post", 2048, binaries_in_a_post},
      {"plain_text_as_jsonp", 2048, plain_text_as_jsonp},
      {"escaped_text_as_jsonp", 2048, escaped_text_as_jsonp},
      {"text_of_a_jsonp_form", 2048, text_of_a_jsonp_form},
      {"messages_for_a_poll", 2048, messages_for_a_poll},
      {"unfinished_posts", 256, unfinished_posts},
      {"handshakes", 128, handshakes},
      {"ping_round", 512, ping_round},
      {"sessions_time_out", 512, sessions_time_out},
      {"websockets_close", 128, streams_close},
      {"drain_in_steps", 512, drain_in_steps},
      {"upgrade_with_queue", 4096, upgrade_with_queue},
      {"sessions_all_depart", 512, all_depart},
      {"sessions_half_depart", 512, half_depart},
      {"sessions_none_depart", 512, none_depart},
      {"sessions_arrive_in_order", 512, arrive<Order::AsMade>},
      {"sessions_arrive_in_reverse", 512, arrive<Order::Reverse>},
      {"sessions_arrive_at_random", 512, arrive<Order::Random>},
  };
}

}  // namespace limpet::growth

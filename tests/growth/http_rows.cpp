// Heads, queries and bodies, as values and over memory; what is kept of files and of who holds memory. What a
// socket adds is in process_rows.cpp.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/growth/growth.h"
#include "tests/growth/order.h"
#include "worker/http/file_cache.h"
#include "worker/http/preconditions.h"
#include "worker/http/request.h"
#include "worker/http/request_end.h"
#include "worker/loop/accounts.h"
#include "worker/loop/fifo.h"

namespace limpet::growth {
namespace {

constexpr std::size_t kNoLimit = 1 << 24;

std::string head_with(const std::string& lines, const std::string& target = "/") {
  return "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n";
}

void headers(std::size_t n) {
  std::string lines;
  for (std::size_t i = 0; i < n; ++i) lines += "a: b\r\n";
  const std::string bytes = head_with(lines);
  http::ParsedHead parsed;
  std::string_view last;
  counted([&] {
    parsed = http::parse_head(bytes, kNoLimit);
    last = parsed.head.header("not-there");
  });
  EXPECT_EQ(parsed.status, http::HeadStatus::Complete);
  EXPECT_EQ(last, "");
}

void query_keys(std::size_t n) {
  std::string query = "a=%20";
  for (std::size_t i = 1; i < n; ++i) query += "&k" + std::to_string(i) + "=v+%C3%BC";
  std::size_t pairs = 0;
  counted([&] {
    std::size_t cursor = 0;
    std::string_view name, value;
    while (http::next_parameter(query, cursor, name, value))
      pairs += http::decode_component(value).empty() ? 0 : 1;
    EXPECT_FALSE(http::query_value(query, "not-there"));
  });
  EXPECT_EQ(pairs, n);
}

void entity_tags(std::size_t n) {
  std::string list;
  for (std::size_t i = 0; i < n; ++i) list += "W/\"" + std::to_string(i % 10) + "\", ";
  bool found = true;
  counted([&] { found = http::list_has_etag(list, "\"none\"", true); });
  EXPECT_FALSE(found);
}

void tokens(std::size_t n) {
  std::string list = "a";
  for (std::size_t i = 1; i < n; ++i) list += ", b";
  bool found = true;
  counted([&] { found = http::has_token(list, "not-there"); });
  EXPECT_FALSE(found);
}

/// The end of a chunked request that is sent on, with n chunks.
void chunks_passed_on(std::size_t n) {
  const std::string head = "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n";
  std::string bytes = head;
  for (std::size_t i = 0; i < n; ++i) bytes += "3\r\nabc\r\n";
  bytes += "0\r\n\r\n";
  const auto parsed = http::parse_head(bytes, kNoLimit);
  http::RequestEnd end(parsed.head, 1024);
  counted([&] {
    for (std::string_view left = bytes; !left.empty();) left.remove_prefix(end.pass(left));
  });
  EXPECT_EQ(end.status(), http::RequestEnd::Status::Complete);
}

void fifo(std::size_t n) {
  loop::Fifo<std::string> queue;
  std::size_t sum = 0;
  counted([&] {
    for (std::size_t i = 0; i < n; ++i) queue.push_back("a");
    for (std::size_t i = 0; i < n; ++i) {
      sum += queue.pop_front().size();
      if (i % 2 == 0) queue.push_back("b");
    }
  });
  EXPECT_EQ(sum, n);
  EXPECT_EQ(queue.size(), n / 2);
}

/// The cache is full, and asked for n other files, again and again.
void files_that_are_not_kept(std::size_t n) {
  http::FileCache cache;
  const auto file = [] { return http::KeptFile{loop::Buffer::copy_of("content"), "\"etag\"", {}, {}}; };
  const auto name = [](std::size_t i) { return "images/" + std::to_string(i) + ".png"; };
  for (std::size_t i = 0; i < http::FileCache::kMaxFiles; ++i) cache.keep("full" + name(i), file());
  std::size_t missed = 0;
  counted([&] {
    for (const std::size_t i : numbers(n, Order::Random)) {
      if (cache.find(name(i)) == nullptr) ++missed;
      cache.keep(name(i), file());
    }
  });
  EXPECT_EQ(missed, n);
  EXPECT_EQ(cache.files(), http::FileCache::kMaxFiles);
}

/// Each grows step by step, some go, and the others are shed, the largest first.
void large_holders(std::size_t n) {
  struct Holder {
    loop::Noted noted;
  };
  loop::MemoryTotal total;
  loop::Accounts<Holder> accounts(total);
  std::vector<Holder> holders(n);
  std::size_t shed = 0;
  counted([&] {
    for (const std::size_t i : numbers(n, Order::Random))
      for (const std::size_t kib : {100, 200, 250, 300})
        accounts.note(holders[i], holders[i].noted, (kib + i % 512) << 10, 0);
    for (std::size_t i = 0; i < n; i += 2) accounts.forget(holders[i], holders[i].noted);
    for (; accounts.largest() != nullptr; ++shed)
      accounts.forget(*accounts.largest(), accounts.largest()->noted);
  });
  EXPECT_EQ(shed, n / 2);
}

}  // namespace

Rows http_rows() {
  return {
      {"headers", 512, headers},
      {"query_keys", 1024, query_keys},
      {"header_tokens", 2048, tokens},
      {"entity_tags", 1024, entity_tags},
      {"chunks_passed_on", 1024, chunks_passed_on},
      {"queue_from_both_ends", 2048, fifo},
      {"files_that_are_not_kept", 1024, files_that_are_not_kept},
      {"large_holders", 1024, large_holders},
  };
}

}  // namespace limpet::growth

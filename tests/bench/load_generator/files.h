// Clients that fetch one path again and again over connections that stay: each asks when it has its answer
// whole. Checks the status and every byte of the content.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "tests/bench/load_generator/endpoint.h"
#include "tests/bench/load_generator/meter.h"

namespace limpet::bench {

struct Fetch {
  std::string path;
  std::string content_of;  ///< the file that the server sends; empty: none is there, the answer is 404
};

class Fetchers {
 public:
  /// Nobody asks yet.
  Fetchers(std::uint16_t port, const std::vector<Caller>& callers, std::size_t clients, const Fetch& fetch);
  ~Fetchers();

  /// Unit: an answer.
  Figure measure(Meter& meter);

 private:
  class Fetcher;
  void turn();

  base::Descriptor epoll_;
  std::string request_;
  std::string content_;
  std::vector<std::unique_ptr<Fetcher>> fetchers_;
  std::uint64_t answered_ = 0;
};

}  // namespace limpet::bench

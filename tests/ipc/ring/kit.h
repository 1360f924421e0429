// What the tests of the ring have in common: a ring with any number of readers in one process, and a sink
// that remembers.
#pragma once

#include <fcntl.h>
#include <sys/eventfd.h>

#include <cstring>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "ipc/ring/reader.h"
#include "ipc/ring/writer.h"
#include "ipc/ring/writer_body.h"

namespace limpet::ipc::test {

using namespace std::chrono_literals;

inline std::span<const std::byte> bytes_of(std::string_view text) { return std::as_bytes(std::span(text)); }

inline std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

/// The message that every checker expects under `sequence`: its bytes follow from it, so that a torn one is
/// noticed.
inline std::string pattern(std::uint64_t sequence, std::size_t bytes) {
  std::string text(bytes, '\0');
  std::uint64_t state = sequence * 0x9e3779b97f4a7c15ULL + bytes;
  for (std::size_t at = 0; at < bytes; at += sizeof state) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    std::memcpy(text.data() + at, &state, std::min(sizeof state, bytes - at));
  }
  return text;
}

/// Remembers everything in the order in which it came.
class Remember final : public RingSink {
 public:
  void on_message(std::span<const std::byte> message, std::uint64_t sequence) override {
    messages.push_back(text_of(message));
    sequences.push_back(sequence);
    story.push_back("message " + std::to_string(sequence));
  }
  void on_gap(const Gap& gap) override {
    lost += gap.lost_at_least;
    ++gaps;
    story.emplace_back("gap");
  }
  std::vector<std::string> messages;
  std::vector<std::uint64_t> sequences;
  std::vector<std::string> story;
  std::uint64_t gaps = 0;
  std::uint64_t lost = 0;
};

inline base::Descriptor duplicate(int descriptor) {
  return base::Descriptor(::fcntl(descriptor, F_DUPFD_CLOEXEC, 0));
}

/// One reading process, played by this one.
struct TestReader {
  TestReader(const Incarnation& who, std::uint16_t lanes)
      : page(ReaderPage::create(who, lanes)), doorbell(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {}

  [[nodiscard]] bool attach(int ring_descriptor, const Incarnation& writer,
                            RingReader::Start start = RingReader::Start::Attached) {
    auto attached = RingReader::attach(duplicate(ring_descriptor), writer, page, &why, start);
    if (attached) ring = std::make_unique<RingReader>(std::move(*attached));
    return ring != nullptr;
  }
  PollResult poll(PollBudget budget = {}) { return ring->poll(budget, sink); }
  /// How often the doorbell was rung since the last call.
  [[nodiscard]] std::uint64_t rings() const {
    eventfd_t count = 0;
    return ::eventfd_read(doorbell.get(), &count) == 0 ? count : 0;
  }

  ReaderPage page;
  base::Descriptor doorbell;
  Remember sink;
  std::string why;
  std::unique_ptr<RingReader> ring;
};

/// The writer's half of the introduction.
template <class Writer>
[[nodiscard]] bool introduce(Writer& writer, const TestReader& reader, std::string* why) {
  auto view = ReaderPageView::map(duplicate(reader.page.descriptor()), reader.page.who(), why);
  return view && writer.attach_reader(std::move(*view), duplicate(reader.doorbell.get()), why);
}

inline constexpr Incarnation kWriter{0, 0, 7};
inline constexpr std::uint16_t kLanes = 5;

inline RingOptions small_ring(std::size_t capacity = kMinRingCapacity) {
  RingOptions options;
  options.capacity_bytes = capacity;
  options.lanes = kLanes;
  return options;
}

}  // namespace limpet::ipc::test

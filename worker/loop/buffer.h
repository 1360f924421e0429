// A reference-counted run of bytes that many client connections share: one frame, thousands of sockets. The
// count is not atomic: buffers belong to the worker's one thread. Immutable once more than one handle exists.
//
// What is sent is kept in one form, the canonical one: a message is the frame of its Socket.IO packet, then
// those of its attachments. What connections of another kind are sent instead is a rendering of it, made when
// the first of them needs it, and kept with the message for all others (law 6).
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <new>
#include <span>
#include <string_view>
#include <utility>

#include "base/pages.h"

namespace limpet::loop {

class Buffer;
/// Makes one form of a message, which has a buffer at least: see rendering_of().
using Renderer = Buffer (*)(std::span<const Buffer> message);

class Buffer {
 public:
  Buffer() = default;
  /// `size` uninitialised bytes, less than 4 GiB. Throws std::bad_alloc.
  static Buffer allocate(std::size_t size) {
    const std::size_t cost = cost_of(sizeof(Block) + size);
    auto* block = static_cast<Block*>(std::malloc(sizeof(Block) + size));
    if (block == nullptr) throw std::bad_alloc();
    base::make_resident(block, sizeof(Block) + size);
    live_bytes_ += cost;
    block->references = 1;
    block->renderings = nullptr;
    block->end = static_cast<std::uint32_t>(size);
    block->payload = 0;
    block->begin = 0;
    block->cost = static_cast<std::uint32_t>(cost / kGrain);
    return Buffer(block);
  }
  static Buffer copy_of(std::string_view bytes) {
    Buffer buffer = allocate(bytes.size());
    if (!bytes.empty()) std::memcpy(buffer.data(), bytes.data(), bytes.size());
    return buffer;
  }
  Buffer(const Buffer& other) noexcept : block_(other.block_) {
    if (block_ != nullptr) ++block_->references;
  }
  Buffer(Buffer&& other) noexcept : block_(std::exchange(other.block_, nullptr)) {}
  Buffer& operator=(Buffer other) noexcept {
    std::swap(block_, other.block_);
    return *this;
  }
  ~Buffer() {
    if (block_ == nullptr || --block_->references != 0) return;
    live_bytes_ -= std::uint64_t{block_->cost} * kGrain;
    if (block_->renderings != nullptr) [[unlikely]]
      drop_renderings();
    std::free(block_);
  }
  /// What all buffers of the process take in memory, each once however many have it queued.
  [[nodiscard]] static std::uint64_t live_bytes() noexcept { return live_bytes_; }

  explicit operator bool() const noexcept { return block_ != nullptr; }
  [[nodiscard]] std::size_t size() const noexcept {
    return block_ == nullptr ? 0 : block_->end - block_->begin;
  }
  [[nodiscard]] std::string_view view() const noexcept {
    return block_ == nullptr ? std::string_view() : std::string_view(block_->bytes() + block_->begin, size());
  }
  /// Only while this is the one handle.
  [[nodiscard]] char* data() noexcept { return block_->bytes() + block_->begin; }
  [[nodiscard]] bool shared() const noexcept { return block_ != nullptr && block_->references > 1; }
  /// Bytes that narrow() may drop in front.
  static constexpr std::size_t kMostInFront = 15;
  /// Drops bytes in front and behind; only while this is the one handle, and once. `begin` and
  /// `end` count from the current view.
  void narrow(std::size_t begin, std::size_t end) noexcept {
    block_->end = block_->begin + static_cast<std::uint32_t>(end);
    block_->begin = begin & kMostInFront;
  }
  /// Where the payload begins inside view(): behind a WebSocket frame's header. 0 if there is none.
  [[nodiscard]] std::size_t payload_offset() const noexcept {
    return block_ == nullptr ? 0 : block_->payload;
  }
  void set_payload_offset(std::size_t offset) noexcept {
    block_->payload = static_cast<std::uint32_t>(offset);
  }
  [[nodiscard]] std::string_view payload() const noexcept { return view().substr(payload_offset()); }

  /// nullptr: nobody has needed it yet.
  [[nodiscard]] const Buffer* find_rendering(Renderer renderer) const noexcept;
  /// Kept as long as these bytes are. Only one for each renderer.
  const Buffer& keep_rendering(Renderer renderer, Buffer rendering) const;

 private:
  struct Rendering;
  struct Block {
    Rendering* renderings;  ///< a list, mostly empty
    std::uint32_t references;
    std::uint32_t end;
    std::uint32_t payload;
    std::uint32_t begin : 4;
    std::uint32_t cost : 28;  ///< in kGrain bytes
    char* bytes() noexcept { return reinterpret_cast<char*>(this + 1); }
  };
  static constexpr std::size_t kGrain = 16;

  static constexpr std::size_t kPage = 4096;

  /// Bytes of memory that so many cost. jemalloc has four sizes between one power of two and the next, and of
  /// large ones only the pages that are used.
  static constexpr std::size_t cost_of(std::size_t bytes) noexcept {
    const std::size_t step = std::clamp(std::bit_floor(bytes - 1) / 4, kGrain, kPage);
    return (bytes + step - 1) / step * step;
  }

  explicit Buffer(Block* block) noexcept : block_(block) {}
  void drop_renderings() noexcept;
  inline static std::uint64_t live_bytes_ = 0;
  Block* block_ = nullptr;
};

struct Buffer::Rendering {
  Renderer renderer;
  Buffer bytes;
  Rendering* next;
};

inline const Buffer* Buffer::find_rendering(Renderer renderer) const noexcept {
  const Rendering* each = block_->renderings;
  while (each != nullptr && each->renderer != renderer) each = each->next;
  return each == nullptr ? nullptr : &each->bytes;
}

inline const Buffer& Buffer::keep_rendering(Renderer renderer, Buffer rendering) const {
  block_->renderings = new Rendering{renderer, std::move(rendering), block_->renderings};
  return block_->renderings->bytes;
}

inline void Buffer::drop_renderings() noexcept {
  for (Rendering* each = block_->renderings; each != nullptr;) delete std::exchange(each, each->next);
}

/// `message` in the form that `renderer` makes: once, for all connections of this worker. Good as long as the
/// first of the message's buffers.
inline const Buffer& rendering_of(std::span<const Buffer> message, Renderer renderer) {
  const Buffer* const kept = message.front().find_rendering(renderer);
  return kept != nullptr ? *kept : message.front().keep_rendering(renderer, renderer(message));
}

}  // namespace limpet::loop

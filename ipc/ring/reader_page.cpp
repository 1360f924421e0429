#include "ipc/ring/reader_page.h"

#include <new>
#include <utility>

#include "base/check.h"

namespace limpet::ipc {
namespace {

const ReaderPageHeader& header_of(const Mapping& memory) {
  return *reinterpret_cast<const ReaderPageHeader*>(memory.data());
}

}  // namespace

ReaderPage::ReaderPage(Mapping memory, const Incarnation& who, std::uint16_t lanes)
    : memory_(std::move(memory)), who_(who), lanes_(lanes) {}

ReaderPage ReaderPage::create(const Incarnation& who, std::uint16_t lanes) {
  CHECK(lanes > 0 && lanes <= kMaxLanes && who.lane < lanes,
        "a reader page has 1 to 1,024 lanes, its own among them");
  ReaderPage page(Mapping::create("limpet-reader-page", reader_page_bytes(lanes)), who, lanes);
  auto* header = new (page.memory_.writable()) ReaderPageHeader{};
  header->magic = kReaderPageMagic;
  header->version = kRingVersion;
  header->slot = who.slot;
  header->lane = who.lane;
  header->generation = who.generation;
  header->lanes = lanes;
  return page;
}

void ReaderPage::fall_asleep() noexcept {
  auto& epoch = reinterpret_cast<ReaderPageHeader*>(memory_.writable())->sleep_epoch;
  epoch.store(epoch.load(std::memory_order_relaxed) | 1, std::memory_order_relaxed);
  // I8: without it the processor may look at the tails before others see that we sleep.
  std::atomic_thread_fence(std::memory_order_seq_cst);
}

void ReaderPage::wake_up() noexcept {
  auto& epoch = reinterpret_cast<ReaderPageHeader*>(memory_.writable())->sleep_epoch;
  const std::uint64_t now = epoch.load(std::memory_order_relaxed);
  if ((now & 1) != 0) epoch.store(now + 1, std::memory_order_release);
}

ReaderLine* ReaderPage::line(std::uint16_t lane) noexcept {
  CHECK(lane < lanes_, "a lane of this page");
  return reinterpret_cast<ReaderLine*>(memory_.writable() + sizeof(ReaderPageHeader)) + lane;
}

ReaderPageView::ReaderPageView(Mapping memory, const Incarnation& who, std::uint16_t lanes)
    : memory_(std::move(memory)), who_(who), lanes_(lanes) {}

std::optional<ReaderPageView> ReaderPageView::map(const base::Descriptor& memory, const Incarnation& who,
                                                  std::string* why) {
  auto mapping = Mapping::map_read_only(memory, reader_page_bytes(1), why);
  if (!mapping) return std::nullopt;
  const ReaderPageHeader& header = header_of(*mapping);
  const std::uint32_t lanes = header.lanes;  // read once: the peer can still write it
  if (header.magic != kReaderPageMagic || header.version != kRingVersion) {
    *why = "reader page: not one, or of version " + std::to_string(header.version);
    return std::nullopt;
  }
  if (Incarnation{header.slot, header.lane, header.generation} != who) {
    *why = "reader page: belongs to generation " + std::to_string(header.generation);
    return std::nullopt;
  }
  if (lanes > kMaxLanes || reader_page_bytes(static_cast<std::uint16_t>(lanes)) > mapping->size()) {
    *why = "reader page: " + std::to_string(lanes) + " lanes do not fit it";
    return std::nullopt;
  }
  return ReaderPageView(std::move(*mapping), who, static_cast<std::uint16_t>(lanes));
}

std::uint64_t ReaderPageView::sleep_epoch() const noexcept {
  return header_of(memory_).sleep_epoch.load(std::memory_order_relaxed);
}

const ReaderLine* ReaderPageView::line(std::uint16_t lane) const noexcept {
  if (lane >= lanes_) return nullptr;
  return reinterpret_cast<const ReaderLine*>(memory_.data() + sizeof(ReaderPageHeader)) + lane;
}

}  // namespace limpet::ipc

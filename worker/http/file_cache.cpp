#include "worker/http/file_cache.h"

namespace limpet::http {
namespace {

/// The nodes of the map and of the list, and what malloc adds to each block.
constexpr std::size_t kPlaceBytes = 256;

}  // namespace

KeptFile* FileCache::find(std::string_view name) {
  const auto found = files_.find(name);
  if (found == files_.end()) return nullptr;
  order_.splice(order_.begin(), order_, found->second.place);
  return &found->second.file;
}

void FileCache::keep(std::string_view name, KeptFile file) {
  forget(name);
  const auto entry = files_.try_emplace(std::string(name), Entry{std::move(file), {}}).first;
  order_.push_front(entry->first);
  entry->second.place = order_.begin();
  bytes_ += cost_of(*entry);
  while (!files_.empty() && (files_.size() > max_files_ || bytes_ > max_bytes_))
    drop(files_.find(order_.back()));
}

void FileCache::forget(std::string_view name) {
  const auto found = files_.find(name);
  if (found != files_.end()) drop(found);
}

std::size_t FileCache::cost_of(const Files::value_type& entry) noexcept {
  return entry.first.capacity() + entry.second.file.answer.size() + entry.second.file.etag.capacity() +
         kPlaceBytes;
}

void FileCache::drop(Files::iterator entry) {
  bytes_ -= cost_of(*entry);
  order_.erase(entry->second.place);
  files_.erase(entry);
}

}  // namespace limpet::http

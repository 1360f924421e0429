#include "supervisor/system/running_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/file_time.h"

namespace limpet::supervisor {
namespace {

FileMark mark_of(const base::Descriptor& opened) {
  struct stat status = {};
  if (::fstat(opened.get(), &status) != 0) return {};
  return {.device = status.st_dev,
          .inode = status.st_ino,
          .size = static_cast<std::uint64_t>(status.st_size),
          .modified_ns = base::nanoseconds(status.st_mtim)};
}

}  // namespace

RunningFile running_file(const std::string& name, const base::Descriptor& opened) {
  std::error_code failure;
  const auto resolved = std::filesystem::read_symlink(fmt::format("/proc/self/fd/{}", opened.get()), failure);
  return {name, failure ? name : resolved.string(), mark_of(opened)};
}

RunningFile running_limpet(const StartPlace& place) {
  return running_file(place.binary, base::Descriptor(::open("/proc/self/exe", O_PATH | O_CLOEXEC)));
}

std::string to_text(const RunningFile& file) {
  return file.name == file.resolved ? file.name : fmt::format("{} -> {}", file.name, file.resolved);
}

std::string to_text(const RunningFile& file, const FileMark& before) {
  if (before == FileMark{}) return to_text(file);
  return fmt::format("{} ({})", to_text(file),
                     file.mark == before ? "the same file as before runs" : "another file than before runs");
}

}  // namespace limpet::supervisor

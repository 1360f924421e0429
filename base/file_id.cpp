#include "base/file_id.h"

#include <fcntl.h>
#include <unistd.h>

namespace limpet::base {
namespace {

std::optional<FileId> id_if(int found, const struct stat& status) {
  if (found != 0) return std::nullopt;
  return FileId{status.st_dev, status.st_ino};
}

}  // namespace

std::optional<FileId> file_at(int directory, const std::string& name) {
  struct stat status = {};
  return id_if(::fstatat(directory, name.c_str(), &status, AT_SYMLINK_NOFOLLOW), status);
}

std::optional<FileId> file_of(const Descriptor& opened) {
  struct stat status = {};
  return id_if(::fstat(opened.get(), &status), status);
}

std::optional<FileId> file_behind(const std::string& path) {
  struct stat status = {};
  return id_if(::stat(path.c_str(), &status), status);
}

void remove_own(int directory, const std::string& name, const std::optional<FileId>& ours) noexcept {
  if (ours && file_at(directory, name) == ours) ::unlinkat(directory, name.c_str(), 0);
}

}  // namespace limpet::base

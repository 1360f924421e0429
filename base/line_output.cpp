#include "base/line_output.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>
#include <utility>

#include "base/line_thread.h"

namespace limpet::base {
namespace {

/// At the end of the process: for what a reader takes that is only a little late.
constexpr std::chrono::milliseconds kFlushAtEnd{200};

}  // namespace

LineOutput::LineOutput(int descriptor, std::string descriptors)
    : descriptor_(descriptor), name_(std::move(descriptors) + "/" + std::to_string(descriptor)) {
  choose_way();
}

LineOutput::~LineOutput() {
  flush(kFlushAtEnd);
  if (own_ >= 0) ::close(own_);
}

void LineOutput::choose_way() {
  struct stat status = {};
  const int flags = ::fcntl(descriptor_, F_GETFL);
  if (flags == -1 || (flags & O_ACCMODE) == O_RDONLY || ::fstat(descriptor_, &status) != 0) return;
  if (S_ISREG(status.st_mode) || S_ISBLK(status.st_mode)) {
    way_ = Way::File;
  } else if (S_ISSOCK(status.st_mode)) {
    way_ = Way::Socket;
  } else {
    way_ = Way::OwnDescription;
    open_own();
    // ENXIO: a pipe that nobody has open for reading now. Who will read it can still come.
    if (own_ == -1 && errno != ENXIO) use_thread();
  }
}

void LineOutput::use_thread() {
  try {
    thread_ = std::make_unique<LineThread>(descriptor_, drops_);
    way_ = Way::Thread;
  } catch (const std::system_error&) {
    way_ = Way::Nowhere;
  }
}

void LineOutput::open_own() {
  own_ = ::open(name_.c_str(), O_WRONLY | O_NONBLOCK | O_APPEND | O_CLOEXEC | O_NOCTTY);
}

void LineOutput::write(std::string_view line) {
  if (!offer(line, 0)) drop();
}

bool LineOutput::tell(std::string_view line, std::uint64_t untold) {
  if (offer(line, untold)) return true;
  drops_->put_back(untold);
  return false;
}

void LineOutput::flush(std::chrono::milliseconds longest) {
  if (thread_) thread_->flush(longest);
}

bool LineOutput::offer(std::string_view line, std::uint64_t tells) {
  if (way_ == Way::Nowhere) return false;
  if (way_ == Way::Thread) return thread_->push(std::string(line), tells);
  if (way_ == Way::OwnDescription && own_ == -1) open_own();
  return put_rest() && put(line);
}

bool LineOutput::put(std::string_view line) {
  const long taken = put_now(line);
  if (taken < 0) return false;
  rest_ = line.substr(static_cast<std::size_t>(taken));
  return true;
}

bool LineOutput::put_rest() {
  if (rest_.empty()) return true;
  const long taken = put_now(rest_);
  if (taken > 0) rest_.erase(0, static_cast<std::size_t>(taken));
  return rest_.empty();
}

/// Bytes taken; -1 for none, whatever the reason: it may be gone the next time.
long LineOutput::put_now(std::string_view bytes) {
  for (;;) {
    const ssize_t taken = way_ == Way::Socket
                              ? ::send(descriptor_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                              : ::write(way_ == Way::File ? descriptor_ : own_, bytes.data(), bytes.size());
    if (taken > 0) return taken;
    if (taken == 0 || errno != EINTR) return -1;
  }
}

}  // namespace limpet::base

#include "device/sysctl.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "device/unique_fd.h"

namespace vipgate {
namespace {

constexpr std::size_t kMaxValue = 65536;

absl::Status failed(int error, const std::string& what, const std::string& key, const std::string& value) {
  const std::string place = absl::StrCat("cannot ", what, " sysctl ", key);
  switch (error) {
    case ENOENT:
      return absl::NotFoundError(absl::StrCat(place, ": this kernel or network namespace does not have it"));
    case EROFS:
      return absl::FailedPreconditionError(absl::StrCat(place,
                                                        ": /proc/sys is mounted read-only, as containers have it. "
                                                        "Remedy: set it from outside ('--sysctl' of the container) to ",
                                                        value));
    case EPERM:
    case EACCES:
      return absl::PermissionDeniedError(absl::StrCat(place, ": needs root or CAP_NET_ADMIN"));
    default:
      return absl::ErrnoToStatus(error, place);
  }
}

}  // namespace

absl::StatusOr<std::string> read_sysctl(const std::string& key) {
  const UniqueFd fd(::open(absl::StrCat("/proc/sys/", key).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) return failed(errno, "read", key, "");
  // One call, too: of ip_local_reserved_ports, which may be long, a second read gets nothing.
  std::string text(kMaxValue, '\0');
  const ssize_t size = ::read(fd.get(), text.data(), text.size());
  if (size < 0) return failed(errno, "read", key, "");
  return std::string(absl::StripAsciiWhitespace(absl::string_view(text.data(), static_cast<std::size_t>(size))));
}

absl::Status write_sysctl(const std::string& key, const std::string& value) {
  const UniqueFd fd(::open(absl::StrCat("/proc/sys/", key).c_str(), O_WRONLY | O_CLOEXEC));
  const std::string text = absl::StrCat(value, "\n");  // a write of nothing would change nothing
  // One call: the kernel takes each write as a whole value.
  if (!fd || ::write(fd.get(), text.data(), text.size()) < 0) return failed(errno, "set", key, value);
  return absl::OkStatus();
}

}  // namespace vipgate

#include "runtime/whole_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <fstream>
#include <sstream>

#include "absl/strings/str_cat.h"
#include "device/unique_fd.h"

namespace vipgate {
namespace {

constexpr const char* kRemedy = " (choose the folder with flows.state_dir)";

}  // namespace

std::optional<std::string> read_whole(const std::string& path) {
  std::ifstream file(path);
  if (!file) return std::nullopt;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

absl::Status write_whole(const std::string& path, const std::string& text) {
  const std::string fresh = absl::StrCat(path, ".new");
  const auto failed = [&fresh] { return absl::ErrnoToStatus(errno, absl::StrCat("cannot write ", fresh, kRemedy)); };
  (void)::unlink(fresh.c_str());
  const UniqueFd file(::open(fresh.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600));
  if (!file) return failed();
  const ssize_t written = ::write(file.get(), text.data(), text.size());
  if (written < 0) return failed();
  if (static_cast<std::size_t>(written) != text.size()) {
    errno = ENOSPC;
    return failed();
  }
  if (::rename(fresh.c_str(), path.c_str()) != 0) return failed();
  return absl::OkStatus();
}

}  // namespace vipgate

#include "config/load.h"

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>

namespace vipgate {
namespace {

/// The whole file in `text`; 0, or the errno that stood in the way.
int read_file(const std::string& file, std::string& text) {
  const int fd = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return errno;
  std::array<char, 65536> buffer;
  ssize_t size;
  while ((size = ::read(fd, buffer.data(), buffer.size())) > 0)
    text.append(buffer.data(), static_cast<std::size_t>(size));
  const int error = size < 0 ? errno : 0;
  ::close(fd);
  return error;
}

}  // namespace

LoadResult load_config(const std::string& file) {
  std::string text;
  if (const int error = read_file(file, text); error != 0) {
    return {std::nullopt, {file + ": cannot be read: " + std::strerror(error) + "; name the file with --config"}, {}};
  }
  ConfigResult parsed = parse_config(text);
  LoadResult result{std::move(parsed.config), {}, std::move(parsed.errors)};
  for (const ConfigError& error : result.details) result.errors.push_back(format_error(file, error));
  return result;
}

}  // namespace vipgate

#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "config/config.h"

namespace vipgate::config {

/// How many errors are reported; the rest is counted.
inline constexpr std::size_t kMaxErrors = 100;

/// Collects all that is wrong with one text. Places are byte offsets until they are reported.
class Errors {
 public:
  /// `text` must outlive this.
  explicit Errors(std::string_view text);

  void add(std::size_t offset, std::string what);
  bool empty() const { return found_.empty(); }

  /// "LINE:COLUMN", for a message that names a second place.
  std::string place(std::size_t offset) const;

  /// In order of place; the same fault at the same place (a default that many services use) once.
  std::vector<ConfigError> report();

 private:
  struct Found {
    std::size_t offset = 0;
    std::string what;
    bool operator==(const Found&) const = default;
  };

  ConfigError at(std::size_t offset) const;

  std::vector<std::size_t> line_starts_{0};
  std::vector<Found> found_;
};

/// A value in quotes for a message: shortened, with control characters made visible.
std::string quoted(std::string_view text);

}  // namespace vipgate::config

#include "config/errors.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <utility>

namespace vipgate::config {
namespace {

constexpr std::size_t kMaxQuoted = 60;  // bytes of a value that a message repeats

bool is_utf8_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0U) == 0x80U;
}

}  // namespace

Errors::Errors(std::string_view text) {
  for (std::size_t at = text.find('\n'); at != std::string_view::npos; at = text.find('\n', at + 1)) {
    line_starts_.push_back(at + 1);
  }
}

void Errors::add(std::size_t offset, std::string what) {
  found_.push_back({offset, std::move(what)});
}

ConfigError Errors::at(std::size_t offset) const {
  const auto next = std::upper_bound(line_starts_.begin(), line_starts_.end(), offset);
  const auto line = static_cast<std::size_t>(std::distance(line_starts_.begin(), next));
  return {.line = line, .column = offset - line_starts_[line - 1] + 1, .what = {}};
}

std::string Errors::place(std::size_t offset) const {
  const ConfigError place = at(offset);
  return std::to_string(place.line) + ":" + std::to_string(place.column);
}

std::vector<ConfigError> Errors::report() {
  std::stable_sort(found_.begin(), found_.end(), [](const Found& a, const Found& b) { return a.offset < b.offset; });
  found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
  std::vector<ConfigError> report;
  for (Found& found : found_) {
    ConfigError& error = report.emplace_back(at(found.offset));
    if (report.size() > kMaxErrors) {
      const std::size_t rest = found_.size() - kMaxErrors;
      error.what =
          "and " + std::to_string(rest) + (rest == 1 ? " more error" : " more errors, of which this is the first");
      break;
    }
    error.what = std::move(found.what);
  }
  found_.clear();
  return report;
}

std::string quoted(std::string_view text) {
  static constexpr std::array kHex{'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'};
  const bool shortened = text.size() > kMaxQuoted;
  if (shortened) {
    std::size_t end = kMaxQuoted;
    while (end > 0 && is_utf8_continuation(text[end])) --end;  // never half a character
    text = text.substr(0, end);
  }
  std::string result = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7F) {
      result += "\\u00";
      result += kHex.at(byte >> 4U);
      result += kHex.at(byte & 0xFU);
    } else {
      if (c == '"' || c == '\\') result += '\\';
      result += c;
    }
  }
  return result + (shortened ? "...\"" : "\"");
}

}  // namespace vipgate::config

namespace vipgate {

std::string format_error(std::string_view file, const ConfigError& error) {
  return std::string(file) + ":" + std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.what;
}

}  // namespace vipgate

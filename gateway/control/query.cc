#include "control/query.h"

#include <cstddef>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"

namespace vipgate::control {
namespace {

int digit_of(char letter) {
  if (!absl::ascii_isxdigit(static_cast<unsigned char>(letter))) return -1;
  return absl::ascii_isdigit(static_cast<unsigned char>(letter))
             ? letter - '0'
             : absl::ascii_tolower(static_cast<unsigned char>(letter)) - 'a' + 10;
}

std::optional<std::string> decode(const std::string& text) {
  std::string decoded;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      decoded.push_back(text[i] == '+' ? ' ' : text[i]);
      continue;
    }
    if (i + 2 >= text.size() || digit_of(text[i + 1]) < 0 || digit_of(text[i + 2]) < 0) return std::nullopt;
    decoded.push_back(static_cast<char>(digit_of(text[i + 1]) * 16 + digit_of(text[i + 2])));
    i += 2;
  }
  return decoded;
}

}  // namespace

std::optional<std::map<std::string, std::string>> parse_query(std::string_view target) {
  std::map<std::string, std::string> values;
  const std::size_t mark = target.find('?');
  if (mark == std::string_view::npos) return values;
  const std::string_view query = target.substr(mark + 1);
  const std::vector<std::string> pairs =
      absl::StrSplit(absl::string_view(query.data(), query.size()), '&', absl::SkipEmpty());
  for (const std::string& pair : pairs) {
    const std::size_t equals = pair.find('=');
    auto name = decode(pair.substr(0, equals));
    auto value = equals == std::string::npos ? std::string() : decode(pair.substr(equals + 1));
    if (!name || !value || !values.emplace(*std::move(name), *std::move(value)).second) return std::nullopt;
  }
  return values;
}

std::string encode_query(std::string_view text) {
  std::string encoded;
  for (const char letter : text) {
    const auto byte = static_cast<unsigned char>(letter);
    if (absl::ascii_isalnum(byte) || letter == '-' || letter == '.' || letter == '_' || letter == '~') {
      encoded.push_back(letter);
    } else {
      encoded += absl::StrFormat("%%%02X", byte);
    }
  }
  return encoded;
}

}  // namespace vipgate::control

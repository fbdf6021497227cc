#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "config/errors.h"

namespace vipgate::config {

enum class JsonKind : std::uint8_t { null, boolean, integer, fraction, string, array, object };

struct JsonMember;

/// A JSON value that knows where it was written.
struct JsonValue {
  JsonKind kind = JsonKind::null;
  bool boolean = false;
  std::size_t offset = 0;           ///< of its first byte
  std::int64_t integer = 0;         ///< held at the type's ends when the text says more
  std::string text;                 ///< a string's content; a number as it was written
  std::vector<JsonValue> items;     ///< of an array
  std::vector<JsonMember> members;  ///< of an object in the text's order, duplicates included
};

struct JsonMember {
  std::string key;
  std::size_t key_offset = 0;
  JsonValue value;
};

/// How deep arrays and objects may nest: whoever walks the tree recurses this far and no farther.
inline constexpr std::size_t kMaxJsonDepth = 64;

/// Reads RFC 8259 JSON; comments (//, /* */) and a byte order mark are skipped. Stops at the first syntax error, which
/// goes to `errors`. True: `root` is whole.
bool parse_json(std::string_view text, JsonValue& root, Errors& errors);

}  // namespace vipgate::config

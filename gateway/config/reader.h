#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/errors.h"
#include "config/json_tree.h"
#include "vipgate/address.h"
#include "vipgate/time.h"

namespace vipgate::config {

/// A key that an object may have.
struct Key {
  std::string_view name;
  bool built = true;  ///< false: part of the format, refused until it does something
};

struct IntegerRange {
  std::int64_t first = 0;
  std::int64_t last = 0;
  std::string_view noun = {};  ///< "a port"; else the message says "out of range"
};
inline constexpr IntegerRange kPortRange{1, 65535, "a port"};

// Each reader checks one value and says what is wrong with it, in words that begin with the key. Nothing: an error was
// recorded.

std::optional<bool> read_boolean(std::string_view key, const JsonValue& value, Errors& errors);
/// For a switch that is part of the format, but not built yet: only false will do.
std::optional<bool> read_false(std::string_view key, const JsonValue& value, Errors& errors);
std::optional<std::int64_t> read_integer(std::string_view key, const JsonValue& value, IntegerRange range,
                                         Errors& errors);
/// A string with 1 to `max_size` bytes and no control characters.
std::optional<std::string> read_text(std::string_view key, const JsonValue& value, std::size_t max_size,
                                     Errors& errors);
/// An integer and its unit: more than nothing, at most 365d.
std::optional<Duration> read_duration(std::string_view key, const JsonValue& value, Errors& errors);
/// An address that one host can have.
std::optional<Ipv4Address> read_address(std::string_view key, const JsonValue& value, Errors& errors);
/// The same for an address of the gateway's own, which may be an object one day.
std::optional<Ipv4Address> read_own_address(std::string_view key, const JsonValue& value, Errors& errors);
std::optional<Ipv4Prefix> read_prefix(std::string_view key, const JsonValue& value, Errors& errors);
/// A list of prefixes, none of them twice; may be empty.
std::optional<std::vector<Ipv4Prefix>> read_prefixes(std::string_view key, const JsonValue& value, Errors& errors);

/// A name that the kernel takes (dev_valid_name), without '%', which asks it to put a number in.
std::optional<std::string> read_interface_name(std::string_view key, const JsonValue& value, Errors& errors);
/// A routing table that is not the kernel's.
std::optional<std::int64_t> read_table(std::string_view key, const JsonValue& value, Errors& errors);

/// "loopback" and the like for an address that no single host on a network has; empty for the others.
std::string_view special_use(Ipv4Address address);

/// What stands there, for a message: the value itself, or "a list".
std::string describe(const JsonValue& value);
/// Records `"KEY": VALUE must be NOUN`.
void add_mismatch(std::string_view key, const JsonValue& value, std::string_view noun, Errors& errors);
/// Records that `value` is part of the format, but does nothing yet.
void add_not_built(std::string_view key, const JsonValue& value, std::string_view remedy, Errors& errors);

/// A word that a key may have.
template <typename T>
struct Choice {
  std::string_view word;
  std::optional<T> meaning;  ///< none: part of the format, not built yet
};

template <typename T>
std::optional<T> read_choice(std::string_view key, const JsonValue& value, std::initializer_list<Choice<T>> choices,
                             Errors& errors) {
  for (const Choice<T>& choice : choices) {
    if (value.kind != JsonKind::string || value.text != choice.word) continue;
    if (!choice.meaning) add_not_built(key, value, "leave it out", errors);
    return choice.meaning;
  }
  std::string words;
  for (const Choice<T>& choice : choices) {
    if (choice.meaning) words += (words.empty() ? "" : " or ") + quoted(choice.word);
  }
  add_mismatch(key, value, words, errors);
  return std::nullopt;
}

/// The members of an object by key. Recorded when it is made: a value that is no object, keys unknown, twice there or
/// not built yet.
class ObjectReader {
 public:
  /// `what` names the object: the key that it stands at, or "a service". Keys and value must outlive this.
  ObjectReader(std::string_view what, const JsonValue& value, std::span<const Key> keys, Errors& errors);

  /// None: not there. `key` is one of the keys.
  const JsonValue* find(std::string_view key) const;
  /// The same; what is not there is an error at the object. `noun` says what to write.
  const JsonValue* require(std::string_view key, std::string_view noun) const;

  /// Calls read(key, value, further..., errors) if the key is there, and keeps what it gives.
  template <typename T, typename Read, typename... Further>
  void set(T& target, std::string_view key, Read read, Further... further) const {
    if (const JsonValue* value = find(key)) {
      if (auto result = read(key, *value, further..., *errors_)) target = static_cast<T>(*std::move(result));
    }
  }

  std::size_t offset() const { return value_->offset; }
  Errors& errors() const { return *errors_; }

 private:
  static constexpr std::size_t kMaxKeys = 24;

  void add_member(const JsonMember& member);
  std::optional<std::size_t> index_of(std::string_view key) const;

  std::string_view what_;
  const JsonValue* value_;
  std::span<const Key> keys_;
  Errors* errors_;
  std::array<const JsonMember*, kMaxKeys> members_{};
};

}  // namespace vipgate::config

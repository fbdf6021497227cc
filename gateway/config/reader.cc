#include "config/reader.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <map>

namespace vipgate::config {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::minutes;
using std::chrono::seconds;

struct Unit {
  std::string_view name;
  Duration length;
};
constexpr std::array kUnits{Unit{"ms", milliseconds(1)}, Unit{"s", seconds(1)}, Unit{"m", minutes(1)},
                            Unit{"h", hours(1)}, Unit{"d", hours(24)}};
constexpr Duration kLongest = hours(24) * 365;
constexpr std::size_t kMaxInterfaceName = 15;  // IFNAMSIZ - 1

std::string limits(IntegerRange range) {
  return " (" + std::to_string(range.first) + " to " + std::to_string(range.last) + ")";
}

std::string subject(std::string_view key) {
  return quoted(key) + ": ";
}

struct SpecialUse {
  std::uint32_t first;
  std::uint32_t last;
  std::string_view name;
};
constexpr std::array kSpecialUses{
    SpecialUse{0x00000000, 0x00000000, "no"},             // RFC 1122 §3.2.1.3 (a): this host
    SpecialUse{0x7F000000, 0x7FFFFFFF, "a loopback"},     // RFC 1122 §3.2.1.3 (g)
    SpecialUse{0xE0000000, 0xEFFFFFFF, "a multicast"},    // RFC 1112 §4
    SpecialUse{0xFFFFFFFF, 0xFFFFFFFF, "the broadcast"},  // RFC 919 §7
};

/// What was meant by a prefix that does not parse, if it can be told.
std::string prefix_hint(std::string_view text) {
  const std::size_t slash = text.find('/');
  const std::optional<Ipv4Address> address = Ipv4Address::parse(text.substr(0, slash));
  if (!address || slash == std::string_view::npos) return {};
  int length = -1;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data() + slash + 1, end, length);
  if (error != std::errc() || stop != end || length < 0 || length > 32) return {};
  const Ipv4Prefix meant(*address, length);
  if (meant.address() == *address) return {};
  return "; bits behind the prefix are set, did you mean " + quoted(meant.to_string()) + "?";
}

}  // namespace

std::string_view special_use(Ipv4Address address) {
  const auto* found = std::find_if(kSpecialUses.begin(), kSpecialUses.end(), [&](const SpecialUse& use) {
    return use.first <= address.value() && address.value() <= use.last;
  });
  return found == kSpecialUses.end() ? std::string_view{} : found->name;
}

std::string describe(const JsonValue& value) {
  switch (value.kind) {
    case JsonKind::null:
      return "null";
    case JsonKind::boolean:
      return value.boolean ? "true" : "false";
    case JsonKind::integer:
    case JsonKind::fraction:
      return value.text.size() > 40 ? value.text.substr(0, 40) + "..." : value.text;
    case JsonKind::string:
      return quoted(value.text);
    case JsonKind::array:
      return "a list";
    case JsonKind::object:
      break;
  }
  return "an object";
}

void add_mismatch(std::string_view key, const JsonValue& value, std::string_view noun, Errors& errors) {
  errors.add(value.offset, subject(key) + describe(value) + " must be " + std::string(noun));
}

void add_not_built(std::string_view key, const JsonValue& value, std::string_view remedy, Errors& errors) {
  errors.add(value.offset, subject(key) + "not built yet as " + describe(value) + "; " + std::string(remedy));
}

std::optional<bool> read_boolean(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind == JsonKind::boolean) return value.boolean;
  add_mismatch(key, value, "true or false", errors);
  return std::nullopt;
}

std::optional<bool> read_false(std::string_view key, const JsonValue& value, Errors& errors) {
  const auto flag = read_boolean(key, value, errors);
  if (flag && *flag) add_not_built(key, value, "leave it out", errors);
  return flag;
}

std::optional<std::int64_t> read_integer(std::string_view key, const JsonValue& value, IntegerRange range,
                                         Errors& errors) {
  if (value.kind != JsonKind::integer) {
    add_mismatch(key, value, "a whole number" + limits(range), errors);
    return std::nullopt;
  }
  if (value.integer < range.first || value.integer > range.last) {
    const std::string fault = range.noun.empty() ? "out of range" : "not " + std::string(range.noun);
    errors.add(value.offset, subject(key) + describe(value) + " is " + fault + limits(range));
    return std::nullopt;
  }
  return value.integer;
}

std::optional<std::string> read_text(std::string_view key, const JsonValue& value, std::size_t max_size,
                                     Errors& errors) {
  if (value.kind != JsonKind::string) {
    add_mismatch(key, value, "a string", errors);
    return std::nullopt;
  }
  const bool control = std::any_of(value.text.begin(), value.text.end(), [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7F;
  });
  if (value.text.empty() || value.text.size() > max_size || control) {
    add_mismatch(key, value, "1 to " + std::to_string(max_size) + " bytes without control characters", errors);
    return std::nullopt;
  }
  return value.text;
}

std::optional<Duration> read_duration(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind == JsonKind::integer || value.kind == JsonKind::fraction) {
    errors.add(value.offset, subject(key) + describe(value) + " has no unit; write \"" + describe(value) +
                                 "s\" for seconds (or ms, m, h, d)");
    return std::nullopt;
  }
  constexpr std::string_view kForm = "a duration: a whole number with ms, s, m, h or d, such as \"300s\"";
  if (value.kind != JsonKind::string) {
    add_mismatch(key, value, kForm, errors);
    return std::nullopt;
  }
  const std::string_view text = value.text;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto* unit =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& known) { return known.name == text.substr(digits); });
  if (digits == 0 || unit == kUnits.end()) {
    add_mismatch(key, value, kForm, errors);
    return std::nullopt;
  }
  std::int64_t count = 0;
  const bool fits = std::from_chars(text.data(), text.data() + digits, count).ec == std::errc();
  if (!fits || count == 0 || count > kLongest / unit->length) {
    errors.add(value.offset, subject(key) + describe(value) + " is out of range (more than 0, at most \"365d\")");
    return std::nullopt;
  }
  return count * unit->length;
}

std::optional<Ipv4Address> read_address(std::string_view key, const JsonValue& value, Errors& errors) {
  const std::optional<Ipv4Address> address =
      value.kind == JsonKind::string ? Ipv4Address::parse(value.text) : std::nullopt;
  if (!address) {
    add_mismatch(key, value, "an IPv4 address, such as \"203.0.113.10\"", errors);
    return std::nullopt;
  }
  if (const std::string_view use = special_use(*address); !use.empty()) {
    errors.add(value.offset, subject(key) + address->to_string() + " is " + std::string(use) +
                                 " address; write one that a host can have");
    return std::nullopt;
  }
  return address;
}

std::optional<Ipv4Address> read_own_address(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind != JsonKind::object) return read_address(key, value, errors);
  add_not_built(key, value, "write the address itself", errors);
  return std::nullopt;
}

std::optional<Ipv4Prefix> read_prefix(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind == JsonKind::string) {
    if (const std::optional<Ipv4Prefix> prefix = Ipv4Prefix::parse(value.text)) return prefix;
    errors.add(value.offset, subject(key) + describe(value) + " must be an IPv4 prefix, such as \"203.0.113.8/29\"" +
                                 prefix_hint(value.text));
    return std::nullopt;
  }
  add_mismatch(key, value, "an IPv4 prefix, such as \"203.0.113.8/29\"", errors);
  return std::nullopt;
}

std::optional<std::vector<Ipv4Prefix>> read_prefixes(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind != JsonKind::array) {
    add_mismatch(key, value, "a list of IPv4 prefixes, such as [\"198.51.100.0/24\"]", errors);
    return std::nullopt;
  }
  std::vector<Ipv4Prefix> prefixes;
  std::map<Ipv4Prefix, std::size_t> places;
  for (const JsonValue& item : value.items) {
    const auto prefix = read_prefix(key, item, errors);
    if (!prefix) continue;
    const auto [first, is_new] = places.try_emplace(*prefix, item.offset);
    if (is_new) {
      prefixes.push_back(*prefix);
    } else {
      errors.add(item.offset, subject(key) + prefix->to_string() + " is in the list twice, first at " +
                                  errors.place(first->second) + "; name it once");
    }
  }
  return prefixes;
}

std::optional<std::string> read_interface_name(std::string_view key, const JsonValue& value, Errors& errors) {
  const std::string& name = value.text;
  const bool bad = value.kind != JsonKind::string || name.empty() || name.size() > kMaxInterfaceName || name == "." ||
                   name == ".." || std::any_of(name.begin(), name.end(), [](char c) {
                     const auto byte = static_cast<unsigned char>(c);
                     return byte <= ' ' || byte >= 0x7F || c == '/' || c == ':' || c == '%';
                   });
  if (!bad) return name;
  add_mismatch(key, value, "an interface name: 1 to 15 characters, no blanks, no '/', ':' or '%'", errors);
  return std::nullopt;
}

std::optional<std::int64_t> read_table(std::string_view key, const JsonValue& value, Errors& errors) {
  constexpr std::int64_t kDefault = 253;  // RT_TABLE_DEFAULT, RT_TABLE_MAIN
  constexpr std::int64_t kLocal = 255;    // RT_TABLE_LOCAL
  const auto table = read_integer(key, value, {1, 0x7FFFFFFF, "a routing table"}, errors);
  if (!table || *table < kDefault || *table > kLocal) return table;
  add_mismatch(key, value, "a table of our own: 253 to 255 are the kernel's", errors);
  return std::nullopt;
}

}  // namespace vipgate::config

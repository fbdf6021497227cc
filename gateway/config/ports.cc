#include "config/ports.h"

#include <algorithm>
#include <charconv>

#include "config/reader.h"

namespace vipgate::config {
namespace {

constexpr std::string_view kForm = "a port (80), a range (\"8000-8099\"), \"*\", or a list of ports and ranges";

std::optional<std::int64_t> parse_port(std::string_view text) {
  std::int64_t port = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, port);
  if (error != std::errc() || stop != end || port < kPortRange.first || port > kPortRange.last) return std::nullopt;
  return port;
}

std::optional<PortRange> read_port_text(std::string_view key, const JsonValue& value, Errors& errors) {
  const std::string_view text = value.text;
  const std::size_t dash = text.find('-');
  const auto first = parse_port(text.substr(0, dash));
  if (dash == std::string_view::npos) {
    const std::string_view remedy = first ? "a number: write it without quotes" : kForm;
    add_mismatch(key, value, remedy, errors);
    return std::nullopt;
  }
  const auto last = parse_port(text.substr(dash + 1));
  if (!first || !last) {
    add_mismatch(key, value, "a range of ports from 1 to 65535, such as \"8000-8099\"", errors);
    return std::nullopt;
  }
  if (*first > *last) {
    add_mismatch(key, value, "written from the lower to the higher port", errors);
    return std::nullopt;
  }
  return PortRange{static_cast<std::uint16_t>(*first), static_cast<std::uint16_t>(*last)};
}

/// One port or one range.
std::optional<PortRange> read_range(std::string_view key, const JsonValue& value, Errors& errors) {
  if (value.kind == JsonKind::string) return read_port_text(key, value, errors);
  if (value.kind != JsonKind::integer) {
    add_mismatch(key, value, kForm, errors);
    return std::nullopt;
  }
  const auto port = read_integer(key, value, kPortRange, errors);
  if (!port) return std::nullopt;
  return PortRange{static_cast<std::uint16_t>(*port), static_cast<std::uint16_t>(*port)};
}

bool is_wildcard(const JsonValue& value) {
  return value.kind == JsonKind::string && value.text == "*";
}

}  // namespace

std::string to_string(PortRange range) {
  std::string text = std::to_string(range.first);
  if (range.last != range.first) text += "-" + std::to_string(range.last);
  return text;
}

std::optional<DraftPorts> read_ports(std::string_view key, const JsonValue& value, Errors& errors) {
  if (is_wildcard(value)) return DraftPorts{.wildcard = true, .ranges = {{kAllPorts, value.offset}}};
  DraftPorts ports;
  if (value.kind != JsonKind::array) {
    const auto range = read_range(key, value, errors);
    if (!range) return std::nullopt;
    ports.ranges.push_back({*range, value.offset});
    return ports;
  }
  if (value.items.empty()) errors.add(value.offset, quoted(key) + ": the list is empty; write at least one port");
  for (const JsonValue& item : value.items) {
    if (is_wildcard(item)) {
      errors.add(item.offset, quoted(key) + ": \"*\" stands alone, not in a list; every port is in it");
    } else if (const auto range = read_range(key, item, errors)) {
      ports.ranges.push_back({*range, item.offset});
    }
  }
  std::sort(ports.ranges.begin(), ports.ranges.end(), [](const Placed<PortRange>& a, const Placed<PortRange>& b) {
    return std::pair(a.value, a.offset) < std::pair(b.value, b.offset);
  });
  for_each_overlap(
      ports.ranges, [](const Placed<PortRange>& entry) { return entry.value; },
      [&](const Placed<PortRange>& a, const Placed<PortRange>& b) {
        const auto& [earlier, later] =
            std::minmax(a, b, [](const auto& x, const auto& y) { return x.offset < y.offset; });
        errors.add(later.offset, quoted(key) + ": " + to_string(later.value) + " overlaps " + to_string(earlier.value) +
                                     " (" + errors.place(earlier.offset) + ") of the same list; name each port once");
      });
  if (ports.ranges.empty()) return std::nullopt;
  return ports;
}

void check_backend_port(const DraftPorts& ports, const DraftBackend& backend, Errors& errors) {
  if (!backend.backend.port) return;
  const int port = *backend.backend.port;
  if (ports.wildcard) {
    errors.add(backend.port_offset, "\"port\": " + std::to_string(port) + " cannot serve a service on port \"*\" (" +
                                        errors.place(ports.ranges.front().offset) +
                                        "), which keeps the client's port; leave it out");
    return;
  }
  for (const Placed<PortRange>& range : ports.ranges) {
    const int spread = range.value.last - range.value.first;
    if (port + spread <= kAllPorts.last) continue;
    errors.add(backend.port_offset, "\"port\": " + std::to_string(port) + " is too high for " + to_string(range.value) +
                                        " (" + errors.place(range.offset) + "), which would reach " +
                                        std::to_string(port + spread) + "; write at most " +
                                        std::to_string(kAllPorts.last - spread));
  }
}

}  // namespace vipgate::config

#include "runtime/port_set.h"

#include <charconv>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  if (error != std::errc() || stop != text.data() + text.size()) return std::nullopt;
  return port;
}

}  // namespace

std::optional<PortSet> PortSet::parse(std::string_view text) {
  PortSet set;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const std::string_view range = text.substr(0, comma);
    text.remove_prefix(std::min(comma + 1, text.size()));
    const std::size_t dash = range.find('-');
    const auto first = parse_port(range.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : parse_port(range.substr(dash + 1));
    if (!first || !last || *first > *last) return std::nullopt;
    set.add({*first, *last});
  }
  return set;
}

std::string PortSet::to_text() const {
  std::string text;
  for (const PortRange range : ranges()) {
    absl::StrAppend(&text, text.empty() ? "" : ",", range.first);
    if (range.last != range.first) absl::StrAppend(&text, "-", range.last);
  }
  return text;
}

void PortSet::add(PortRange range) {
  for (std::size_t port = range.first; port <= range.last; ++port) ports_.set(port);
}

std::vector<PortRange> PortSet::ranges() const {
  std::vector<PortRange> ranges;
  for (std::size_t port = 0; port < kPorts; ++port) {
    if (!ports_.test(port)) continue;
    const auto number = static_cast<std::uint16_t>(port);
    if (!ranges.empty() && ranges.back().last + 1U == port) {
      ranges.back().last = number;
    } else {
      ranges.push_back({number, number});
    }
  }
  return ranges;
}

}  // namespace vipgate

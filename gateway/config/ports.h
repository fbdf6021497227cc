#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "config/draft.h"
#include "config/errors.h"
#include "config/json_tree.h"

namespace vipgate::config {

/// The ports of a service: 80, "8000-8099", "*", or a list of numbers and ranges.
std::optional<DraftPorts> read_ports(std::string_view key, const JsonValue& value, Errors& errors);

/// A backend's own port shifts each range as a whole: the range's first port goes to it. Records where that cannot be.
void check_backend_port(const DraftPorts& ports, const DraftBackend& backend, Errors& errors);

std::string to_string(PortRange range);

/// Calls report(earlier, later) for entries that share a port with one before them. `entries` are sorted by first port,
/// which `range(entry)` gives; each is compared with the one that reaches farthest, so this takes one pass.
template <typename Entry, typename Range, typename Report>
void for_each_overlap(const std::vector<Entry>& entries, Range range, Report report) {
  const Entry* farthest = nullptr;
  for (const Entry& entry : entries) {
    if (farthest != nullptr && range(entry).first <= range(*farthest).last) report(*farthest, entry);
    if (farthest == nullptr || range(entry).last > range(*farthest).last) farthest = &entry;
  }
}

}  // namespace vipgate::config

#pragma once

#include <string_view>

#include "config/draft.h"
#include "config/errors.h"
#include "config/json_tree.h"

namespace vipgate::config {

/// Where an address is announced; the address itself is filled in by the caller.
std::optional<DraftAnnouncement> read_announce(std::string_view key, const JsonValue& value, Errors& errors);

/// What is the TUN's own cannot announce.
void check_announcements(const Draft& draft, const Config& config, Errors& errors);

}  // namespace vipgate::config

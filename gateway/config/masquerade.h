#pragma once

#include "config/draft.h"
#include "config/errors.h"
#include "config/json_tree.h"

namespace vipgate::config {

/// Fills in Draft::masquerade, and Draft::announcements of its entries.
void read_masquerade(const JsonValue& value, Draft& draft, Errors& errors);

/// Fills in the default, the last host address of the subnets that is no VIP, and checks what services name.
void resolve_masquerade(Draft& draft, Errors& errors);

}  // namespace vipgate::config

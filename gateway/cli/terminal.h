#pragma once

#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace vipgate {

/// Whether the standard output is a terminal that shows colours, and nobody has set NO_COLOR (no-color.org).
bool has_colours();

enum class Colour : unsigned char { none, red, green, yellow };

/// The text in a colour, where has_colours().
std::string coloured(Colour colour, std::string_view text);

/// Of a backend as /v1/status has it: green where it is up, yellow where it is drained or held, red where it is down.
Colour colour_of(const nlohmann::ordered_json& backend);

}  // namespace vipgate

#include "cli/terminal.h"

#include <unistd.h>

#include <cstdlib>

#include "absl/strings/str_cat.h"

namespace vipgate {

bool has_colours() {
  static const bool has = [] {
    const auto said = [](const char* name) {
      const char* value = std::getenv(name);
      return std::string_view(value == nullptr ? "" : value);
    };
    return ::isatty(STDOUT_FILENO) != 0 && said("NO_COLOR").empty() && said("TERM") != "dumb";
  }();
  return has;
}

std::string coloured(Colour colour, std::string_view text) {
  if (colour == Colour::none || !has_colours()) return std::string(text);
  const int code = colour == Colour::red ? 31 : colour == Colour::green ? 32 : 33;  // ECMA-48, 8.3.117
  return absl::StrCat("\x1b[", code, "m", std::string(text), "\x1b[0m");
}

Colour colour_of(const nlohmann::ordered_json& backend) {
  const bool held = backend.contains("health") && backend["health"]["state"] == "held";
  if (held || backend["state"] == "drained") return Colour::yellow;
  return backend["state"] == "up" ? Colour::green : Colour::red;
}

}  // namespace vipgate

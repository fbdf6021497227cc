#include "control/page.h"

#include <cstddef>
#include <string>

#include <nlohmann/json.hpp>

#include "vipgate/verdict.h"

// The linker puts the file between these.
extern "C" const char _binary_page_html_start[];  // NOLINT: the linker's name
extern "C" const char _binary_page_html_end[];    // NOLINT: likewise

namespace vipgate::control {
namespace {

/// What the reasons mean, by their names, as the page reads it.
std::string reasons() {
  nlohmann::ordered_json texts;
  for (std::size_t i = 1; i < kReasonCount; ++i) {
    const auto reason = static_cast<Reason>(i);
    texts[std::string(name_of(reason))] = std::string(describe(reason));
  }
  return texts.dump();
}

std::string assemble() {
  static constexpr std::string_view kMark = "@REASONS@";
  std::string text(_binary_page_html_start, _binary_page_html_end);
  if (const std::size_t place = text.find(kMark); place != std::string::npos) {
    text.replace(place, kMark.size(), reasons());
  }
  return text;
}

}  // namespace

std::string_view page() {
  static const std::string text = assemble();
  return text;
}

}  // namespace vipgate::control

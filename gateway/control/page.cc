#include "control/page.h"

// The linker puts the file between these.
extern "C" const char _binary_index_html_start[];  // NOLINT: the linker's name
extern "C" const char _binary_index_html_end[];    // NOLINT: likewise

namespace vipgate::control {

std::string_view page() {
  return {_binary_index_html_start, _binary_index_html_end};
}

}  // namespace vipgate::control

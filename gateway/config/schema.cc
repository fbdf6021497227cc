#include "config/schema.h"

// The linker puts the file between these.
extern "C" const char _binary_schema_json_start[];  // NOLINT: the linker's name
extern "C" const char _binary_schema_json_end[];    // NOLINT: likewise

namespace vipgate {

std::string_view config_schema() {
  return {_binary_schema_json_start, _binary_schema_json_end};
}

}  // namespace vipgate

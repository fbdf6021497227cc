#include "fuzz/require.h"

#include <cstdio>
#include <cstdlib>
#include <string>

namespace vipgate::fuzz {

void fail(std::string_view what, std::string_view about) {
  const std::string line =
      "does not hold: " + std::string(what) + (about.empty() ? "" : "\n" + std::string(about)) + "\n";
  std::fputs(line.c_str(), stderr);
  std::abort();
}

}  // namespace vipgate::fuzz

/// Memory that is freed is kept from use for a while; the usual 256 MiB of it cost more time than the targets do.
extern "C" const char* __asan_default_options() {
  return "quarantine_size_mb=16";
}

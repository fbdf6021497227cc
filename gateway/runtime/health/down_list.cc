#include "runtime/health/down_list.h"

#include <cstdint>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/whole_file.h"

namespace vipgate {
namespace {

std::string path_in(const std::string& folder) {
  return absl::StrCat(folder, "/", kDownList);
}

}  // namespace

std::set<Endpoint> read_down_list(const std::string& folder) {
  std::set<Endpoint> down;
  std::istringstream lines(read_whole(path_in(folder)).value_or(""));
  for (std::string line; std::getline(lines, line);) {
    const std::pair<std::string, std::string> parts = absl::StrSplit(line, absl::MaxSplits(':', 1));
    const auto address = Ipv4Address::parse(parts.first);
    std::uint32_t port = 0;
    if (address && absl::SimpleAtoi(parts.second, &port) && port <= UINT16_MAX) {
      down.insert({*address, static_cast<std::uint16_t>(port)});
    }
  }
  return down;
}

absl::Status write_down_list(const std::string& folder, const std::set<Endpoint>& down) {
  std::string text;
  for (const Endpoint& one : down) absl::StrAppend(&text, one.to_string(), "\n");
  return write_whole(path_in(folder), text);
}

}  // namespace vipgate

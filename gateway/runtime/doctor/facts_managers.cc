#include <dirent.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "runtime/doctor/facts.h"
#include "runtime/whole_file.h"

// Programs that manage a host's network, and what their files say.
namespace vipgate::doctor {
namespace {

namespace fs = std::filesystem;

/// Calls `each` with section, key and value of an ini file, in order.
template <typename Each>
void read_settings(const std::string& path, Each&& each) {
  const auto text = read_whole(path);
  if (!text) return;
  std::string section;
  for (const absl::string_view raw : absl::StrSplit(*text, '\n')) {
    const absl::string_view line = absl::StripAsciiWhitespace(raw);
    if (line.empty() || line[0] == '#' || line[0] == ';') continue;
    if (line.front() == '[' && line.back() == ']') {
      section = std::string(line.substr(1, line.size() - 2));
      continue;
    }
    const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(line, absl::MaxSplits('=', 1));
    each(section, std::string(absl::StripAsciiWhitespace(parts.first)),
         std::string(absl::StripAsciiWhitespace(parts.second)));
  }
}

/// A main file and its drop-ins, in the order in which they hold: each folder hides files of the same name in later
/// ones, and what remains is sorted by name.
std::vector<std::string> files_of(const std::string& root, const std::vector<std::string>& mains,
                                  const std::vector<std::string>& folders) {
  std::vector<std::string> files;
  for (const std::string& path : mains) {
    if (!fs::exists(root + path)) continue;
    files.push_back(root + path);
    break;
  }
  std::map<std::string, std::string> drop_ins;
  for (const std::string& folder : folders) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(root + folder, error)) {
      const std::string name = entry.path().filename();
      if (absl::EndsWith(name, ".conf")) drop_ins.try_emplace(name, entry.path().string());
    }
  }
  for (const auto& [name, path] : drop_ins) files.push_back(path);
  return files;
}

bool says_no(const std::string& value) {
  static const std::set<std::string> kNo{"no", "n", "false", "f", "off", "0"};
  return kNo.contains(absl::AsciiStrToLower(value));
}

/// "interface-name:tun0;type:tun", with wildcards: a device may be meant by some of it, or excepted.
bool names_device(const std::string& list, const std::string& device) {
  for (const absl::string_view part : absl::StrSplit(list, absl::ByAnyChar(";,"))) {
    absl::string_view one = absl::StripAsciiWhitespace(part);
    if (one == "*" || one == "type:tun") return true;
    if (!absl::ConsumePrefix(&one, "interface-name:")) continue;
    absl::ConsumePrefix(&one, "=");
    if (one == device) return true;
    if (absl::EndsWith(one, "*") && absl::StartsWith(device, one.substr(0, one.size() - 1))) return true;
  }
  return false;
}

}  // namespace

bool program_runs(const std::string& name) {
  struct stat own {};
  if (::stat("/proc/self/ns/net", &own) != 0) return false;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator("/proc", error)) {
    int number = 0;
    if (!absl::SimpleAtoi(entry.path().filename().string(), &number)) continue;
    const auto comm = read_whole((entry.path() / "comm").string());
    if (!comm || absl::StripAsciiWhitespace(*comm) != name) continue;
    struct stat theirs {};  // where that may not be seen, it is likely this host's
    if (::stat((entry.path() / "ns/net").c_str(), &theirs) != 0 || theirs.st_ino == own.st_ino) return true;
  }
  return false;
}

Networkd find_networkd(const std::string& root) {
  Networkd found{.runs = program_runs("systemd-network")};
  const auto files = files_of(root,
                              {"/etc/systemd/networkd.conf", "/run/systemd/networkd.conf",
                               "/usr/local/lib/systemd/networkd.conf", "/usr/lib/systemd/networkd.conf"},
                              {"/etc/systemd/networkd.conf.d", "/run/systemd/networkd.conf.d",
                               "/usr/local/lib/systemd/networkd.conf.d", "/usr/lib/systemd/networkd.conf.d"});
  for (const std::string& file : files) {
    read_settings(file, [&](const std::string& section, const std::string& key, const std::string& value) {
      if (section != "Network") return;
      if (key == "ManageForeignRoutingPolicyRules") found.manages_foreign_rules = !says_no(value);
      if (key == "ManageForeignRoutes") found.manages_foreign_routes = !says_no(value);
    });
  }
  return found;
}

NetworkManager find_network_manager(const std::string& root, const std::string& tun) {
  NetworkManager found{.runs = program_runs("NetworkManager")};
  const auto files =
      files_of(root, {"/etc/NetworkManager/NetworkManager.conf"},
               {"/etc/NetworkManager/conf.d", "/run/NetworkManager/conf.d", "/usr/lib/NetworkManager/conf.d"});
  for (const std::string& file : files) {
    std::string match;
    read_settings(file, [&](const std::string& section, const std::string& key, const std::string& value) {
      if (section == "keyfile" && key == "unmanaged-devices") found.leaves_tun = names_device(value, tun);
      if (!absl::StartsWith(section, "device")) return;
      if (key == "match-device") match = value;
      if (key == "managed" && says_no(value) && names_device(match, tun)) found.leaves_tun = true;
    });
  }
  return found;
}

}  // namespace vipgate::doctor

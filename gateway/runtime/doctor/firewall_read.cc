#include <fcntl.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstddef>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "device/nft_tables.h"
#include "device/unique_fd.h"
#include "runtime/doctor/firewall.h"
#include "runtime/whole_file.h"

extern char** environ;

namespace vipgate::doctor {
namespace {

// An administrator's PATH may lack them.
constexpr std::array<const char*, 4> kFolders{"/usr/sbin", "/sbin", "/usr/bin", "/usr/local/sbin"};

std::string find_program(const std::string& name) {
  for (const char* folder : kFolders) {
    std::string path = absl::StrCat(folder, "/", name);
    if (::access(path.c_str(), X_OK) == 0) return path;
  }
  return "";
}

/// What a program prints; nullopt where it fails.
std::optional<std::string> output_of(const std::string& program, const std::vector<const char*>& arguments) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) return std::nullopt;
  const UniqueFd reader(ends[0]);
  UniqueFd writer(ends[1]);
  posix_spawn_file_actions_t actions;
  ::posix_spawn_file_actions_init(&actions);
  ::posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  ::posix_spawn_file_actions_adddup2(&actions, writer.get(), STDOUT_FILENO);
  ::posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
  std::vector<char*> words{const_cast<char*>(program.c_str())};
  for (const char* argument : arguments) words.push_back(const_cast<char*>(argument));
  words.push_back(nullptr);
  pid_t child = -1;
  const int error = ::posix_spawn(&child, program.c_str(), &actions, nullptr, words.data(), environ);
  ::posix_spawn_file_actions_destroy(&actions);
  writer.reset();
  if (error != 0) return std::nullopt;
  std::string text;
  std::array<char, 65536> buffer;
  ssize_t size = 0;
  while ((size = ::read(reader.get(), buffer.data(), buffer.size())) > 0 || (size < 0 && errno == EINTR)) {
    if (size > 0) text.append(buffer.data(), static_cast<std::size_t>(size));
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) return std::nullopt;
  return text;
}

bool is_of_iptables(const Table& table) {
  static const std::set<std::string> kTables{"filter", "nat", "mangle", "raw", "security"};
  static const std::set<std::string> kChains{"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"};
  return table.family == "ip" && kTables.contains(table.name) &&
         std::all_of(table.chains.begin(), table.chains.end(),
                     [](const auto& entry) { return entry.second.hook.empty() || kChains.contains(entry.first); });
}

void read_nft(Firewall& firewall) {
  const std::string program = find_program("nft");
  if (program.empty()) {
    const auto names = nft_tables();
    if (names.ok() && names->empty()) return;
    firewall.unseen.push_back(absl::StrCat(
        names.ok() ? absl::StrCat("there are rules of nftables (table ", absl::StrJoin(*names, ", table "), ")")
                   : std::string("there may be rules of nftables"),
        ", which cannot be looked at: nft is not installed"));
    return;
  }
  const auto text = output_of(program, {"--json", "list", "ruleset"});
  auto tables = text ? parse_nft(*text) : std::nullopt;
  if (!tables) {
    firewall.unseen.push_back("nft cannot list the rules of nftables (it needs root)");
    return;
  }
  std::vector<Table> by_iptables;
  const bool asks = std::any_of(tables->begin(), tables->end(), is_of_iptables);
  const std::string saver = asks ? find_program("iptables-nft-save") : "";
  if (!saver.empty()) {
    if (const auto saved = output_of(saver, {})) by_iptables = parse_iptables(*saved, "iptables");
  }
  for (Table& table : *tables) {
    const auto same = std::find_if(by_iptables.begin(), by_iptables.end(), [&](const Table& other) {
      return is_of_iptables(table) && other.name == table.name;
    });
    firewall.tables.push_back(same == by_iptables.end() ? std::move(table) : std::move(*same));
  }
}

/// The older iptables, whose tables nft does not see.
void read_legacy(Firewall& firewall) {
  const auto names = read_whole("/proc/thread-self/net/ip_tables_names");
  if (!names || names->empty()) return;
  const std::string program = find_program("iptables-legacy-save");
  const auto text = program.empty() ? std::nullopt : output_of(program, {});
  if (!text) {
    firewall.unseen.push_back(
        "there are rules of the older iptables, which cannot be looked at: iptables-legacy-save is not there, or "
        "fails");
    return;
  }
  for (Table& table : parse_iptables(*text, "iptables-legacy")) firewall.tables.push_back(std::move(table));
}

}  // namespace

Firewall read_firewall() {
  Firewall firewall;
  read_nft(firewall);
  read_legacy(firewall);
  return firewall;
}

}  // namespace vipgate::doctor

#include "runtime/kernel_state.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "runtime/whole_file.h"

namespace vipgate {
namespace {

constexpr const char* kHeader = "vipgate-kernel-state 1";

/// Only what vipgate sets itself is ever written back from a file.
bool is_known_key(const std::string& key) {
  return (key.rfind("net/ipv4/", 0) == 0 || key.rfind("net/ipv6/conf/", 0) == 0) && key.find("..") == std::string::npos;
}

absl::Status failed(const std::string& what, const std::string& path) {
  return absl::ErrnoToStatus(errno,
                             absl::StrCat("cannot ", what, " ", path, " (choose the folder with flows.state_dir)"));
}

absl::Status make_folder(const std::string& folder) {
  for (std::size_t end = folder.find('/', 1); end != std::string::npos; end = folder.find('/', end + 1)) {
    const std::string parent = folder.substr(0, end);
    if (::mkdir(parent.c_str(), 0755) != 0 && errno != EEXIST) return failed("make", parent);
  }
  if (::mkdir(folder.c_str(), 0711) != 0 && errno != EEXIST) return failed("make", folder);
  return absl::OkStatus();
}

}  // namespace

std::string KernelState::to_text() const {
  std::string text = absl::StrCat(kHeader, "\nnamespace ", identity, "\n");
  if (!device.empty()) absl::StrAppend(&text, created ? "created " : "found ", device, "\n");
  if (link.up) absl::StrAppend(&text, "up ", *link.up ? 1 : 0, "\n");
  if (link.mtu) absl::StrAppend(&text, "mtu ", *link.mtu, "\n");
  for (const Tag& tag : tags) absl::StrAppend(&text, "tag ", tag.protocol, " ", tag.table, "\n");
  for (const std::uint32_t table : announced_tables) absl::StrAppend(&text, "announced ", table, "\n");
  if (local_rule) absl::StrAppend(&text, "local ", *local_rule, "\n");
  if (!reserved_ports.empty()) absl::StrAppend(&text, "reserved ", reserved_ports.to_text(), "\n");
  for (const Value& value : values) {
    absl::StrAppend(&text, "sysctl ", value.key, " ", value.before, value.set.empty() ? "" : " ", value.set, "\n");
  }
  return text;
}

std::optional<KernelState> KernelState::parse(const std::string& text) {
  std::istringstream lines(text);
  std::string line;
  if (!std::getline(lines, line) || line != kHeader) return std::nullopt;
  KernelState state;
  while (std::getline(lines, line)) {
    std::istringstream words(line);
    std::string word;
    words >> word;
    bool good = true;
    if (word == "namespace") {
      good = static_cast<bool>(words >> state.identity);
    } else if (word == "created" || word == "found") {
      state.created = word == "created";
      good = static_cast<bool>(words >> state.device);
    } else if (word == "up") {
      good = static_cast<bool>(words >> state.link.up.emplace());
    } else if (word == "mtu") {
      good = static_cast<bool>(words >> state.link.mtu.emplace());
    } else if (word == "tag") {
      unsigned protocol = 0;
      Tag tag;
      good = words >> protocol >> tag.table && protocol > 0 && protocol <= UINT8_MAX;
      tag.protocol = static_cast<std::uint8_t>(protocol);
      state.tags.push_back(tag);
    } else if (word == "announced") {
      good = static_cast<bool>(words >> state.announced_tables.emplace_back());
    } else if (word == "local") {
      unsigned protocol = 0;
      good = words >> protocol && protocol <= UINT8_MAX;
      state.local_rule = static_cast<std::uint8_t>(protocol);
    } else if (word == "reserved") {
      std::string ports;
      words >> ports;
      const std::optional<PortSet> reserved = PortSet::parse(ports);
      good = reserved.has_value();
      if (reserved) state.reserved_ports = *reserved;
    } else if (word == "sysctl") {
      Value value;
      good = words >> value.key >> value.before && is_known_key(value.key);
      words >> value.set;
      state.values.push_back(value);
    } else {
      good = false;
    }
    if (!good) return std::nullopt;
  }
  return state;
}

absl::StatusOr<KernelStateFile> KernelStateFile::open(const std::string& folder) {
  if (absl::Status status = make_folder(folder); !status.ok()) return status;
  UniqueFd lock(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!lock) return failed("open", folder);
  // On the folder itself: no lock file that somebody could delete.
  if (::flock(lock.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK) return failed("lock", folder);
    return absl::AlreadyExistsError(absl::StrCat(
        folder,
        " is in use by another gateway, perhaps of another network namespace. Give each its own flows.state_dir"));
  }
  return KernelStateFile(absl::StrCat(folder, "/", kName), std::move(lock));
}

KernelStateFile KernelStateFile::take_over(const std::string& folder, UniqueFd lock) {
  return {absl::StrCat(folder, "/", kName), std::move(lock)};
}

std::optional<KernelState> KernelStateFile::load() const {
  const std::optional<std::string> text = read_whole(path_);
  return text ? KernelState::parse(*text) : std::nullopt;
}

absl::Status KernelStateFile::save(const KernelState& state) const {
  return write_whole(path_, state.to_text());
}

void KernelStateFile::remove() const {
  (void)::unlink(path_.c_str());
}

}  // namespace vipgate

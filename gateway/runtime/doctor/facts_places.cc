#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <sstream>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "device/unique_fd.h"
#include "runtime/doctor/facts.h"
#include "runtime/flow_file.h"
#include "runtime/flow_file_header.h"
#include "runtime/flow_storage.h"
#include "runtime/whole_file.h"
#include "vipgate/engine.h"

// Files, folders, memory and ports.
namespace vipgate::doctor {
namespace {

namespace fs = std::filesystem;

/// The folder, or the nearest one above it that is there: the others are made at the start.
fs::path nearest(const std::string& folder) {
  fs::path path = fs::absolute(folder);
  std::error_code error;
  while (!fs::exists(path, error) && path != path.root_path()) path = path.parent_path();
  return path;
}

std::string reason_against(const std::string& folder) {
  const fs::path path = nearest(folder);
  std::error_code error;
  if (!fs::is_directory(path, error)) return absl::StrCat(path.string(), " is no folder");
  if (::faccessat(AT_FDCWD, path.c_str(), W_OK | X_OK, AT_EACCESS) == 0) return "";
  return absl::StrCat(path.string(), " cannot be written to: ", std::strerror(errno));
}

bool is_tmpfs(const std::string& path) {
  struct statfs found {};
  return ::statfs(path.c_str(), &found) == 0 && found.f_type == TMPFS_MAGIC;
}

/// Where the file of flows is or will be, and how much room is there.
void find_flows(const Config& config, Places& places) {
  const FlowFileOptions options{.state_dir = config.flows.state_dir, .seed = {}};
  const absl::StatusOr<std::string> path = FlowFile::path_for(options);
  std::error_code error;
  places.flows_there = path.ok() && fs::exists(*path, error);
  for (const std::string& folder : {nearest(options.state_dir).string(), options.memory_folder}) {
    if (!is_tmpfs(folder)) continue;
    places.flow_folder = folder;
    struct statfs found {};
    if (::statfs(folder.c_str(), &found) == 0) {
      places.flow_room = found.f_bavail * static_cast<std::uint64_t>(found.f_bsize);
    }
    return;
  }
}

std::uint64_t available_memory() {
  const std::string text = read_whole("/proc/meminfo").value_or("");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    std::istringstream words{std::string(line)};
    std::string name;
    std::uint64_t kibibytes = 0;
    if (words >> name >> kibibytes && name == "MemAvailable:") return kibibytes << 10;
  }
  return 0;
}

/// The inode of a socket that listens there: at this address, or at all of them; empty: nobody does.
std::string listener_at(const Endpoint& endpoint) {
  const std::string text = read_whole("/proc/thread-self/net/tcp").value_or("");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    // sl local_address rem_address st queues timers retransmits uid timeout inode
    const std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (words.size() < 10 || words[3] != "0A") continue;
    const std::vector<std::string> local = absl::StrSplit(words[1], ':');
    std::uint32_t address = 0;
    std::uint32_t port = 0;
    if (local.size() != 2 || !absl::SimpleHexAtoi(local[0], &address) || !absl::SimpleHexAtoi(local[1], &port))
      continue;
    const Ipv4Address theirs(ntohl(address));  // printed as the machine sees its four bytes
    if (port != endpoint.port) continue;
    if (theirs == endpoint.address || theirs == Ipv4Address() || endpoint.address == Ipv4Address()) return words[9];
  }
  return "";
}

/// "nginx (process 12)" that has a socket open, as far as may be seen.
std::string owner_of(const std::string& inode) {
  const std::string wanted = absl::StrCat("socket:[", inode, "]");
  std::error_code error;
  for (const auto& process : fs::directory_iterator("/proc", error)) {
    const std::string number = process.path().filename();
    int pid = 0;
    if (!absl::SimpleAtoi(number, &pid)) continue;
    std::error_code hidden;
    for (const auto& descriptor : fs::directory_iterator(process.path() / "fd", hidden)) {
      std::error_code gone;
      if (fs::read_symlink(descriptor.path(), gone) != wanted) continue;
      const std::string name = read_whole((process.path() / "comm").string()).value_or("?");
      return absl::StrCat(absl::StripAsciiWhitespace(name), " (process ", number, ")");
    }
  }
  return "another process";
}

/// `running`: a gateway may listen there itself.
std::string other_listener(const Endpoint& endpoint, bool running) {
  const std::string inode = listener_at(endpoint);
  if (inode.empty()) return "";
  const std::string owner = owner_of(inode);
  const bool own = running && (absl::StartsWith(owner, "vipgate ") || owner == "another process");
  return own ? "" : owner;
}

}  // namespace

Places find_places(const Config& config, bool running) {
  Places places;
  places.state_dir = reason_against(config.flows.state_dir);
  const std::string& socket = config.control.socket;
  struct stat found {};
  if (::lstat(socket.c_str(), &found) == 0 && !S_ISSOCK(found.st_mode)) {
    places.control_socket = absl::StrCat(socket, " is there already and no socket");
  } else if (socket.size() >= sizeof(sockaddr_un::sun_path)) {
    places.control_socket = absl::StrCat("its path is longer than ", sizeof(sockaddr_un::sun_path) - 1, " characters");
  } else {
    places.control_socket = reason_against(fs::path(socket).parent_path());
  }
  const std::size_t capacity = config.flows.max == 0 ? FlowStorage::default_capacity() : config.flows.max;
  places.flow_bytes = make_flow_file_header(capacity, 0, "").file_bytes();
  places.index_bytes = flow_index_bytes(capacity);
  places.memory = available_memory();
  find_flows(config, places);
  if (config.control.http) places.http_listener = other_listener(*config.control.http, running);
  return places;
}

}  // namespace vipgate::doctor

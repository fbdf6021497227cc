#include "runtime/flow_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <random>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "device/sysctl.h"

namespace vipgate {
namespace {

namespace fs = std::filesystem;

constexpr const char* kName = "flows";

/// How long a predecessor that is just being killed may take to let go of the file.
constexpr std::chrono::milliseconds kPatience{1000};
constexpr std::chrono::milliseconds kPause{10};

absl::Status failed(const std::string& what, const std::string& path) {
  return absl::ErrnoToStatus(errno,
                             absl::StrCat("cannot ", what, " ", path, " (choose the folder with flows.state_dir)"));
}

bool is_tmpfs(const std::string& folder) {
  struct statfs found {};
  return ::statfs(folder.c_str(), &found) == 0 && found.f_type == TMPFS_MAGIC;
}

/// On a disk, records would be written back all the time. /dev/shm is the same for all, so the name tells whose it is.
absl::StatusOr<std::string> choose_path(const FlowFileOptions& options) {
  std::error_code error;
  const std::string folder = fs::canonical(options.state_dir, error);
  if (error) return absl::ErrnoToStatus(error.value(), absl::StrCat("cannot find ", options.state_dir));
  if (is_tmpfs(folder)) return absl::StrCat(folder, "/", kName);
  if (!is_tmpfs(options.memory_folder)) {
    return absl::FailedPreconditionError(absl::StrCat("flows need a tmpfs, and neither ", folder, " nor ",
                                                      options.memory_folder,
                                                      " is one. Mount one, and choose it with flows.state_dir"));
  }
  const std::string name = absl::StrReplaceAll(folder, {{"=", "=3d"}, {"-", "=2d"}, {"/", "-"}});
  const std::string path = absl::StrCat(options.memory_folder, "/vipgate", name, ".", kName);
  options.log(absl::StrCat(folder, " is on a disk: flows are kept in ", path));
  return path;
}

absl::Status lock(const UniqueFd& fd, const std::string& path) {
  const auto deadline = std::chrono::steady_clock::now() + kPatience;
  while (::flock(fd.get(), LOCK_EX | LOCK_NB) != 0) {
    if (errno != EWOULDBLOCK && errno != EINTR) return failed("lock", path);
    if (std::chrono::steady_clock::now() >= deadline) {
      return absl::AlreadyExistsError(
          absl::StrCat(path, " is in use by another gateway. Give each its own flows.state_dir"));
    }
    std::this_thread::sleep_for(kPause);
  }
  return absl::OkStatus();
}

void remove_kept_aside(const std::string& path) {
  const fs::path whole(path);
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(whole.parent_path(), error)) {
    if (!absl::StartsWith(entry.path().filename().string(), absl::StrCat(whole.filename().string(), ".broken-")))
      continue;
    (void)::unlink(entry.path().c_str());
  }
}

absl::Status keep_aside(const std::string& path, const std::string& why, const FlowFileOptions& options) {
  remove_kept_aside(path);
  const std::string aside =
      absl::StrCat(path, ".broken-", absl::FormatTime("%Y%m%dT%H%M%S", absl::Now(), absl::UTCTimeZone()));
  if (::rename(path.c_str(), aside.c_str()) != 0) return failed("move away", path);
  options.log(absl::StrCat("flows start anew: ", path, " cannot be used, ", why, "; it is kept as ", aside));
  return absl::OkStatus();
}

/// 0 or errno.
int reserve(const UniqueFd& fd, std::uint64_t bytes) {
  int error = EINTR;
  while (error == EINTR) error = ::posix_fallocate(fd.get(), 0, static_cast<off_t>(bytes));
  return error;
}

absl::Status no_room(const std::string& path, int error, const FlowFileHeader& header) {
  struct statfs found {};
  const std::string folder = fs::path(path).parent_path();
  (void)::statfs(folder.c_str(), &found);
  if (error != ENOSPC) {
    errno = error;
    return failed("reserve the memory of", path);
  }
  constexpr std::uint64_t kMebibyte = 1 << 20;
  return absl::ResourceExhaustedError(absl::StrCat(
      folder, " has no room for ", header.capacity, " flows: they take ", header.file_bytes() / kMebibyte + 1,
      " MiB, and ", found.f_bavail * static_cast<std::uint64_t>(found.f_bsize) / kMebibyte,
      " MiB are free. Lower \"flows\": { \"max\" }, or enlarge the tmpfs (mount -o remount,size=...)"));
}

/// Anybody may make files in /dev/shm.
bool is_our_own(const UniqueFd& fd) {
  struct stat found {};
  return ::fstat(fd.get(), &found) == 0 && S_ISREG(found.st_mode) && found.st_uid == ::geteuid() &&
         (found.st_mode & (S_IRWXG | S_IRWXO)) == 0;
}

std::vector<std::byte> beginning_of(const UniqueFd& fd) {
  std::vector<std::byte> bytes(FlowFileHeader::kSize);
  const ssize_t read = ::pread(fd.get(), bytes.data(), bytes.size(), 0);
  bytes.resize(read < 0 ? 0 : static_cast<std::size_t>(read));
  return bytes;
}

std::uint64_t size_of(const UniqueFd& fd) {
  struct stat found {};
  return ::fstat(fd.get(), &found) == 0 ? static_cast<std::uint64_t>(found.st_size) : 0;
}

std::string boot_id() {
  return read_sysctl("kernel/random/boot_id").value_or("");
}

std::uint64_t random_seed() {
  std::random_device random;
  return std::uint64_t{random()} << 32 | random();
}

}  // namespace

absl::StatusOr<std::string> FlowFile::path_for(const FlowFileOptions& options) {
  return choose_path(options);
}

FlowFileHeader& FlowFile::header() const {
  return *reinterpret_cast<FlowFileHeader*>(map_.bytes().data());
}

FlowMemory FlowFile::memory() const {
  const FlowFileHeader& about = header();
  const auto bytes = map_.bytes().subspan(FlowFileHeader::kSize);
  return {.records = bytes.first(about.record_bytes),
          .index = {},
          .helpers = bytes.subspan(about.record_bytes, about.helper_bytes),
          .capacity = about.capacity};
}

absl::Status FlowFile::map(std::uint64_t bytes) {
  map_ = MemoryMap(bytes, MAP_SHARED, fd_.get());
  return map_ ? absl::OkStatus() : failed("map", path_);
}

absl::StatusOr<FlowFile> FlowFile::create(const std::string& path, const FlowFileOptions& options, std::uint64_t seed) {
  const FlowFileHeader header = make_flow_file_header(options.capacity, seed, boot_id());
  FlowFile file;
  file.path_ = path;
  (void)::unlink(path.c_str());  // of a process that was killed while it made it
  file.fd_.reset(::open(path.c_str(), O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!file.fd_) return failed("make", path);
  if (const int error = reserve(file.fd_, header.file_bytes()); error != 0) {
    const absl::Status status = no_room(path, error, header);
    (void)::unlink(path.c_str());
    return status;
  }
  if (absl::Status status = lock(file.fd_, path); !status.ok()) return status;
  if (absl::Status status = file.map(header.file_bytes()); !status.ok()) return status;
  file.header() = header;
  return file;
}

/// The file that is there, mapped, if it can be used; else it is kept aside.
absl::StatusOr<std::optional<FlowFile>> FlowFile::find(const std::string& path, const FlowFileOptions& options) {
  FlowFile file;
  file.path_ = path;
  file.fd_.reset(::open(path.c_str(), O_RDWR | O_NOFOLLOW | O_CLOEXEC));
  const bool is_link = !file.fd_ && errno == ELOOP;
  if (!file.fd_ && !is_link) {
    if (errno == ENOENT) return std::nullopt;
    return failed("open", path);
  }
  std::string objection = "it is not a file that only this user can use";
  if (!is_link && is_our_own(file.fd_)) {
    if (absl::Status status = lock(file.fd_, path); !status.ok()) return status;
    objection = objection_to(beginning_of(file.fd_), size_of(file.fd_), boot_id());
  }
  FlowFileHeader header;
  if (objection.empty()) {
    header = read_flow_file_header(beginning_of(file.fd_));
    if (options.seed && *options.seed != header.seed) objection = "it was made with another --seed";
  }
  if (!objection.empty()) {
    if (absl::Status status = keep_aside(path, objection, options); !status.ok()) return status;
    return std::nullopt;
  }
  if (const int error = reserve(file.fd_, header.file_bytes()); error != 0) return no_room(path, error, header);
  if (absl::Status status = file.map(header.file_bytes()); !status.ok()) return status;
  file.used_ = true;
  file.was_ended_ = header.in_use == 0;
  return std::optional(std::move(file));
}

/// The file gets its name last: whoever finds it finds it whole.
absl::StatusOr<FlowFile> FlowFile::replace(const std::string& path, const std::optional<FlowFile>& old,
                                           const FlowFileOptions& options) {
  auto made = create(absl::StrCat(path, ".new"), options, old ? old->seed() : options.seed.value_or(random_seed()));
  if (absl::IsResourceExhausted(made.status())) {  // live flows are worth more than broken ones
    remove_kept_aside(path);
    made = create(absl::StrCat(path, ".new"), options, old ? old->seed() : options.seed.value_or(random_seed()));
  }
  if (!made.ok()) return made.status();
  if (old) {
    const std::size_t left = carry_over(old->memory(), made->memory());
    options.log(absl::StrCat("flows move from ", old->header().capacity, " places to ", options.capacity,
                             left == 0 ? "" : absl::StrCat("; there was none for ", left)));
    made->header().starts = old->header().starts;
    made->used_ = true;
    made->was_ended_ = old->was_ended_;
  }
  if (::rename(made->path_.c_str(), path.c_str()) != 0) return failed("make", path);
  made->path_ = path;
  return made;
}

absl::StatusOr<FlowFile> FlowFile::open(const FlowFileOptions& options) {
  const absl::StatusOr<std::string> path = choose_path(options);
  if (!path.ok()) return path.status();
  auto found = find(*path, options);
  if (!found.ok()) return found.status();
  std::optional<FlowFile> file = *std::move(found);
  if (!file || file->header().capacity != options.capacity) {
    auto made = replace(*path, file, options);
    if (!made.ok()) return made.status();
    file.emplace(*std::move(made));
  }
  ++file->header().starts;
  file->header().in_use = 1;
  return *std::move(file);
}

absl::StatusOr<FlowFile> FlowFile::take_over(UniqueFd fd, const FlowFileOptions& options) {
  const absl::StatusOr<std::string> path = choose_path(options);
  if (!path.ok()) return path.status();
  FlowFile file;
  file.path_ = *path;
  file.fd_ = std::move(fd);
  const std::string objection = objection_to(beginning_of(file.fd_), size_of(file.fd_), boot_id());
  if (!objection.empty()) return absl::FailedPreconditionError(absl::StrCat(*path, " cannot be used, ", objection));
  if (absl::Status status = file.map(read_flow_file_header(beginning_of(file.fd_)).file_bytes()); !status.ok()) {
    return status;
  }
  file.used_ = true;
  file.was_ended_ = file.header().in_use == 0;
  ++file.header().starts;
  file.header().in_use = 1;
  return file;
}

void FlowFile::end() {
  header().in_use = 0;
}

void FlowFile::go_on() {
  header().in_use = 1;
}

}  // namespace vipgate

#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "device/unique_fd.h"
#include "runtime/flow_file_header.h"
#include "runtime/memory_map.h"
#include "vipgate/engine.h"

namespace vipgate {

struct FlowFileOptions {
  std::string state_dir;  ///< is there already
  std::size_t capacity = 0;
  std::optional<std::uint64_t> seed;       ///< none: the file's, or a random one
  std::string memory_folder = "/dev/shm";  ///< where the file is if `state_dir` is on a disk
  std::function<void(const std::string&)> log = [](const std::string&) {};
};

/// Flow records in a file on a tmpfs, mapped, which outlive the process. One process has it at a time.
class FlowFile {
 public:
  /// Finds or makes the file `flows` of a state folder. What cannot be used is kept aside, the last one of its kind,
  /// and flows begin anew; flows of another capacity are carried over as far as there is room. ResourceExhausted where
  /// there is no room for the file: all of it is reserved, so that a full tmpfs never ends the process later.
  static absl::StatusOr<FlowFile> open(const FlowFileOptions& options);

  /// Where open() looks for it. An error where the folder is not there, or nothing is a tmpfs.
  static absl::StatusOr<std::string> path_for(const FlowFileOptions& options);

  /// Goes on with the file, and its lock, of a gateway that hands it over, whatever capacity the options want.
  static absl::StatusOr<FlowFile> take_over(UniqueFd fd, const FlowFileOptions& options);

  const UniqueFd& descriptor() const { return fd_; }
  const std::string& path() const { return path_; }
  /// Whether an earlier process may have left flows: Engine::adopt() is to be called.
  bool is_used() const { return used_; }
  /// Whether that process had come to an orderly end.
  bool was_ended() const { return was_ended_; }
  std::uint64_t seed() const { return header().seed; }

  /// Records and helpers; an index has to be added.
  FlowMemory memory() const;

  /// All flows are as they shall be left.
  void end();
  /// Takes back end(): they change again.
  void go_on();

 private:
  FlowFile() = default;

  FlowFileHeader& header() const;
  static absl::StatusOr<std::optional<FlowFile>> find(const std::string& path, const FlowFileOptions& options);
  static absl::StatusOr<FlowFile> create(const std::string& path, const FlowFileOptions& options, std::uint64_t seed);
  static absl::StatusOr<FlowFile> replace(const std::string& path, const std::optional<FlowFile>& old,
                                          const FlowFileOptions& options);
  absl::Status map(std::uint64_t bytes);

  std::string path_;
  UniqueFd fd_;  ///< with the lock
  MemoryMap map_;
  bool used_ = false;
  bool was_ended_ = false;
};

}  // namespace vipgate

#pragma once

#include <cstddef>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "runtime/flow_file.h"
#include "runtime/memory_map.h"
#include "vipgate/engine.h"

namespace vipgate {

/// Memory for flow records and their index, given back at the end.
class FlowStorage {
 public:
  /// `capacity` flows; a multiple of kShards. All zeros. ResourceExhausted where the machine has no room for them.
  static absl::StatusOr<FlowStorage> allocate(std::size_t capacity);
  /// Over the flows of a file.
  static absl::StatusOr<FlowStorage> over(FlowFile file);

  /// What "auto" means: 262,144 flows, less where that would be more than a sixteenth of the machine's memory.
  static std::size_t default_capacity();

  const FlowMemory& memory() const { return memory_; }
  /// Makes the index zeros again, for Engine::adopt() in the same process. No engine may be there.
  void clear_index();
  /// None where the flows do not outlive the process.
  std::optional<FlowFile>& file() { return file_; }
  const std::optional<FlowFile>& file() const { return file_; }

 private:
  FlowStorage() = default;

  MemoryMap pages_;  ///< the index, and before it what is in no file
  std::optional<FlowFile> file_;
  FlowMemory memory_;
};

}  // namespace vipgate

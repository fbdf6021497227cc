#pragma once

#include <cstddef>

#include "absl/status/statusor.h"
#include "vipgate/engine.h"

namespace vipgate {

/// Memory for flow records and their index, zeroed, given back at the end.
class FlowStorage {
 public:
  /// `capacity` flows; a multiple of kShards. ResourceExhausted where the machine has no room for them.
  static absl::StatusOr<FlowStorage> allocate(std::size_t capacity);

  /// What "auto" means: 262,144 flows, less where that would be more than a sixteenth of the machine's memory.
  static std::size_t default_capacity();

  FlowStorage(FlowStorage&& other) noexcept;
  FlowStorage& operator=(FlowStorage&&) = delete;
  ~FlowStorage();

  FlowMemory memory() const;

 private:
  FlowStorage(std::byte* bytes, std::size_t size, std::size_t capacity)
      : bytes_(bytes), size_(size), capacity_(capacity) {}

  std::byte* bytes_;
  std::size_t size_;
  std::size_t capacity_;
};

}  // namespace vipgate

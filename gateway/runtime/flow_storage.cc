#include "runtime/flow_storage.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::size_t kDefaultFlows = 262144;
constexpr std::size_t kShareOfMemory = 16;

}  // namespace

absl::StatusOr<FlowStorage> FlowStorage::allocate(std::size_t capacity) {
  const std::size_t size = flow_record_bytes(capacity) + flow_index_bytes(capacity) + helper_record_bytes(capacity);
  void* bytes = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (bytes == MAP_FAILED) {
    return absl::ResourceExhaustedError(absl::StrCat("no memory for ", capacity, " flows (", size >> 20, " MiB): ",
                                                     std::strerror(errno), "; lower \"flows\": { \"max\" }"));
  }
  return FlowStorage(static_cast<std::byte*>(bytes), size, capacity);
}

std::size_t FlowStorage::default_capacity() {
  const auto memory =
      static_cast<std::size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  const std::size_t bytes_per_flow =
      (flow_record_bytes(kDefaultFlows) + flow_index_bytes(kDefaultFlows) + helper_record_bytes(kDefaultFlows)) /
      kDefaultFlows;
  const std::size_t affordable = memory / kShareOfMemory / bytes_per_flow;
  return std::clamp<std::size_t>(affordable, kShards * 16, kDefaultFlows) / kShards * kShards;
}

FlowStorage::FlowStorage(FlowStorage&& other) noexcept
    : bytes_(std::exchange(other.bytes_, nullptr)), size_(other.size_), capacity_(other.capacity_) {}

FlowStorage::~FlowStorage() {
  if (bytes_ != nullptr) ::munmap(bytes_, size_);
}

FlowMemory FlowStorage::memory() const {
  const std::size_t records = flow_record_bytes(capacity_);
  const std::size_t index = flow_index_bytes(capacity_);
  return {.records = {bytes_, records},
          .index = {bytes_ + records, index},
          .helpers = {bytes_ + records + index, size_ - records - index},
          .capacity = capacity_};
}

}  // namespace vipgate

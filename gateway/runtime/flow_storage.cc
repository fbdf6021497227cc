#include "runtime/flow_storage.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::size_t kDefaultFlows = 262144;
constexpr std::size_t kShareOfMemory = 16;

absl::StatusOr<MemoryMap> allocate_pages(std::size_t bytes, std::size_t capacity) {
  MemoryMap pages(bytes, MAP_PRIVATE | MAP_ANONYMOUS, -1);
  if (pages) {
    // Packets of many flows touch it everywhere: with small pages, each would wait for the page table too. Only advice.
    (void)::madvise(pages.bytes().data(), pages.bytes().size(), MADV_HUGEPAGE);
    return pages;
  }
  return absl::ResourceExhaustedError(absl::StrCat("no memory for ", capacity, " flows (", bytes >> 20,
                                                   " MiB): ", std::strerror(errno), "; lower \"flows\": { \"max\" }"));
}

}  // namespace

absl::StatusOr<FlowStorage> FlowStorage::allocate(std::size_t capacity) {
  const std::size_t records = flow_record_bytes(capacity);
  const std::size_t helpers = helper_record_bytes(capacity);
  const std::size_t index = flow_index_bytes(capacity);
  auto pages = allocate_pages(records + helpers + index, capacity);
  if (!pages.ok()) return pages.status();
  FlowStorage storage;
  storage.pages_ = *std::move(pages);
  const auto bytes = storage.pages_.bytes();
  storage.memory_ = {.records = bytes.first(records),
                     .index = bytes.last(index),
                     .helpers = bytes.subspan(records, helpers),
                     .capacity = capacity};
  return storage;
}

absl::StatusOr<FlowStorage> FlowStorage::over(FlowFile file) {
  FlowStorage storage;
  storage.memory_ = file.memory();
  auto pages = allocate_pages(flow_index_bytes(storage.memory_.capacity), storage.memory_.capacity);
  if (!pages.ok()) return pages.status();
  storage.pages_ = *std::move(pages);
  storage.memory_.index = storage.pages_.bytes();
  storage.file_.emplace(std::move(file));
  return storage;
}

void FlowStorage::clear_index() {
  // Without a file, records lie in the same pages; they end with the index.
  (void)::madvise(pages_.bytes().data(), pages_.bytes().size(), MADV_DONTNEED);
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

}  // namespace vipgate

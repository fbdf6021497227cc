#pragma once

#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <utility>

namespace vipgate {

/// Owns a mapping.
class MemoryMap {
 public:
  MemoryMap() = default;
  /// As ::mmap() of whole files and of memory: readable and writable. Empty where that fails; errno says why.
  MemoryMap(std::size_t size, int flags, int fd) {
    void* address = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (address != MAP_FAILED) bytes_ = {static_cast<std::byte*>(address), size};
  }
  MemoryMap(MemoryMap&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  MemoryMap& operator=(MemoryMap&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~MemoryMap() {
    if (!bytes_.empty()) ::munmap(bytes_.data(), bytes_.size());
  }

  explicit operator bool() const { return !bytes_.empty(); }
  std::span<std::byte> bytes() const { return bytes_; }

 private:
  std::span<std::byte> bytes_;
};

}  // namespace vipgate

#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace vipgate {

/// A fixed number of records in memory of the caller, handed out one by one. Their numbers begin with 1: 0 stands for
/// none.
template <typename Record>
class RecordPool {
 public:
  static constexpr std::uint32_t kNone = 0;

  explicit RecordPool(std::span<Record> records) : records_(records) {
    free_.reserve(records.size());
    for (auto number = static_cast<std::uint32_t>(records.size()); number > 0; --number) free_.push_back(number);
  }

  /// A record as new; kNone when all are in use.
  std::uint32_t take() {
    if (free_.empty()) return kNone;
    const std::uint32_t number = free_.back();
    free_.pop_back();
    (*this)[number] = Record{};
    return number;
  }
  void give_back(std::uint32_t number) { free_.push_back(number); }

  Record& operator[](std::uint32_t number) { return records_[number - 1]; }
  const Record& operator[](std::uint32_t number) const { return records_[number - 1]; }
  std::size_t in_use() const { return records_.size() - free_.size(); }

 private:
  std::span<Record> records_;
  std::vector<std::uint32_t> free_;  ///< the last is handed out next
};

}  // namespace vipgate

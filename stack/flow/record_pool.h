#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "flow/adoption.h"

namespace vipgate {

/// A fixed number of records in memory of the caller, handed out one by one. Their numbers begin with 1: 0 stands for
/// none.
///
/// The memory may outlive the process. So a record has two copies: the one that counts stays whole while the other is
/// changed. And it bears the mark of its owner, who knows its number: an owner whose number was spoilt gets nobody
/// else's record.
template <typename Record>
class RecordPool {
 public:
  struct Place {
    std::array<Record, 2> copies;
    std::uint32_t owner;
    std::uint32_t current;  ///< the copy that counts
  };

  static constexpr std::uint32_t kNone = 0;

  /// All records are free, whatever the memory holds.
  explicit RecordPool(std::span<Place> places) : places_(places), is_free_(places.size(), true) { list_free(); }

  /// A record as new; kNone when all are in use.
  std::uint32_t take(std::uint32_t owner) {
    if (free_.empty()) return kNone;
    const std::uint32_t number = free_.back();
    free_.pop_back();
    is_free_[number - 1] = false;
    places_[number - 1] = {.copies = {}, .owner = owner, .current = 0};
    return number;
  }
  void give_back(std::uint32_t number) {
    free_.push_back(number);
    is_free_[number - 1] = true;
  }

  const Record& operator[](std::uint32_t number) const {
    return places_[number - 1].copies[places_[number - 1].current];
  }

  /// A copy of the record that may be changed. It counts from publish() on.
  Record& draft(std::uint32_t number) {
    Place& place = places_[number - 1];
    return place.copies[1 - place.current] = place.copies[place.current];
  }
  void publish(std::uint32_t number) {
    Place& place = places_[number - 1];
    order_stores();
    place.current = 1 - place.current;
    order_stores();
  }

  /// After a pool of another process had the memory: the record with that number, which is then in use, if it is the
  /// owner's and nobody has claimed it yet; else null. Before the first take(), list_free() ends the claims.
  const Record* claim(std::uint32_t number, std::uint32_t owner) {
    if (number == kNone || number > places_.size() || !is_free_[number - 1]) return nullptr;
    const Place& place = places_[number - 1];
    if (place.owner != owner || place.current > 1) return nullptr;
    is_free_[number - 1] = false;
    return &(*this)[number];
  }
  void list_free() {
    free_.clear();
    free_.reserve(places_.size());
    for (auto number = static_cast<std::uint32_t>(places_.size()); number > 0; --number) {
      if (is_free_[number - 1]) free_.push_back(number);
    }
  }

  std::size_t in_use() const { return places_.size() - free_.size(); }

 private:
  std::span<Place> places_;
  std::vector<bool> is_free_;
  std::vector<std::uint32_t> free_;  ///< the last is handed out next
};

}  // namespace vipgate

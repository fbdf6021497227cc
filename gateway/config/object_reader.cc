#include <algorithm>
#include <cassert>
#include <vector>

#include "config/reader.h"

namespace vipgate::config {
namespace {

constexpr std::size_t kLongestTypo = 32;  // no key is longer: what is, is no misspelt key

/// How many letters must be put in, left out or replaced (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1);
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) before[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replace = before[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({replace, before[j] + 1, row[j - 1] + 1});
    }
    before.swap(row);
  }
  return before[b.size()];
}

/// The nearest key, if it is near: a third of its letters may differ, and a letter more.
std::string suggestion(std::string_view key, std::span<const Key> keys) {
  std::string_view nearest;
  std::size_t least = kLongestTypo;
  std::string all;
  for (const Key& known : keys) {
    if (known.built) all += (all.empty() ? "" : ", ") + quoted(known.name);
    if (key.size() > kLongestTypo) continue;
    const std::size_t distance = edit_distance(key, known.name);
    if (distance < least && distance <= 1 + std::min(key.size(), known.name.size()) / 3) {
      least = distance;
      nearest = known.name;
    }
  }
  return nearest.empty() ? "known here: " + all : "did you mean " + quoted(nearest) + "?";
}

}  // namespace

ObjectReader::ObjectReader(std::string_view what, const JsonValue& value, std::span<const Key> keys, Errors& errors)
    : what_(what), value_(&value), keys_(keys), errors_(&errors) {
  assert(keys.size() <= kMaxKeys);
  if (value.kind != JsonKind::object) {
    errors.add(value.offset, std::string(what) + " must be an object { }, not " + describe(value));
    return;
  }
  for (const JsonMember& member : value.members) add_member(member);
}

void ObjectReader::add_member(const JsonMember& member) {
  const std::optional<std::size_t> index = index_of(member.key);
  if (!index) {
    errors_->add(member.key_offset, "unknown key " + quoted(member.key) + "; " + suggestion(member.key, keys_));
    return;
  }
  const JsonMember*& known = members_.at(*index);
  if (known != nullptr) {
    errors_->add(member.key_offset, "duplicate key " + quoted(member.key) + "; the first is at " +
                                        errors_->place(known->key_offset) + ": remove one");
    return;
  }
  known = &member;
  if (!keys_[*index].built) errors_->add(member.key_offset, quoted(member.key) + ": not built yet; leave it out");
}

std::optional<std::size_t> ObjectReader::index_of(std::string_view key) const {
  const auto found = std::find_if(keys_.begin(), keys_.end(), [&](const Key& known) { return known.name == key; });
  if (found == keys_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - keys_.begin());
}

const JsonValue* ObjectReader::find(std::string_view key) const {
  const std::optional<std::size_t> index = index_of(key);
  assert(index);
  const JsonMember* member = members_.at(*index);
  return member == nullptr ? nullptr : &member->value;
}

const JsonValue* ObjectReader::require(std::string_view key, std::string_view noun) const {
  const JsonValue* value = find(key);
  if (value == nullptr && value_->kind == JsonKind::object) {
    errors_->add(offset(), quoted(key) + " is missing: " + std::string(what_) + " needs " + std::string(noun));
  }
  return value;
}

}  // namespace vipgate::config

#include "flow/stream_edits.h"

#include <algorithm>
#include <cstring>
#include <span>

#include "flow/tcp_window.h"

namespace vipgate {
namespace {

using sequence::after;
using sequence::before;

std::span<const StreamEdit> edits_of(const StreamEdits& stream) {
  return std::span(stream.edits).first(stream.count);
}

/// Where a receiver's number lies.
struct Place {
  const StreamEdit* edit;    ///< whose text it lies in, at its beginning included; else null
  std::uint32_t text_start;  ///< receiver's number of the beginning of that text
  std::uint32_t offset;      ///< else: receiver's number less sender's
};

Place place_of(const StreamEdits& stream, std::uint32_t number) {
  std::uint32_t offset = stream.offset;
  for (const StreamEdit& edit : edits_of(stream)) {
    const std::uint32_t start = edit.from + offset;
    if (before(number, start)) break;
    if (before(number, start + edit.text_length)) return {&edit, start, offset};
    offset += edit.growth();
  }
  return {nullptr, 0, offset};
}

/// Which part of a payload an edit concerns: [begin, end) of the payload, and the bytes that stand for it.
struct Cut {
  std::int64_t begin;
  std::int64_t end;
  std::string_view text;

  bool is_outside(std::int64_t length) const { return end <= 0 || begin >= length; }
};

Cut cut_of(const StreamEdit& edit, std::uint32_t sequence, std::int64_t length) {
  const std::int64_t begin = static_cast<std::int32_t>(edit.from - sequence);
  const std::int64_t end = begin + edit.length;
  const std::string_view text(edit.text.data(), end <= length ? edit.text_length : 0);
  return {std::max<std::int64_t>(begin, 0), std::min(end, length), text};
}

}  // namespace

bool StreamEdits::is_sound() const {
  const auto sound = [](const StreamEdit& edit) { return edit.text_length <= StreamEdit::kMaxText; };
  if (count > kPlaces || holding > 1 || !std::all_of(edits.begin(), edits.end(), sound)) return false;
  if (holding == 0) return true;
  if (count == 0) return false;
  const StreamEdit& last = edits[count - std::size_t{1}];
  return last.length < StreamEdit::kMaxText && last.text_length == 0 && last.end() == next;
}

bool StreamEdits::begin_hold() {
  if (count == kPlaces) return false;
  edits[count++] = {.from = next};
  holding = 1;
  return true;
}

void StreamEdits::hold(char byte) {
  StreamEdit& edit = edits[count - std::size_t{1}];
  edit.text[edit.length++] = byte;
  ++next;
}

std::string_view StreamEdits::held() const {
  if (holding == 0) return {};
  const StreamEdit& edit = edits[count - std::size_t{1}];
  return {edit.text.data(), edit.length};
}

void StreamEdits::replace_held(std::string_view text) {
  StreamEdit& edit = edits[count - std::size_t{1}];
  if (!text.empty()) std::memmove(edit.text.data(), text.data(), text.size());  // it may be what is held
  edit.text_length = static_cast<std::uint8_t>(text.size());
  holding = 0;
}

void StreamEdits::pass_held() {
  edits[--count] = {};
  holding = 0;
}

std::uint32_t StreamEdits::to_receiver(std::uint32_t sequence) const {
  std::uint32_t shift = offset;
  for (const StreamEdit& edit : edits_of(*this)) {
    if (!after(sequence, edit.from)) break;
    if (before(sequence, edit.end())) return edit.from + shift;
    shift += edit.growth();
  }
  return sequence + shift;
}

std::uint32_t StreamEdits::to_sender(std::uint32_t acknowledgement) const {
  const Place place = place_of(*this, acknowledgement);
  return place.edit != nullptr ? place.edit->end() - 1 : acknowledgement - place.offset;
}

std::uint32_t StreamEdits::left_edge_to_sender(std::uint32_t edge) const {
  const Place place = place_of(*this, edge);
  if (place.edit == nullptr) return edge - place.offset;
  return edge == place.text_start ? place.edit->from : place.edit->end();
}

std::uint32_t StreamEdits::right_edge_to_sender(std::uint32_t edge) const {
  const Place place = place_of(*this, edge);
  return place.edit != nullptr ? place.edit->from : edge - place.offset;
}

bool StreamEdits::is_edited(std::uint32_t sequence) const {
  const auto made = edits_of(*this);
  return std::any_of(made.begin(), made.end(), [sequence](const StreamEdit& edit) {
    return !before(sequence, edit.from) && before(sequence, edit.end());
  });
}

bool StreamEdits::acknowledge(std::uint32_t acknowledgement) {
  if (after(acknowledgement, to_receiver(next))) {
    if (holding == 1) return false;  // what is held nobody can have received
    const std::uint32_t reached = to_sender(acknowledgement);
    restart(reached);
    offset = acknowledgement - reached;
    return true;
  }
  std::size_t over = 0;
  for (; over + holding < count; ++over) {
    const StreamEdit& edit = edits[over];
    if (before(acknowledgement, edit.end() + offset + edit.growth())) break;
    offset += edit.growth();
  }
  if (over == 0) return false;
  const auto kept = std::move(edits.begin() + static_cast<std::ptrdiff_t>(over), edits.end(), edits.begin());
  std::fill(kept, edits.end(), StreamEdit{});
  count = static_cast<std::uint8_t>(count - over);
  return false;
}

StreamEdits::Spliced StreamEdits::splice(std::uint32_t sequence, std::uint8_t* payload, std::size_t length,
                                         std::size_t limit) const {
  const auto made = edits_of(*this);
  const auto size = static_cast<std::int64_t>(length);
  const auto most = static_cast<std::int64_t>(limit);
  std::int64_t read = 0;
  std::int64_t written = 0;
  bool full = false;
  const auto take_up_to = [&](std::int64_t end) {
    const std::int64_t bytes = std::min(end - read, most - written);
    full = bytes < end - read;
    read += bytes;
    written += bytes;
  };
  for (const StreamEdit& edit : made) {
    const Cut cut = cut_of(edit, sequence, size);
    if (cut.is_outside(size)) continue;
    take_up_to(cut.begin);
    full = full || written + static_cast<std::int64_t>(cut.text.size()) > most;
    if (full) break;
    read = cut.end;
    written += static_cast<std::int64_t>(cut.text.size());
  }
  if (!full) take_up_to(size);

  // From the last to the first, so that places before the one being changed still hold.
  std::int64_t end = read;
  for (auto edit = made.rbegin(); edit != made.rend(); ++edit) {
    const Cut cut = cut_of(*edit, sequence, read);
    if (cut.is_outside(read)) continue;
    const auto text_length = static_cast<std::int64_t>(cut.text.size());
    std::memmove(payload + cut.begin + text_length, payload + cut.end, static_cast<std::size_t>(end - cut.end));
    std::copy(cut.text.begin(), cut.text.end(), payload + cut.begin);
    end += text_length - (cut.end - cut.begin);
  }
  return {static_cast<std::size_t>(read), static_cast<std::size_t>(written)};
}

}  // namespace vipgate

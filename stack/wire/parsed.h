#pragma once

#include <cstdint>
#include <span>

#include "vipgate/verdict.h"

namespace vipgate {

/// What a checked constructor returns: a view whose accessors cannot fail any more, or the reason why there is none.
template <typename View>
class Parsed {
 public:
  /// By the view's own assign(), in place: packets are many, and a copy of what was just written waits for it.
  explicit Parsed(std::span<const std::uint8_t> bytes) : reason_(view_.assign(bytes)) {}
  Parsed(View view) : view_(view) {}          // NOLINT: implicit, so that a parse ends in `return view`
  Parsed(Reason reason) : reason_(reason) {}  // NOLINT: or in `return Reason::…`

  explicit operator bool() const { return reason_ == Reason::none; }
  Reason reason() const { return reason_; }
  const View& operator*() const { return view_; }
  const View* operator->() const { return &view_; }

 private:
  View view_;
  Reason reason_ = Reason::none;
};

}  // namespace vipgate

#pragma once

#include "vipgate/verdict.h"

namespace vipgate {

/// What a checked constructor returns: a view whose accessors cannot fail any more, or the reason why there is none.
template <typename View>
class Parsed {
 public:
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

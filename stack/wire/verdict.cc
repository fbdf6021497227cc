#include "vipgate/verdict.h"

namespace vipgate {

std::string_view name_of(Action action) {
  switch (action) {
    case Action::forward:
      return "forward";
    case Action::reply:
      return "reply";
    case Action::hold:
      return "hold";
    case Action::hand_off:
      return "hand_off";
    case Action::pass:
      return "pass";
    case Action::drop:
      return "drop";
  }
  return "?";
}

std::string_view name_of(Reason reason) {
  switch (reason) {
#define VIPGATE_REASON_CASE(name, text) \
  case Reason::name:                    \
    return #name;
    VIPGATE_REASONS(VIPGATE_REASON_CASE)
#undef VIPGATE_REASON_CASE
  }
  return "?";
}

std::string_view describe(Reason reason) {
  switch (reason) {
#define VIPGATE_REASON_CASE(name, text) \
  case Reason::name:                    \
    return text;
    VIPGATE_REASONS(VIPGATE_REASON_CASE)
#undef VIPGATE_REASON_CASE
  }
  return "?";
}

}  // namespace vipgate

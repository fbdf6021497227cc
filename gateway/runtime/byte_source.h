#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace vipgate {

/// Bytes that are made while somebody takes them. To be used on the control thread; destroyed when nobody wants more.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Calls `ready` once, later, when there is going to be something. Before the first read().
  virtual void open(std::function<void()> ready) = 0;
  /// Calls `take` once, later, when there is something. Empty: that was all. To be called again after that only.
  virtual void read(std::function<void(std::string)> take) = 0;
  /// There is to be no more than what is there already.
  virtual void stop() = 0;
  /// After the end: names and values that say what it was.
  virtual std::vector<std::pair<std::string, std::string>> summary() const = 0;
};

}  // namespace vipgate

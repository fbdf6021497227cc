#pragma once

#include <stdlib.h>

#include <filesystem>
#include <string>

namespace vipgate::test {

/// A folder of a test's own, removed with all that is in it.
class TemporaryFolder {
 public:
  TemporaryFolder() : path_((std::filesystem::temp_directory_path() / "vipgate-test-XXXXXX").string()) {
    if (::mkdtemp(path_.data()) == nullptr) path_ = "/nonexistent";
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace vipgate::test

#include "runtime/flow_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/flow_storage.h"

namespace vipgate::test {
namespace {

namespace fs = std::filesystem;
using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::size_t kCapacity = 1024;
constexpr const char* kMemory = "/dev/shm";

/// A folder of its own, on a tmpfs unless told.
class FlowFileTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = make_folder(kMemory); }
  void TearDown() override {
    for (const std::string& folder : folders_) fs::remove_all(folder);
  }

  std::string make_folder(const std::string& parent) {
    std::string name = parent + "/vipgate-test-XXXXXX";
    EXPECT_NE(::mkdtemp(name.data()), nullptr);
    return folders_.emplace_back(name);
  }

  FlowFileOptions options() {
    return {.state_dir = folder_,
            .capacity = kCapacity,
            .seed = std::nullopt,
            .memory_folder = kMemory,
            .log = [this](const std::string& line) { log_ += line + "\n"; }};
  }
  absl::StatusOr<FlowFile> open() { return FlowFile::open(options()); }
  std::string path() const { return folder_ + "/flows"; }

  /// Makes a file with a byte set in its records, as a process leaves it that is killed. Returns its seed.
  std::uint64_t make_file() {
    auto file = open();
    EXPECT_TRUE(file.ok()) << file.status();
    file->memory().records[100] = std::byte{7};
    return file->seed();
  }
  void overwrite(std::streamoff at, const std::string& bytes) const {
    std::fstream file(path(), std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(at).write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  }
  std::vector<std::string> kept_aside() const {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      if (entry.path().filename().string().starts_with("flows.broken-")) names.push_back(entry.path());
    }
    return names;
  }
  /// The file cannot be used: it is kept as it is, the log says why, and there are no flows.
  void expect_refused(const std::string& why) {
    const auto size = fs::file_size(path());
    log_.clear();
    const auto file = open();
    ASSERT_TRUE(file.ok()) << file.status();
    EXPECT_FALSE(file->is_used());
    const auto records = file->memory().records;
    EXPECT_TRUE(std::ranges::all_of(records, [](std::byte byte) { return byte == std::byte{0}; }));
    ASSERT_EQ(kept_aside().size(), 1U);
    EXPECT_EQ(fs::file_size(kept_aside()[0]), size);
    EXPECT_THAT(log_, AllOf(HasSubstr("flows start anew"), HasSubstr(why), HasSubstr(kept_aside()[0])));
  }

  std::string folder_;
  std::vector<std::string> folders_;
  std::string log_;
};

TEST_F(FlowFileTest, Fault5_ABytesStoredAreThereAfterAKill) {
  const std::uint64_t seed = make_file();
  const auto file = open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_TRUE(file->is_used());
  EXPECT_FALSE(file->was_ended());
  EXPECT_EQ(file->seed(), seed);
  EXPECT_EQ(file->memory().records[100], std::byte{7});
  EXPECT_EQ(file->memory().capacity, kCapacity);
  EXPECT_EQ(file->memory().records.size(), flow_record_bytes(kCapacity));
  EXPECT_EQ(file->memory().helpers.size(), helper_record_bytes(kCapacity));
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(FlowFileTest, AnOrderlyEndIsNoted) {
  open()->end();
  EXPECT_TRUE(open()->was_ended());
  EXPECT_FALSE(open()->was_ended());
}

TEST_F(FlowFileTest, NobodyElseCanReadItAndItsMemoryIsReserved) {
  const auto file = open();
  ASSERT_TRUE(file.ok());
  struct stat found {};
  ASSERT_EQ(::stat(path().c_str(), &found), 0);
  EXPECT_EQ(found.st_mode & 07777U, 0600U);
  EXPECT_GE(static_cast<std::size_t>(found.st_blocks) * 512, flow_record_bytes(kCapacity));
}

TEST_F(FlowFileTest, ASecondProcessDoesNotGetIt) {
  const auto first = open();
  const auto second = open();
  EXPECT_THAT(second.status().ToString(), AllOf(HasSubstr("in use by another gateway"), HasSubstr("flows.state_dir")));
}

TEST_F(FlowFileTest, Fault6_BadHeadersAreRefusedAndKeptAside) {
  struct Case {
    const char* what;
    std::streamoff at;
    std::string bytes;
    const char* why;
  };
  const Case cases[] = {
      {"magic", 0, "vipflowz", "it is no file of flows"},
      {"empty magic", 0, std::string(8, '\0'), "it is no file of flows"},
      {"later layout", 8, std::string("\x02\0\0\0", 4), "it has layout 2, and this version knows 1"},
      {"shards", 12, std::string("\x20\0\0\0", 4), "its header is broken"},
      {"capacity", 16, std::string("\xff\xff\xff\xff\xff\xff\xff\x7f", 8), "its header is broken"},
      {"sizes", 24, "\x01", "its header is broken"},
      {"seed", 40, "12345678", "its header is broken"},
      {"boot", 50, "zz", "its header is broken"},
      {"checksum", 88, "1234", "its header is broken"},
  };
  for (const Case& broken : cases) {
    SCOPED_TRACE(broken.what);
    make_file();
    overwrite(broken.at, broken.bytes);
    expect_refused(broken.why);
    for (const std::string& aside : kept_aside()) fs::remove(aside);
  }
}

TEST_F(FlowFileTest, Fault6_ATruncatedFileIsRefused) {
  for (const std::uintmax_t size : {0U, 1U, 4095U, 4096U, 4096U + 100000U}) {
    SCOPED_TRACE(size);
    make_file();
    fs::resize_file(path(), size);
    expect_refused("it is cut off");
    for (const std::string& aside : kept_aside()) fs::remove(aside);
  }
}

TEST_F(FlowFileTest, Fault6_OnlyTheLastBrokenFileIsKept) {
  make_file();
  std::ofstream(folder_ + "/flows.broken-20200101T000000") << "older";
  std::ofstream(folder_ + "/other.broken-20200101T000000") << "somebody's";
  overwrite(0, "x");
  ASSERT_TRUE(open().ok());
  ASSERT_EQ(kept_aside().size(), 1U);
  EXPECT_FALSE(kept_aside()[0].ends_with("flows.broken-20200101T000000"));
  EXPECT_TRUE(fs::exists(folder_ + "/other.broken-20200101T000000"));
}

TEST_F(FlowFileTest, FilesOfOthersAndLinksAreNotTrusted) {
  make_file();
  fs::permissions(path(), fs::perms::others_read, fs::perm_options::add);
  expect_refused("only this user can use");
  fs::remove(path());
  for (const std::string& aside : kept_aside()) fs::remove(aside);

  const std::string victim = folder_ + "/victim";
  std::ofstream(victim) << "precious";
  fs::create_symlink(victim, path());
  const auto file = open();
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_FALSE(fs::is_symlink(path()));
  EXPECT_EQ(fs::file_size(victim), 8U);
}

TEST_F(FlowFileTest, AFileWithoutAllItsMemoryIsFilledUp) {
  const std::uint64_t seed = make_file();
  const std::uintmax_t size = fs::file_size(path());
  fs::resize_file(path(), 8192);
  fs::resize_file(path(), size);  // a hole: to read it would be fine, to write it could end in SIGBUS
  const auto file = open();
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->seed(), seed);
  struct stat found {};
  ASSERT_EQ(::stat(path().c_str(), &found), 0);
  EXPECT_GE(static_cast<std::size_t>(found.st_blocks) * 512, size);
}

TEST_F(FlowFileTest, AnotherSeedThatIsAskedForBeginsAnew) {
  FlowFileOptions seeded = options();
  seeded.seed = 5;
  EXPECT_EQ(FlowFile::open(seeded)->seed(), 5U);
  EXPECT_TRUE(FlowFile::open(seeded)->is_used());
  EXPECT_TRUE(open()->is_used()) << "whoever asks for none gets the file's";
  seeded.seed = 6;
  const auto other = FlowFile::open(seeded);
  EXPECT_EQ(other->seed(), 6U);
  EXPECT_FALSE(other->is_used());
  EXPECT_THAT(log_, HasSubstr("another --seed"));
}

TEST_F(FlowFileTest, AnotherCapacityKeepsTheSeedAndSaysSo) {
  const std::uint64_t seed = make_file();
  FlowFileOptions larger = options();
  larger.capacity = 2 * kCapacity;
  const auto file = FlowFile::open(larger);
  ASSERT_TRUE(file.ok()) << file.status();
  EXPECT_EQ(file->memory().capacity, 2 * kCapacity);
  EXPECT_EQ(file->seed(), seed);
  EXPECT_TRUE(file->is_used());
  EXPECT_THAT(log_, HasSubstr("flows move from 1024 places to 2048"));
  EXPECT_FALSE(fs::exists(path() + ".new"));
}

TEST_F(FlowFileTest, Fault4_TooLittleRoomIsSaidWithTheRemedy) {
  FlowFileOptions huge = options();
  const auto room = fs::space(folder_).capacity;
  huge.capacity = room / flow_record_bytes(1) / kShards * kShards * 2;
  const auto file = FlowFile::open(huge);
  EXPECT_TRUE(absl::IsResourceExhausted(file.status())) << file.status();
  EXPECT_THAT(file.status().ToString(),
              AllOf(HasSubstr(folder_ + " has no room"), HasSubstr("\"max\""), HasSubstr("remount,size=")));
  EXPECT_FALSE(fs::exists(path())) << "and nothing is left behind";
  EXPECT_FALSE(fs::exists(path() + ".new"));
}

TEST_F(FlowFileTest, OnADiskTheFileIsInMemoryUnderTheFoldersName) {
  FlowFileOptions on_disk = options();
  on_disk.state_dir = make_folder(fs::current_path());
  if (fs::exists("/proc/self/mounts") && fs::space(on_disk.state_dir).capacity == fs::space(kMemory).capacity) {
    GTEST_SKIP() << "the working folder is on a tmpfs, too";
  }
  on_disk.memory_folder = folder_;
  std::string first_path;
  {
    const auto file = FlowFile::open(on_disk);
    ASSERT_TRUE(file.ok()) << file.status();
    first_path = file->path();
    EXPECT_TRUE(first_path.starts_with(folder_ + "/vipgate-"));
    EXPECT_THAT(log_, AllOf(HasSubstr("is on a disk"), HasSubstr(first_path)));
  }
  EXPECT_TRUE(FlowFile::open(on_disk)->is_used());
  // Folders whose names look alike have files of their own.
  FlowFileOptions other = on_disk;
  other.state_dir = on_disk.state_dir + "/a-b";
  fs::create_directories(other.state_dir);
  const auto one = FlowFile::open(other);
  other.state_dir = on_disk.state_dir + "/a/b";
  fs::create_directories(other.state_dir);
  const auto two = FlowFile::open(other);
  ASSERT_TRUE(one.ok() && two.ok());
  EXPECT_NE(one->path(), two->path());
}

TEST_F(FlowFileTest, WithoutATmpfsAnywhereTheRemedyIsNamed) {
  FlowFileOptions nowhere = options();
  nowhere.state_dir = make_folder(fs::current_path());
  nowhere.memory_folder = nowhere.state_dir;
  const auto file = FlowFile::open(nowhere);
  if (file.ok()) GTEST_SKIP() << "the working folder is on a tmpfs";
  EXPECT_THAT(file.status().ToString(), AllOf(HasSubstr("tmpfs"), HasSubstr("flows.state_dir")));
}

TEST_F(FlowFileTest, AStorageOverAFileHasAnIndexOfItsOwn) {
  auto file = open();
  ASSERT_TRUE(file.ok());
  const auto storage = FlowStorage::over(*std::move(file));
  ASSERT_TRUE(storage.ok());
  EXPECT_EQ(storage->memory().index.size(), flow_index_bytes(kCapacity));
  storage->memory().index[0] = std::byte{1};
  storage->memory().helpers.back() = std::byte{1};
}

}  // namespace
}  // namespace vipgate::test

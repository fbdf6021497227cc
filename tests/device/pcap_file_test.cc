#include "device/pcap_file.h"

#include <gtest/gtest.h>
#include <pcap/pcap.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <string>
#include <vector>

namespace vipgate {
namespace {

using Bytes = std::vector<std::uint8_t>;

/// The beginning of an IPv4 packet; the reader looks at the version only.
const Bytes kIp = {0x45, 0, 0, 20, 1, 2, 3, 4, 64, 17, 0, 0, 198, 51, 100, 7, 203, 0, 113, 10};

class PcapFile : public testing::Test {
 protected:
  ~PcapFile() override { std::remove(path_.c_str()); }

  void write(int link_type, const std::vector<Bytes>& frames) {
    pcap_t* format = pcap_open_dead(link_type, 65535);
    pcap_dumper_t* file = pcap_dump_open(format, path_.c_str());
    for (const Bytes& frame : frames) {
      pcap_pkthdr header{};
      header.ts.tv_sec = 100;
      header.ts.tv_usec = 5;
      header.caplen = static_cast<bpf_u_int32>(frame.size());
      header.len = header.caplen + 3;  // as if cut off
      pcap_dump(reinterpret_cast<u_char*>(file), &header, frame.data());
    }
    pcap_dump_close(file);
    pcap_close(format);
  }

  Bytes first_ip() {
    auto reader = PcapReader::open(path_);
    EXPECT_TRUE(reader.ok()) << reader.status();
    const auto packet = reader->next();
    EXPECT_TRUE(packet.ok() && packet->has_value());
    EXPECT_EQ((*packet)->time, Time(std::chrono::seconds(100) + std::chrono::microseconds(5)));
    return {(*packet)->ip.begin(), (*packet)->ip.end()};
  }

  static Bytes frame(Bytes header) {
    header.insert(header.end(), kIp.begin(), kIp.end());
    return header;
  }

  std::string path_ = testing::TempDir() + "vipgate-pcap-test-" + std::to_string(::getpid());
};

TEST_F(PcapFile, RawIp) {
  write(DLT_RAW, {kIp});
  EXPECT_EQ(first_ip(), kIp);
}

TEST_F(PcapFile, Ethernet) {
  write(DLT_EN10MB, {frame({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x08, 0x00})});
  EXPECT_EQ(first_ip(), kIp);
}

TEST_F(PcapFile, EthernetWithTwoVlanTags) {
  write(DLT_EN10MB, {frame({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x88, 0xa8, 0, 1, 0x81, 0x00, 0, 2, 0x08, 0x00})});
  EXPECT_EQ(first_ip(), kIp);
}

TEST_F(PcapFile, LinuxCooked) {
  write(DLT_LINUX_SLL, {frame({0, 0, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0, 0x08, 0x00})});
  EXPECT_EQ(first_ip(), kIp);
}

TEST_F(PcapFile, LinuxCookedVersion2) {
  write(DLT_LINUX_SLL2, {frame({0x08, 0x00, 0, 0, 0, 0, 0, 1, 0, 1, 0, 6, 1, 2, 3, 4, 5, 6, 0, 0})});
  EXPECT_EQ(first_ip(), kIp);
}

TEST_F(PcapFile, FramesThatAreNotIpv4AreEmpty) {
  write(DLT_EN10MB, {frame({1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x86, 0xdd}), {1, 2, 3}, {}});
  auto reader = PcapReader::open(path_);
  for (int i = 0; i < 3; ++i) {
    const auto packet = reader->next();
    ASSERT_TRUE(packet.ok() && packet->has_value());
    EXPECT_TRUE((*packet)->ip.empty());
  }
  EXPECT_FALSE(reader->next()->has_value());
}

TEST_F(PcapFile, WhatIsWrittenIsReadAgainToTheNanosecond) {
  const Time time(std::chrono::seconds(1700000000) + std::chrono::nanoseconds(123456789));
  auto writer = PcapWriter::create(path_);
  ASSERT_TRUE(writer.ok()) << writer.status();
  writer->write(time, kIp);
  ASSERT_TRUE(writer->finish().ok());
  auto reader = PcapReader::open(path_);
  ASSERT_TRUE(reader.ok()) << reader.status();
  const auto packet = reader->next();
  EXPECT_EQ((*packet)->time, time);
  EXPECT_EQ(Bytes((*packet)->ip.begin(), (*packet)->ip.end()), kIp);
}

/// A pcapng file of one packet with this time stamp, in microseconds (draft-ietf-opsawg-pcapng §4: section header,
/// interface description and enhanced packet blocks).
std::string pcapng(std::uint64_t microseconds) {
  std::string file;
  const auto append = [&file](std::initializer_list<std::uint32_t> words) {
    for (const std::uint32_t word : words) file.append(reinterpret_cast<const char*>(&word), sizeof(word));
  };
  append({0x0A0D0D0A, 28, 0x1A2B3C4D, 1, 0xFFFFFFFF, 0xFFFFFFFF, 28});
  append({1, 20, DLT_RAW, 65535, 20});
  append({6, 52, 0, static_cast<std::uint32_t>(microseconds >> 32), static_cast<std::uint32_t>(microseconds), 20, 20});
  append({0x14000045, 0, 0x00001140, 0x0100000A, 0x0200000A, 52});
  return file;
}

TEST_F(PcapFile, TimesThatNoClockHasAreErrors) {
  constexpr std::uint64_t kLastSecond = 9223372035;  // 2^63 ns, less what a whole second may add
  for (const std::uint64_t seconds : {kLastSecond, kLastSecond + 1, kLastSecond * 1000}) {
    std::ofstream(path_, std::ios::binary) << pcapng(seconds * 1000000 + 999999);
    auto reader = PcapReader::open(path_);
    ASSERT_TRUE(reader.ok()) << reader.status();
    EXPECT_EQ(reader->next().ok(), seconds == kLastSecond) << seconds;
  }
}

TEST_F(PcapFile, ErrorsNameTheFault) {
  EXPECT_FALSE(PcapReader::open("/nonexistent.pcap").ok());
  std::ofstream(path_) << "this is no capture at all, is it?";
  EXPECT_FALSE(PcapReader::open(path_).ok());
  write(DLT_PFLOG, {kIp});
  const auto unsupported = PcapReader::open(path_);
  ASSERT_FALSE(unsupported.ok());
  EXPECT_NE(std::string(unsupported.status().message()).find("PFLOG"), std::string::npos);
  write(DLT_RAW, {kIp, kIp});
  ASSERT_EQ(::truncate(path_.c_str(), 24 + 16 + 20 + 16 + 5), 0);
  auto reader = PcapReader::open(path_);
  EXPECT_TRUE(reader->next().ok());
  EXPECT_FALSE(reader->next().ok()) << "cut off in the middle of a packet";
  EXPECT_FALSE(PcapWriter::create("/nonexistent/out.pcap").ok());
}

}  // namespace
}  // namespace vipgate

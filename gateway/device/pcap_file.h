#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/statusor.h"
#include "vipgate/time.h"

struct pcap;
struct pcap_dumper;

namespace vipgate {

/// One packet of a capture file.
struct CapturedPacket {
  Time time;  ///< since 1970, as the capture has it
  /// From the IP header on; valid until the next read. Empty where the frame is not IPv4.
  std::span<const std::uint8_t> ip;
  std::size_t original_size = 0;  ///< of `ip` on the wire; larger where the capture cut it off
};

/// Reads pcap and pcapng files of raw IP, Ethernet (VLAN tags included) and Linux cooked captures.
class PcapReader {
 public:
  /// "-" is the standard input. InvalidArgument says what is wrong with the file.
  static absl::StatusOr<PcapReader> open(const std::string& path);

  /// Bytes of the file, and how many of them have been read; nothing where it is a pipe.
  struct Progress {
    std::uint64_t read = 0;
    std::uint64_t size = 0;
  };
  std::optional<Progress> progress() const;

  /// nullopt at the end of the file.
  absl::StatusOr<std::optional<CapturedPacket>> next();

 private:
  struct Close {
    void operator()(pcap* file) const;
  };
  explicit PcapReader(std::unique_ptr<pcap, Close> file, int link_type)
      : file_(std::move(file)), link_type_(link_type) {}

  std::unique_ptr<pcap, Close> file_;
  int link_type_;
};

/// Writes a pcap file of raw IP packets with nanosecond times.
class PcapWriter {
 public:
  static absl::StatusOr<PcapWriter> create(const std::string& path);

  void write(Time time, std::span<const std::uint8_t> ip_packet);

  /// Everything is on disk after it; says so if not.
  absl::Status finish();

 private:
  struct CloseFormat {
    void operator()(pcap* format) const;
  };
  struct CloseFile {
    void operator()(pcap_dumper* file) const;
  };
  PcapWriter() = default;

  std::unique_ptr<pcap, CloseFormat> format_;
  std::unique_ptr<pcap_dumper, CloseFile> file_;
};

}  // namespace vipgate

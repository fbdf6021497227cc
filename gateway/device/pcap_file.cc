#include "device/pcap_file.h"

#include <pcap/pcap.h>
#include <sys/stat.h>

#include <cstdio>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace vipgate {
namespace {

constexpr std::uint16_t kEtherTypeIpv4 = 0x0800;
constexpr std::uint16_t kEtherTypeVlan = 0x8100;         // IEEE 802.1Q
constexpr std::uint16_t kEtherTypeServiceVlan = 0x88a8;  // IEEE 802.1ad
constexpr int kSnapLength = 262144;                      // what tcpdump uses

using Bytes = std::span<const std::uint8_t>;

std::uint16_t ether_type_at(Bytes frame, std::size_t offset) {
  return frame.size() < offset + 2 ? std::uint16_t{0}
                                   : static_cast<std::uint16_t>(frame[offset] << 8 | frame[offset + 1]);
}

/// The bytes behind a header of `length` whose EtherType stands at `type_offset`, when they are IPv4.
Bytes behind_ether_type(Bytes frame, std::size_t type_offset, std::size_t length) {
  std::uint16_t type = ether_type_at(frame, type_offset);
  while (type == kEtherTypeVlan || type == kEtherTypeServiceVlan) {
    type = ether_type_at(frame, length + 2);
    length += 4;
  }
  return type == kEtherTypeIpv4 && frame.size() >= length ? frame.subspan(length) : Bytes();
}

bool is_supported(int link_type) {
  return link_type == DLT_RAW || link_type == DLT_IPV4 || link_type == DLT_EN10MB || link_type == DLT_LINUX_SLL ||
         link_type == DLT_LINUX_SLL2;
}

Bytes ip_of(int link_type, Bytes frame) {
  switch (link_type) {
    case DLT_EN10MB:
      return behind_ether_type(frame, 12, 14);
    case DLT_LINUX_SLL:
      return behind_ether_type(frame, 14, 16);
    case DLT_LINUX_SLL2:
      return behind_ether_type(frame, 0, 20);
    default:
      return !frame.empty() && frame[0] >> 4 == 4 ? frame : Bytes();
  }
}

}  // namespace

void PcapReader::Close::operator()(pcap* file) const {
  pcap_close(file);
}

absl::StatusOr<PcapReader> PcapReader::open(const std::string& path) {
  char error[PCAP_ERRBUF_SIZE] = "";
  std::unique_ptr<pcap, Close> file(
      pcap_open_offline_with_tstamp_precision(path.c_str(), PCAP_TSTAMP_PRECISION_NANO, error));
  if (file == nullptr) return absl::InvalidArgumentError(error);
  const int link_type = pcap_datalink(file.get());
  if (!is_supported(link_type)) {
    const char* name = pcap_datalink_val_to_name(link_type);
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": link type ", name == nullptr ? "unknown" : name,
                     " is not supported; raw IP, Ethernet and Linux cooked captures are"));
  }
  return PcapReader(std::move(file), link_type);
}

absl::StatusOr<std::optional<CapturedPacket>> PcapReader::next() {
  pcap_pkthdr* header = nullptr;
  const u_char* data = nullptr;
  const int result = pcap_next_ex(file_.get(), &header, &data);
  if (result == PCAP_ERROR_BREAK) return std::nullopt;
  if (result != 1) return absl::InvalidArgumentError(pcap_geterr(file_.get()));
  // A pcapng file may name any time; Time ends in the year 2262.
  constexpr auto kLastSecond = std::chrono::floor<std::chrono::seconds>(Duration::max()).count() - 1;
  if (header->ts.tv_sec < 0 || header->ts.tv_sec > kLastSecond) {
    return absl::InvalidArgumentError(
        absl::StrCat("a packet's time stamp, ", header->ts.tv_sec, " s, is not between the years 1970 and 2262"));
  }
  CapturedPacket packet;
  packet.time = Time(std::chrono::seconds(header->ts.tv_sec) + std::chrono::nanoseconds(header->ts.tv_usec));
  const Bytes frame(data, header->caplen);
  packet.ip = ip_of(link_type_, frame);
  packet.original_size = packet.ip.size() + (header->len - header->caplen);
  return packet;
}

std::optional<PcapReader::Progress> PcapReader::progress() const {
  std::FILE* file = pcap_file(file_.get());
  struct stat about {};
  if (file == nullptr || ::fstat(::fileno(file), &about) != 0 || !S_ISREG(about.st_mode)) return std::nullopt;
  const off_t at = ::ftello(file);
  if (at < 0) return std::nullopt;
  return Progress{.read = static_cast<std::uint64_t>(at), .size = static_cast<std::uint64_t>(about.st_size)};
}

void PcapWriter::CloseFormat::operator()(pcap* format) const {
  pcap_close(format);
}
void PcapWriter::CloseFile::operator()(pcap_dumper* file) const {
  pcap_dump_close(file);
}

absl::StatusOr<PcapWriter> PcapWriter::create(const std::string& path) {
  PcapWriter writer;
  writer.format_.reset(pcap_open_dead_with_tstamp_precision(DLT_RAW, kSnapLength, PCAP_TSTAMP_PRECISION_NANO));
  if (writer.format_ == nullptr) return absl::ResourceExhaustedError("no memory for a capture file");
  writer.file_.reset(pcap_dump_open(writer.format_.get(), path.c_str()));
  if (writer.file_ == nullptr) return absl::InvalidArgumentError(pcap_geterr(writer.format_.get()));
  return writer;
}

void PcapWriter::write(Time time, std::span<const std::uint8_t> ip_packet) {
  const auto since_epoch = time.time_since_epoch();
  const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(since_epoch);
  pcap_pkthdr header{};
  header.ts.tv_sec = seconds.count();
  header.ts.tv_usec = (since_epoch - seconds).count();  // nanoseconds, by the file's precision
  header.caplen = header.len = static_cast<bpf_u_int32>(ip_packet.size());
  pcap_dump(reinterpret_cast<u_char*>(file_.get()), &header, ip_packet.data());
}

absl::Status PcapWriter::finish() {
  if (pcap_dump_flush(file_.get()) != 0)
    return absl::DataLossError(absl::StrCat("writing failed: ", std::strerror(errno)));
  return absl::OkStatus();
}

}  // namespace vipgate

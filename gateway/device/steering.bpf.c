// Tells the TUN which queue a packet goes to: the one of the worker that owns the packet's shard. The result is a shard;
// the kernel takes it modulo the number of queues, as the owner of a shard is that modulo the number of workers.
//
// The rules are those of stack/nat/shard.h, which this has to follow exactly to be of use. Where it does not (ICMP
// errors, more addresses than fit), workers hand packets over to each other.

#include <linux/bpf.h>
#include <stddef.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#include "device/steering_map.h"

#define SHARDS 64
#define ICMP 1
#define TCP 6
#define UDP 17

struct {
  __uint(type, BPF_MAP_TYPE_ARRAY);
  __uint(max_entries, 1);
  __type(key, __u32);
  __type(value, struct steering_keys);
} keys SEC(".maps");

struct {
  __uint(type, BPF_MAP_TYPE_HASH);
  __uint(max_entries, STEERING_ADDRESSES);
  __uint(map_flags, BPF_F_NO_PREALLOC);
  __type(key, __u32);
  __type(value, struct steering_role);
} roles SEC(".maps");

// RFC 791 §3.1.
struct ipv4 {
  __u8 version_length;
  __u8 tos;
  __u16 total_length;
  __u16 id;
  __u16 fragment;
  __u8 ttl;
  __u8 protocol;
  __u16 checksum;
  __u32 source;
  __u32 destination;
};

// Both halves of the 128-bit product, folded; there is no such multiplication here.
static __always_inline __u64 fold(__u64 a, __u64 b) {
  const __u64 a_low = (__u32)a, a_high = a >> 32, b_low = (__u32)b, b_high = b >> 32;
  const __u64 low = a_low * b_low, cross = a_low * b_high, other = a_high * b_low;
  const __u64 middle = (low >> 32) + (__u32)cross + (__u32)other;
  const __u64 high = a_high * b_high + (cross >> 32) + (other >> 32) + (middle >> 32);
  return (middle << 32 | (__u32)low) ^ high;
}

// KeyedHash of stack/flow/hash.h, and Sharding::shard_of().
static __always_inline int shard_of(__u64 a, __u64 b) {
  const __u32 first = 0;
  const struct steering_keys *key = bpf_map_lookup_elem(&keys, &first);
  if (!key) return 0;
  const __u64 hash = fold(fold(a ^ key->first, b ^ key->second) + 0xa0761d6478bd642f, 0xe7037ed1a0b428db);
  return hash >> 32 & (SHARDS - 1);
}

static __always_inline int shard_of_endpoint(__u32 address, __u16 port) {
  return shard_of((__u64)address << 16 | port, 0);
}

static __always_inline int contains(const struct steering_ports *range, __u16 port) {
  return range->first <= port && port <= range->last;
}

// Sharding::of_packet().
static __always_inline int shard_of_packet(__u32 source, __u16 source_port, __u32 destination, __u16 destination_port) {
  const struct steering_role *role = bpf_map_lookup_elem(&roles, &destination);
  if (role && contains(&role->allocates, destination_port)) return (destination_port >> 1) % SHARDS;
  if (role && role->is_vip) return shard_of_endpoint(source, source_port);
  role = bpf_map_lookup_elem(&roles, &source);
  if (role) {
#pragma unroll
    for (int i = 0; i < STEERING_RANGES; ++i) {
      if (contains(&role->serves[i], source_port)) return shard_of_endpoint(destination, destination_port);
    }
  }
  return shard_of_endpoint(source, source_port);
}

SEC("socket")
int steer(struct __sk_buff *packet) {
  struct ipv4 ip;
  if (bpf_skb_load_bytes(packet, 0, &ip, sizeof(ip)) != 0) return 0;
  const __u32 source = bpf_ntohl(ip.source), destination = bpf_ntohl(ip.destination);
  if (ip.fragment & bpf_htons(0x3fff))  // more follow, or some came before
    return shard_of((__u64)source << 32 | destination, (__u32)ip.protocol << 16 | bpf_ntohs(ip.id));
  if (ip.protocol != TCP && ip.protocol != UDP && ip.protocol != ICMP) return 0;
  __u16 head[4];
  if (bpf_skb_load_bytes(packet, (ip.version_length & 0xf) * 4, head, sizeof(head)) != 0) return 0;
  // The id of an ICMP query counts as both ports.
  const __u16 source_port = bpf_ntohs(ip.protocol == ICMP ? head[2] : head[0]);
  const __u16 destination_port = bpf_ntohs(ip.protocol == ICMP ? head[2] : head[1]);
  return shard_of_packet(source, source_port, destination, destination_port);
}

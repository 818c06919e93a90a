/* packet.h — the packet a load sends again and again, made once.
 *
 * Units    bytes
 * Memory   packet_fini frees
 * Threads  the owner's
 * Errors   none
 * Source   spec mqtt 2, 4
 */
#ifndef BENCH_PACKET_H
#define BENCH_PACKET_H

#include "base/buf.h"

enum packet_kind { PACKET_PATCH, PACKET_GET, PACKET_PUBLISH };

/* The bytes, and where their changing parts are; 0: there is no such part. */
struct packet {
    struct buf bytes;
    size_t request_at; /* 8 hex digits: the slot in 3, then the sequence in 5 */
    size_t value_at;   /* 8 decimal digits */
    size_t packet_id_at;
    size_t device_at; /* the 6 digits of a device id */
};

/* What one of them says. */
struct packet_fill {
    unsigned slot;
    uint32_t seq, value, device;
};

/* `body_len` of a patch or publish; `qos` of a patch, a publish has 1. `prefix` of device ids. */
void packet_make(struct packet *p, enum packet_kind kind, const char *prefix, size_t body_len,
                 unsigned qos);
void packet_fini(struct packet *p);

void packet_put(const struct packet *p, const struct packet_fill *fill, struct buf *out);

/* Cut a request's number into slot and sequence. */
static inline void packet_request(uint32_t request, uint32_t *slot, uint32_t *seq)
{
    *slot = request >> 20;
    *seq = request & 0xfffff;
}

#endif

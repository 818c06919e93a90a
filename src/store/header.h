/* header.h — twinhub.hdr: the 128 bytes that say what a data directory is.
 *
 *   0  magic "twinhub\n"      8  format (4)   12  header length, 128 (4)
 *  16  feature bits (8)      24  hub id (16)  40  epoch (8)
 *  48  partitions (4)        52  zero (4)
 *  56  key check (28): an empty text, sealed for the hub id
 *  84  zero (40)            124  CRC-32C of the 124 bytes before it
 *
 * Numbers are little-endian. Size, magic, format and checksum stay where they are in every later
 * format, so that an older program can tell "newer" from "damaged".
 *
 * Pure: no I/O.
 *
 * Memory   the caller's
 * Threads  any
 * Errors   see header_decode
 * Source   docs/format.md, "Data directory"
 */
#ifndef STORE_HEADER_H
#define STORE_HEADER_H

#include "base/buf.h"
#include "base/status.h"
#include "store/seal.h"

enum { HEADER_FORMAT = 1, HEADER_BYTES = 128 };

/* Feature bits. */
#define HEADER_JOURNAL UINT64_C(1) /* there is a journal in front of the base */

struct header {
    uint64_t features; /* HEADER_… */
    uint64_t epoch;    /* raised by a restore */
    uint32_t partitions;
    uint8_t hub_id[16];
    uint8_t key_check[SEAL_EXTRA];
};

void header_encode(const struct header *h, uint8_t out[HEADER_BYTES]);

/*   OK            *out is filled
 *   DAMAGED       not a header, or changed since it was written
 *   BAD_ARGUMENT  sound, but of a newer format or with features this program does not know
 * Not OK: *out is untouched and `why` ends in the reason ("<what the caller put> <reason>"). */
MUST_USE enum status header_decode(struct span in, struct header *out, struct buf *why);

#endif

/* header.h — twinhub.hdr: the 128 bytes that say what a data directory is.
 *
 *   0  magic "twinhub\n"      8  format (4)   12  header length, 128 (4)
 *  16  feature bits (8)      24  hub id (16)  40  epoch (8)
 *  48  partitions (4)        52  zero (4)
 *  56  key check (28): an empty text, sealed for the hub id
 *  84  epoch's minute (8)    92  zero (32)   124  CRC-32C of the 124 bytes before it
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

/* Feature bits. A program that does not know one refuses the directory. */
enum header_feature {
    HEADER_JOURNAL = 1 << 0,    /* what the base lacks may be in a journal */
    HEADER_BACKUP = 1 << 1,     /* a backup: restored from, never used as it is */
    HEADER_RESTORING = 1 << 2,  /* a restore has begun, and what is here is not whole */
    HEADER_RECOVERING = 1 << 3, /* a recovery has begun (restore.h) */
    HEADER_FEATURES = 15
};

struct header {
    uint64_t features;     /* enum header_feature */
    uint64_t epoch;        /* raised by a restore */
    uint64_t epoch_minute; /* when it began, as epoch.h counts; 0: it is the first */
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

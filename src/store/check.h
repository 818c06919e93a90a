/* check.h — is a data directory sound? Read alone, every byte that counts, nothing changed.
 *
 *   header, key   they are what they should be, and belong together
 *   base          every record: key, order, checksum, sealed part, content
 *   journal       the chain of blocks from the base's mark to its end; each change fits its record
 *   counts        of each partition, against base and journal together
 *   history       each chunk of each file
 *
 * What is damaged is told piece by piece; the rest is looked at none the less. LMDB believes its
 * pages, so a damaged one may end the process that reads it: the looking is done in a child, and
 * what ends that is one more finding.
 *
 * Units    bytes; positions of the journal
 * Memory   a finding is good during the call
 * Threads  one; the process has no others (fork)
 * Errors   check_run: OK, the looking was done, whatever was found; UNAVAILABLE: there is no such
 *          directory, a hub uses it, or the file system refuses; BAD_ARGUMENT: of a newer twinhub.
 *          `why` says it for a person
 * Source   design 4; trials F07
 */
#ifndef STORE_CHECK_H
#define STORE_CHECK_H

#include "base/buf.h"
#include "hub/kept.h"
#include "hub/replay.h"

enum check_part {
    CHECK_HEADER,
    CHECK_KEY,
    CHECK_BASE,
    CHECK_JOURNAL,
    CHECK_COUNTS,
    CHECK_HISTORY,
    CHECK_PARTS
};

struct check_finding {
    enum check_part part;
    bool is_record; /* `key` says of which; of the hub's own the device is empty */
    struct store_key key;
    uint64_t position; /* in the journal; 0: none */
    struct span text;  /* what is wrong */
};
typedef void check_fn(void *owner, const struct check_finding *finding);

struct check_options {
    const char *path;
    const struct replay *replay;
    const struct kept_rules *rules;
    size_t map_bytes; /* 0: 1 TiB, address space only; tests under a sanitizer take less */
    check_fn *fn;     /* each finding, as it is found */
    void *owner;
};

struct check_result {
    uint8_t hub_id[16];
    uint64_t epoch, features;
    uint32_t partitions; /* 0: the header could not be read */
    bool keys_looked_at; /* there is a master key: sealed parts were opened */
    uint64_t devices, disabled, modules, hub_records; /* sound ones, with the journal applied */
    uint64_t from, end;       /* the journal: where replay begins, and where it ends */
    uint64_t recover_to;      /* it is damaged, and sound up to here; 0: not so */
    uint64_t blocks, changes; /* in between */
    int64_t newest_ms;        /* the newest change in between; 0: none */
    uint64_t history_files, history_changes;
    bool looked_at[CHECK_PARTS]; /* to its end */
    uint64_t findings[CHECK_PARTS];
};

MUST_USE enum status check_run(const struct check_options *options, struct check_result *out,
                               struct buf *why);
/* How many findings there were in all. */
uint64_t check_findings(const struct check_result *r);
const char *check_part_name(enum check_part part);

#endif

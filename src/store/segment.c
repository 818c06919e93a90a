#include "store/segment.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/buf.h"
#include "base/hash.h"
#include "store/fault.h"

enum { AT_CRC = SEGMENT_HEAD - 4, PIECE = 1 << 20 };

static const uint8_t magic[4] = {'T', 'w', 'S', 'g'};
static const uint8_t zeros[PIECE];

void segment_name(char out[SEGMENT_NAME], uint64_t start)
{
    snprintf(out, SEGMENT_NAME, "%016llx.seg", (unsigned long long)start);
}

bool segment_start(const char *name, uint64_t *out)
{
    char again[SEGMENT_NAME];
    uint64_t start = strtoull(name, NULL, 16);
    segment_name(again, start);
    if (strcmp(name, again) != 0)
        return false;
    *out = start;
    return true;
}

void segment_write(const struct segment *s, uint8_t out[SEGMENT_HEAD])
{
    memset(out, 0, SEGMENT_HEAD);
    memcpy(out, magic, sizeof(magic));
    store_u32le(out + 4, SEGMENT_FORMAT);
    memcpy(out + 16, s->hub_id, sizeof(s->hub_id));
    store_u64le(out + 32, s->start);
    store_u64le(out + 40, s->size);
    store_u64le(out + 48, s->salt);
    store_u64le(out + 56, s->epoch);
    store_u32le(out + AT_CRC, hash_crc32c(0, span_of(out, AT_CRC)));
}

enum status segment_read(const uint8_t *in, struct segment *out)
{
    struct segment s = {.start = load_u64le(in + 32),
                        .size = load_u64le(in + 40),
                        .salt = load_u64le(in + 48),
                        .epoch = load_u64le(in + 56)};
    if (memcmp(in, magic, sizeof(magic)) != 0 || load_u32le(in + 4) != SEGMENT_FORMAT ||
        load_u64le(in + 8) != 0 || load_u32le(in + AT_CRC) != hash_crc32c(0, span_of(in, AT_CRC)))
        return DAMAGED;
    if (s.size <= SEGMENT_HEAD || s.size > SEGMENT_MAX || s.size % SEGMENT_HEAD ||
        s.start % SEGMENT_HEAD || s.start > UINT64_MAX - s.size)
        return DAMAGED;
    memcpy(s.hub_id, in + 16, sizeof(s.hub_id));
    *out = s;
    return OK;
}

static void new_name(char out[SEGMENT_NAME + 4], uint64_t start)
{
    snprintf(out, SEGMENT_NAME + 4, "%016llx.seg.new", (unsigned long long)start);
}

/* Whatever was under the new name is replaced. */
static int begin_again(struct segment_maker *m, const char *name)
{
    int error = disk_rename(m->disk, SEGMENT_USED, name);
    if (error)
        (void)!disk_remove(m->disk, SEGMENT_USED);
    else
        error = disk_open(m->disk, name, false, &m->segment.file);
    m->begun = !error;
    m->zeroed = m->segment.size;
    return error;
}

static int begin(struct segment_maker *m)
{
    char name[SEGMENT_NAME + 4];
    new_name(name, m->segment.start);
    CHECK(m->segment.size % SEGMENT_HEAD == 0);
    if (m->reuse)
        return begin_again(m, name);
    int error = disk_open(m->disk, name, true, &m->segment.file);
    if (error == EEXIST) { /* of an attempt that failed */
        error = disk_remove(m->disk, name);
        if (!error)
            error = disk_open(m->disk, name, true, &m->segment.file);
    }
    m->begun = !error;
    return error;
}

static int zero_piece(struct segment_maker *m)
{
    uint64_t left = m->segment.size - m->zeroed;
    uint64_t len = left < PIECE ? left : PIECE;
    union {
        const uint8_t *from;
        void *to;
    } bytes = {.from = zeros};
    struct iovec part = {bytes.to, len};
    int error = disk_write(m->segment.file, &part, 1, m->zeroed);
    if (!error)
        error = disk_sync(m->segment.file);
    m->zeroed += len;
    return error;
}

static int finish(struct segment_maker *m)
{
    uint8_t head[SEGMENT_HEAD];
    char from[SEGMENT_NAME + 4], to[SEGMENT_NAME];
    segment_write(&m->segment, head);
    new_name(from, m->segment.start);
    segment_name(to, m->segment.start);
    struct iovec part = {head, sizeof(head)};
    int error = disk_write(m->segment.file, &part, 1, 0);
    if (!error && !store_fault(STORE_FAULT_SEGMENT_NOT_SYNCED))
        error = disk_sync(m->segment.file);
    if (!error)
        error = disk_rename(m->disk, from, to);
    if (error || store_fault(STORE_FAULT_NAME_NOT_SYNCED))
        return error;
    error = disk_sync_names(m->disk);
    if (error)
        (void)!disk_remove(m->disk, to); /* as segment_unmake does: it has its name already */
    return error;
}

int segment_make(struct segment_maker *m)
{
    int error = m->begun ? 0 : begin(m);
    if (!error && m->zeroed < m->segment.size) {
        error = zero_piece(m);
        if (!error)
            return EAGAIN;
    }
    if (!error)
        error = finish(m);
    if (error)
        segment_unmake(m);
    return error;
}

void segment_unmake(struct segment_maker *m)
{
    char name[SEGMENT_NAME + 4];
    if (!m->begun)
        return;
    disk_close(m->segment.file);
    m->segment.file = NULL;
    new_name(name, m->segment.start);
    (void)!disk_remove(m->disk, name); /* the space is wanted back; a start removes it too */
    m->begun = false;
    m->zeroed = 0;
}

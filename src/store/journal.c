#include "store/journal.h"

#include "store/fault.h"

#include <stdlib.h>

enum { PARTS = 64 }; /* of one write; a group with more blocks takes more writes */

static struct journal_block *block_of(struct list *link)
{
    return CONTAINER_OF(link, struct journal_block, link);
}

struct journal_block *journal_block_create(void *owner, size_t room)
{
    struct journal_block *b = calloc(1, sizeof(*b));
    if (!b)
        check_no_memory();
    b->owner = owner;
    buf_reserve(&b->bytes, room);
    block_begin(&b->bytes);
    return b;
}

void journal_block_free(struct journal_block *b)
{
    buf_fini(&b->bytes);
    free(b);
}

uint64_t journal_left(const struct journal *j)
{
    return j->current.start + j->current.size - j->end;
}

static void place(struct journal *j, struct journal_block *b)
{
    struct block at = {.salt = j->current.salt,
                       .run = j->run,
                       .position = j->end,
                       .durable = store_fault(STORE_FAULT_KNOWN_TOO_EARLY) ? j->end : j->durable,
                       .prev = j->prev};
    block_seal(&b->bytes, &at);
    j->prev = at.crc;
    j->end += b->bytes.len;
}

int journal_append(struct journal *j, struct list *blocks)
{
    struct iovec parts[PARTS];
    int count = 0;
    uint64_t from = j->end;
    LIST_EACH(at, blocks)
    {
        struct journal_block *b = block_of(at);
        if (count == PARTS) {
            int error = disk_write(j->current.file, parts, count, from - j->current.start);
            if (error)
                return error;
            count = 0;
            from = j->end;
        }
        place(j, b);
        CHECK(j->end <= j->current.start + j->current.size);
        parts[count++] = (struct iovec){b->bytes.data, b->bytes.len};
    }
    return count ? disk_write(j->current.file, parts, count, from - j->current.start) : 0;
}

int journal_sync(struct journal *j)
{
    int error = disk_sync(j->current.file);
    if (error && store_fault(STORE_FAULT_RETRIED_SYNC))
        error = disk_sync(j->current.file);
    if (!error)
        j->durable = j->end;
    return error;
}

void journal_turn(struct journal *j, const struct segment *next)
{
    CHECK(j->durable == j->end);
    CHECK(next->start == j->current.start + j->current.size);
    disk_close(j->current.file);
    j->current = *next;
    j->end = next->start + SEGMENT_HEAD;
    j->durable = j->end;
}

uint64_t journal_next_size(uint64_t size, uint64_t max)
{
    return size * 2 < max ? size * 2 : max;
}

void journal_fini(struct journal *j)
{
    disk_close(j->current.file);
    j->current.file = NULL;
}

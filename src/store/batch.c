#include "store/batch.h"

#include <stdlib.h>

struct batch *batch_create(void *owner, uint64_t serial)
{
    struct batch *b = calloc(1, sizeof(*b));
    if (!b)
        check_no_memory();
    b->owner = owner;
    b->serial = serial;
    return b;
}

void batch_destroy(struct batch *b)
{
    if (!b)
        return;
    for (size_t i = 0; i < b->count; i++)
        record_unref(b->entries[i].record);
    free(b->entries);
    free(b->parts);
    free(b);
}

static size_t record_bytes(const struct record *r)
{
    return r ? sizeof(*r) + r->body_len + r->secret_len : 0;
}

void batch_add(struct batch *b, struct table_row *row, uint64_t seq)
{
    if (row->batch != b->serial) {
        if (b->count == b->room) {
            b->room = b->room ? b->room * 2 : 8;
            b->entries = realloc(b->entries, b->room * sizeof(*b->entries));
            if (!b->entries)
                check_no_memory();
        }
        row->batch = b->serial;
        row->entry = b->count++;
        b->entries[row->entry] = (struct batch_entry){.row = row};
        b->bytes += sizeof(struct batch_entry) + sizeof(*row) + row->key_len;
    }
    struct batch_entry *entry = &b->entries[row->entry];
    b->bytes += record_bytes(row->record) - record_bytes(entry->record);
    record_unref(entry->record);
    entry->record = row->record ? record_ref(row->record) : NULL;
    entry->seq = seq;
}

void batch_count(struct batch *b, uint32_t partition, const struct store_partition *counts)
{
    size_t i = 0;
    while (i < b->part_count && b->parts[i].partition != partition)
        i++;
    if (i == b->part_room) {
        b->part_room = b->part_room ? b->part_room * 2 : 8;
        b->parts = realloc(b->parts, b->part_room * sizeof(*b->parts));
        if (!b->parts)
            check_no_memory();
    }
    if (i == b->part_count)
        b->part_count++;
    b->parts[i] = (struct batch_part){partition, *counts};
}

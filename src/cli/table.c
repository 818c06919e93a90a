#include "cli/table.h"

#include "cli/say.h"

#include <stdlib.h>

void table_add(struct table *t, const struct span row[TABLE_COLUMNS])
{
    if (t->count == t->room) {
        t->room = t->room ? 2 * t->room : 64;
        t->rows = reallocarray(t->rows, t->room, sizeof(t->rows[0]));
        if (!t->rows)
            check_no_memory();
    }
    memcpy(t->rows[t->count++], row, sizeof(t->rows[0]));
}

void table_put(struct buf *b, struct table *t)
{
    size_t width[TABLE_COLUMNS] = {0};
    for (size_t i = 0; i < t->count; i++)
        for (size_t c = 0; c < TABLE_COLUMNS; c++)
            if (t->rows[i][c].len > width[c])
                width[c] = t->rows[i][c].len;
    for (size_t i = 0; i < t->count; i++) {
        for (size_t c = 0; c < TABLE_COLUMNS; c++) {
            say_put_visible(b, t->rows[i][c]);
            for (size_t n = t->rows[i][c].len; n < width[c] + 2; n++)
                buf_byte(b, ' ');
        }
        while (b->data[b->len - 1] == ' ')
            b->len--;
        buf_byte(b, '\n');
    }
    free(t->rows);
    *t = (struct table){0};
}

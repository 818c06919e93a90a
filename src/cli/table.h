/* table.h — rows of texts in columns, for a person.
 *
 * Memory   the texts are borrowed until table_put
 * Threads  one
 */
#ifndef CLI_TABLE_H
#define CLI_TABLE_H

#include "base/buf.h"

enum { TABLE_COLUMNS = 4 };

struct table {
    size_t count, room;
    struct span (*rows)[TABLE_COLUMNS];
};

void table_add(struct table *t, const struct span row[TABLE_COLUMNS]);
/* Append it, each column as wide as its widest text and two blanks, and free the rows. */
void table_put(struct buf *b, struct table *t);

#endif

/* cases.h — the cases of this folder's transcripts, one after another.
 *
 * Memory   texts are good during the call
 * Threads  one
 * Errors   a file that cannot be read ends the process
 */
#ifndef TRANSCRIPTS_CASES_H
#define TRANSCRIPTS_CASES_H

#include "base/buf.h"

#define CASES_FOLDER "tests/transcripts"

/* A case: its file, the number of its first line, and its lines. */
typedef void case_fn(void *ctx, const char *file, int line, struct span text);

/* Of every transcript, or of those whose name has the text $TRANSCRIPT. How many files there were.
 */
int cases_each(case_fn *fn, void *ctx);
/* A whole file, appended. */
void cases_read(const char *path, struct buf *out);

#endif

#include "cases.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>

#include "wire/uri.h"

struct block {
    int line;
    struct span text;
};

/* The next case: from its naming comment to the line before the next one's. */
static bool next_block(struct span *rest, int *line, struct block *out)
{
    bool named = false, body = false;
    const uint8_t *from = NULL;
    while (rest->len) {
        struct span before = *rest, at = uri_cut(rest, '\n');
        bool comment = span_starts(at, SPAN("# "));
        if (comment && body) {
            *rest = before;
            break;
        }
        if (comment && !named) {
            named = true;
            from = before.data;
            out->line = *line;
        }
        body = body || (named && at.len && at.data[0] != '#');
        (*line)++;
    }
    if (from)
        out->text = span_of(from, (size_t)(rest->data - from));
    return body;
}

void cases_read(const char *path, struct buf *out)
{
    char bytes[65536];
    FILE *f = fopen(path, "rb");
    CHECK(f);
    for (size_t n; (n = fread(bytes, 1, sizeof(bytes), f)) > 0;)
        buf_put(out, span_of(bytes, n));
    fclose(f);
}

static int is_transcript(const struct dirent *e)
{
    size_t len = strlen(e->d_name);
    const char *only = getenv("TRANSCRIPT");
    return len > 4 && strcmp(e->d_name + len - 4, ".txt") == 0 &&
           (!only || strstr(e->d_name, only));
}

int cases_each(case_fn *fn, void *ctx)
{
    struct dirent **files;
    int count = scandir(CASES_FOLDER, &files, is_transcript, alphasort);
    for (int i = 0; i < count; i++) {
        char path[512];
        struct buf text = {0};
        struct block block;
        snprintf(path, sizeof(path), CASES_FOLDER "/%s", files[i]->d_name);
        cases_read(path, &text);
        struct span rest = buf_span(&text);
        for (int line = 1; next_block(&rest, &line, &block);)
            fn(ctx, path, block.line, block.text);
        buf_fini(&text);
        free(files[i]);
    }
    free(files);
    return count;
}

/* store_fixture.h — what the tests of this folder share: directories, records, short calls.
 *
 * For tests only; never included by the product.
 */
#ifndef STORE_STORE_FIXTURE_H
#define STORE_STORE_FIXTURE_H

#include "base/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/clock.h"
#include "base/random.h"
#include "store/key.h"
#include "store/replay_fixture.h"
#include "store/store.h"

static inline void fixture_fill(void *ctx, void *out, size_t len)
{
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)test_random(ctx);
}

static inline struct random fixture_random(uint64_t *seed)
{
    return (struct random){fixture_fill, seed};
}

/* The name of a new directory below /tmp, itself not made. Good until the next call. */
static inline const char *fixture_path(void)
{
    static char path[64];
    snprintf(path, sizeof(path), "/tmp/twinhub-test-XXXXXX");
    EXPECT(mkdtemp(path) != NULL);
    strcat(path, "/data");
    return path;
}

static inline void fixture_empty(const char *path)
{
    DIR *dir = opendir(path);
    struct dirent *entry;
    while (dir && (entry = readdir(dir)))
        unlinkat(dirfd(dir), entry->d_name, 0);
    if (dir)
        closedir(dir);
    rmdir(path);
}

static inline void fixture_remove(const char *path)
{
    char journal[80];
    snprintf(journal, sizeof(journal), "%s/journal", path);
    fixture_empty(journal);
    fixture_empty(path);
    char parent[64];
    snprintf(parent, sizeof(parent), "%s", path);
    *strrchr(parent, '/') = 0;
    rmdir(parent);
}

static inline struct record *fixture_record(const char *body, const char *secret)
{
    struct record *r = record_create(strlen(body), strlen(secret));
    for (size_t i = 0; i < r->body_len; i++)
        r->bytes[i] = (uint8_t)body[i];
    for (size_t i = 0; i < r->secret_len; i++)
        r->bytes[r->body_len + i] = (uint8_t)secret[i];
    return r;
}

static inline struct store_key fixture_key(uint32_t partition, const char *device,
                                           const char *module)
{
    return (struct store_key){partition, span_text(device), span_text(module)};
}

/* Appends; `body` NULL deletes. Counts only what the tests look at. */
static inline void fixture_put(struct store *s, struct store_key key, const char *body,
                               const char *secret)
{
    struct store_change change = {.key = key, .part = s->parts[key.partition]};
    change.seq = ++change.part.seq;
    if (key.module.len == 0)
        change.part.devices += body ? 1 : (uint64_t)-1;
    change.record = body ? fixture_record(body, secret) : NULL;
    struct buf effect = {0};
    fixture_effect(&change, &effect);
    store_append(s, &change);
    buf_fini(&effect);
    record_unref(change.record);
}

struct fixture_loaded {
    enum status st;
    char text[256]; /* "body|secret" */
    int calls;
};

static inline void fixture_on_load(void *owner, enum status st, struct record *record)
{
    struct fixture_loaded *l = owner;
    l->st = st;
    l->calls++;
    EXPECT_EQ(record != NULL, st == OK);
    if (record)
        snprintf(l->text, sizeof(l->text), "%.*s|%.*s", SPAN_ARG(record_body(record)),
                 SPAN_ARG(record_secret(record)));
}

/* "body|secret", or the status's name. Good until the next call. */
static inline const char *fixture_load(struct store *s, struct store_key key)
{
    static struct fixture_loaded l;
    l = (struct fixture_loaded){0};
    store_load(s, &key, fixture_on_load, &l);
    EXPECT_EQ(l.calls, 1);
    return l.st == OK ? l.text : status_name(l.st);
}

struct fixture_scanned {
    struct buf text;
    int left; /* rows until it says stop */
    bool done;
};

static inline bool fixture_on_row(void *owner, const struct store_key *key, struct record *record)
{
    struct fixture_scanned *f = owner;
    EXPECT(!f->done);
    buf_printf(&f->text, "%.*s", SPAN_ARG(key->device));
    if (key->module.len)
        buf_printf(&f->text, "/%.*s", SPAN_ARG(key->module));
    buf_printf(&f->text, "=%.*s ", SPAN_ARG(record_body(record)));
    return --f->left > 0;
}

static inline void fixture_on_done(void *owner, enum status st)
{
    struct fixture_scanned *f = owner;
    EXPECT(!f->done);
    f->done = true;
    buf_text(&f->text, status_name(st));
    buf_byte(&f->text, 0);
}

/* "d1=body d1/m1=body OK". Good until the next call. */
static inline const char *fixture_scan(struct store *s, struct store_key after, bool whole_device,
                                       int limit)
{
    static char text[4096];
    struct fixture_scanned f = {.left = limit};
    store_scan(s, &after, whole_device, fixture_on_row, fixture_on_done, &f);
    EXPECT(f.done);
    EXPECT(f.text.len <= sizeof(text));
    memcpy(text, f.text.data, f.text.len);
    buf_fini(&f.text);
    return text;
}

static inline struct now fixture_clock(void *ctx)
{
    struct timespec t;
    (void)ctx;
    clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ms = t.tv_sec * 1000 + t.tv_nsec / 1000000;
    return (struct now){ms, ms};
}

#define EXPECT_TEXT(got, want) EXPECT_SPAN(span_text(got), span_text(want))

#endif

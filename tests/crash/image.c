#include "image.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

enum { SECTOR = 512 };

_Noreturn static void give_up(const char *what, const char *name)
{
    fprintf(stderr, "image: %s: %s\n", what, name);
    exit(2);
}

uint64_t image_random(uint64_t *seed)
{
    uint64_t z = *seed += 0x9e3779b97f4a7c15;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9;
    z = (z ^ z >> 27) * 0x94d049bb133111eb;
    return z ^ z >> 31;
}

static bool chance(uint64_t *seed, unsigned of_256)
{
    return (image_random(seed) & 255) < of_256;
}

/* -- names -- */

static struct image_name *find_name(struct image_names *names, struct span path)
{
    for (size_t i = 0; i < names->count; i++)
        if (span_eq(span_text(names->all[i].path), path))
            return &names->all[i];
    return NULL;
}

static void set_name(struct image_names *names, struct span path, uint32_t node)
{
    struct image_name *name = find_name(names, path);
    if (!name) {
        CHECK(names->count < IMAGE_NAMES);
        CHECK(path.len < sizeof(name->path));
        name = &names->all[names->count++];
        memcpy(name->path, path.data, path.len);
        name->path[path.len] = 0;
    }
    name->node = node;
}

static void remove_name(struct image_names *names, struct span path)
{
    struct image_name *name = find_name(names, path);
    if (name)
        *name = names->all[--names->count];
}

static struct span parent_of(struct span path)
{
    while (path.len && path.data[path.len - 1] != '/')
        path.len--;
    return span_first(path, path.len ? path.len - 1 : 0);
}

static uint32_t new_node(struct image *im, bool directory)
{
    CHECK(im->node_count < IMAGE_NODES);
    im->nodes[im->node_count].directory = directory;
    return im->node_count++;
}

/* What entry `e` does to names; `node` is that of a new one. */
static void rename_in(struct image_names *names, const struct image_entry *e, uint32_t node)
{
    if (e->head.type == REC_UNLINK || e->head.type == REC_RENAME)
        remove_name(names, e->path);
    if (e->head.type == REC_RENAME)
        set_name(names, e->data, node);
    if (e->head.type == REC_CREATE || e->head.type == REC_MKDIR)
        set_name(names, e->path, node);
}

/* -- loading -- */

static void read_file(const char *path, struct buf *out)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    struct stat st;
    if (fd < 0 || fstat(fd, &st) < 0)
        give_up("cannot read", path);
    buf_clear(out);
    buf_reserve(out, (size_t)st.st_size + 1);
    ssize_t n;
    while ((n = read(fd, out->data + out->len, out->cap - out->len)) > 0) {
        out->len += (size_t)n;
        buf_reserve(out, 1);
    }
    close(fd);
}

/* What is there before the log begins, all of it synced. */
static void load_start(struct image *im, const char *dir, const char *below)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char full[512], path[96];
        struct stat st;
        if (entry->d_name[0] == '.')
            continue;
        snprintf(full, sizeof(full), "%s/%s", dir, entry->d_name);
        int len = snprintf(path, sizeof(path), "%s%s", below, entry->d_name);
        CHECK(len < (int)sizeof(path));
        if (stat(full, &st) < 0)
            give_up("cannot look at", full);
        uint32_t node = new_node(im, S_ISDIR(st.st_mode));
        set_name(&im->now, span_text(path), node);
        set_name(&im->synced, span_text(path), node);
        if (S_ISDIR(st.st_mode)) {
            strcat(path, "/");
            load_start(im, full, path);
        } else {
            read_file(full, &im->nodes[node].synced);
        }
    }
    if (d)
        closedir(d);
}

struct image *image_load(const char *log, const char *start)
{
    struct image *im = calloc(1, sizeof(*im));
    if (!im)
        check_no_memory();
    read_file(log, &im->log);
    size_t room = 0;
    for (struct span rest = buf_span(&im->log); rest.len; im->count++) {
        struct image_entry e;
        if (rest.len < sizeof(e.head))
            give_up("cut short", log);
        memcpy(&e.head, rest.data, sizeof(e.head));
        rest = span_skip(rest, sizeof(e.head));
        if (rest.len < (size_t)e.head.path_len + e.head.data_len)
            give_up("cut short", log);
        e.path = span_first(rest, e.head.path_len);
        e.data = span_first(span_skip(rest, e.path.len), e.head.data_len);
        rest = span_skip(rest, e.path.len + e.data.len);
        if (im->count == room) {
            room = room ? room * 2 : 1024;
            im->entries = realloc(im->entries, room * sizeof(*im->entries));
            if (!im->entries)
                check_no_memory();
        }
        im->entries[im->count] = e;
    }
    set_name(&im->now, SPAN(""), new_node(im, true));
    set_name(&im->synced, SPAN(""), 0);
    load_start(im, start, "");
    return im;
}

void image_free(struct image *im)
{
    if (!im)
        return;
    for (uint32_t i = 0; i < im->node_count; i++) {
        buf_fini(&im->nodes[i].synced);
        free(im->nodes[i].writes);
    }
    free(im->entries);
    buf_fini(&im->log);
    free(im);
}

/* -- going on -- */

static struct image_node *node_of(struct image *im, uint32_t file)
{
    CHECK(file < IMAGE_FILES);
    return &im->nodes[im->node_of[file]];
}

static void set_len(struct buf *b, size_t len)
{
    if (len > b->len) {
        buf_reserve(b, len - b->len);
        memset(b->data + b->len, 0, len - b->len);
    }
    b->len = len;
}

static void put_at(struct buf *b, size_t at, struct span data)
{
    if (at + data.len > b->len)
        set_len(b, at + data.len);
    if (data.len)
        memcpy(b->data + at, data.data, data.len);
}

static void apply_whole(struct buf *b, const struct image_entry *e)
{
    if (e->head.type == REC_TRUNCATE)
        set_len(b, (size_t)e->head.offset);
    else
        put_at(b, (size_t)e->head.offset, e->data);
}

static void add_write(struct image_node *node, size_t entry)
{
    if (node->count == node->room) {
        node->room = node->room ? node->room * 2 : 64;
        node->writes = realloc(node->writes, node->room * sizeof(*node->writes));
        if (!node->writes)
            check_no_memory();
    }
    node->writes[node->count++] = (struct image_write){.entry = entry};
}

/* Good until the next call. */
static const char *path_text(const struct image_entry *e)
{
    static char text[PATH_MAX];
    snprintf(text, sizeof(text), "%.*s", SPAN_ARG(e->path));
    return text;
}

static void change_name(struct image *im, size_t index)
{
    const struct image_entry *e = &im->entries[index];
    uint32_t node = 0;
    if (e->head.type == REC_CREATE || e->head.type == REC_MKDIR) {
        node = new_node(im, e->head.type == REC_MKDIR);
    } else if (e->head.type == REC_RENAME) {
        struct image_name *from = find_name(&im->now, e->path);
        if (!from)
            give_up("an unknown file was renamed", path_text(e));
        node = from->node;
    }
    if (e->head.type == REC_CREATE)
        im->node_of[e->head.file] = node;
    rename_in(&im->now, e, node);
    CHECK(im->change_count < IMAGE_NODES);
    im->changes[im->change_count++] = (struct image_change){index, node};
}

static void sync_names(struct image *im, struct span directory, size_t before)
{
    size_t kept = 0;
    for (size_t i = 0; i < im->change_count; i++) {
        size_t entry = im->changes[i].entry;
        const struct image_entry *e = &im->entries[entry];
        if (entry < before && span_eq(parent_of(e->path), directory))
            rename_in(&im->synced, e, im->changes[i].node);
        else
            im->changes[kept++] = im->changes[i];
    }
    im->change_count = kept;
}

static void sync_data(struct image *im, struct image_node *node, size_t before)
{
    size_t i = 0;
    for (; i < node->count && node->writes[i].entry < before; i++)
        apply_whole(&node->synced, &im->entries[node->writes[i].entry]);
    node->count -= i;
    if (node->count)
        memmove(node->writes, node->writes + i, node->count * sizeof(*node->writes));
}

static void done(struct image *im, size_t number)
{
    number += im->start;
    CHECK(number < im->at);
    const struct image_entry *e = &im->entries[number];
    struct image_node *node = node_of(im, e->head.file);
    if (e->head.type == REC_WRITE) {
        for (size_t i = 0; i < node->count; i++)
            if (node->writes[i].entry == number)
                node->writes[i].done = true;
        return;
    }
    CHECK(e->head.type == REC_SYNC);
    if (!node->directory) {
        sync_data(im, node, number);
        return;
    }
    for (size_t i = 0; i < im->now.count; i++)
        if (&im->nodes[im->now.all[i].node] == node)
            sync_names(im, span_text(im->now.all[i].path), number);
}

static void open_existing(struct image *im, const struct image_entry *e)
{
    struct image_name *name = find_name(&im->now, e->path);
    if (!name)
        give_up("a file nobody made was opened", path_text(e));
    im->node_of[e->head.file] = name->node;
}

void image_advance(struct image *im, size_t at)
{
    CHECK(at <= im->count);
    for (; im->at < at; im->at++) {
        const struct image_entry *e = &im->entries[im->at];
        CHECK(e->head.type == REC_MARK || e->head.file < IMAGE_FILES);
        switch ((enum recorder_type)e->head.type) {
        case REC_OPEN:
            open_existing(im, e);
            break;
        case REC_CREATE:
        case REC_MKDIR:
        case REC_RENAME:
        case REC_UNLINK:
            change_name(im, im->at);
            break;
        case REC_WRITE:
        case REC_TRUNCATE:
            add_write(node_of(im, e->head.file), im->at);
            break;
        case REC_DONE:
            done(im, (size_t)e->head.offset);
            break;
        case REC_MAPPED:
            node_of(im, e->head.file)->mapped = true;
            break;
        case REC_UNKNOWN:
            give_up("the program made a call this cannot follow", (const char *)e->data.data);
        case REC_START:
            im->kills += im->at > 0;
            im->start = im->at;
            break;
        case REC_SYNC:
        case REC_MARK:
            break;
        }
    }
}

/* -- states -- */

/* Some sectors of a write. The file may have grown though its last sector did not arrive. */
static void apply_torn(struct buf *b, const struct image_entry *e, uint64_t *seed)
{
    size_t at = (size_t)e->head.offset, end = at + e->data.len;
    if (end > b->len && chance(seed, 128))
        set_len(b, end);
    while (at < end) {
        size_t next = at - at % SECTOR + SECTOR;
        if (next > end)
            next = end;
        if (chance(seed, 128))
            put_at(b, at, span_of(e->data.data + (at - (size_t)e->head.offset), next - at));
        at = next;
    }
}

static void cut_content(const struct image *im, const struct image_node *node,
                        struct image_cut *cut, struct buf *out)
{
    buf_clear(out);
    buf_put(out, buf_span(&node->synced));
    for (size_t i = 0; i < node->count; i++) {
        const struct image_entry *e = &im->entries[node->writes[i].entry];
        bool torn = chance(&cut->random, cut->tear), kept = chance(&cut->random, cut->keep);
        torn = torn && e->head.type == REC_WRITE && !node->writes[i].done;
        if (torn)
            apply_torn(out, e, &cut->random);
        else if (kept || node->writes[i].done)
            apply_whole(out, e);
    }
    for (size_t i = 0; node->mapped && i < out->len; i++) /* anything may be in it */
        out->data[i] = (uint8_t)image_random(&cut->random);
}

void image_clear(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *entry;
    while (d && (entry = readdir(d))) {
        char full[512];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        snprintf(full, sizeof(full), "%s/%s", dir, entry->d_name);
        if (unlink(full) < 0) {
            image_clear(full);
            rmdir(full);
        }
    }
    if (d)
        closedir(d);
}

static void write_file(const char *path, struct span bytes)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, bytes.data, bytes.len) != (ssize_t)bytes.len)
        give_up("cannot write", path);
    close(fd);
}

/* The names as the cut leaves them. */
static struct image_names cut_names(const struct image *im, struct image_cut *cut)
{
    struct image_names names = im->synced;
    for (size_t i = 0; i < im->change_count; i++) {
        const struct image_entry *e = &im->entries[im->changes[i].entry];
        if (chance(&cut->random, cut->keep))
            rename_in(&names, e, im->changes[i].node);
    }
    return names;
}

/* Are all the directories above it there? */
static bool is_reached(struct image_names *names, struct span path)
{
    for (path = parent_of(path); path.len; path = parent_of(path))
        if (!find_name(names, path))
            return false;
    return true;
}

static void make_directories(char *path, size_t root_len)
{
    for (char *at = path + root_len + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(path, 0700);
        *at = '/';
    }
    mkdir(path, 0700);
}

void image_write_state(const struct image *im, struct image_cut cut, const char *dir)
{
    struct image_names names = cut_names(im, &cut);
    struct buf content = {0};
    image_clear(dir);
    for (int directories = 1; directories >= 0; directories--) {
        for (size_t i = 0; i < names.count; i++) {
            const struct image_name *name = &names.all[i];
            const struct image_node *node = &im->nodes[name->node];
            char full[512];
            if (node->directory != directories || *name->path == 0 ||
                !is_reached(&names, span_text(name->path)))
                continue; /* with its directory it is lost */
            snprintf(full, sizeof(full), "%s/%s", dir, name->path);
            if (directories) {
                make_directories(full, strlen(dir));
                continue;
            }
            cut_content(im, node, &cut, &content);
            write_file(full, buf_span(&content));
        }
    }
    buf_fini(&content);
}

bool image_matches(const struct image *im, const char *dir)
{
    struct buf want = {0}, got = {0};
    bool same = true;
    for (size_t i = 0; i < im->now.count; i++) {
        const struct image_name *name = &im->now.all[i];
        const struct image_node *node = &im->nodes[name->node];
        struct image_cut all = {.keep = 256};
        char full[512];
        snprintf(full, sizeof(full), "%s/%s", dir, name->path);
        if (access(full, F_OK) < 0) {
            fprintf(stderr, "image: %s is not there\n", full);
            same = false;
        } else if (!node->directory && !node->mapped) {
            cut_content(im, node, &all, &want);
            read_file(full, &got);
            if (!span_eq(buf_span(&want), buf_span(&got))) {
                fprintf(stderr, "image: %s differs from what the log says\n", full);
                same = false;
            }
        }
    }
    buf_fini(&want);
    buf_fini(&got);
    return same;
}

/* Bit rot (trial F07). A data directory with records in its base and in its journal is damaged in
 * one place; then it is opened, and everything in it is read. Each read must be right, or be
 * refused: the record is DAMAGED, the directory does not open, or the process ends. What is read
 * and wrong, or said to be absent and is not, is silently wrong.
 *
 *   bit_rot BITS CUTS SWAPS [SEED]     bits flipped, files cut short, pages exchanged
 *
 * A bit in the journal's newest group is another matter: no later block says that it was durable,
 * so it is taken for a write that was torn, as after a power cut. What is shown then is an earlier
 * state; it is counted apart, and not judged.
 *
 * Exit 0: nothing was silently wrong.
 */
#include "store/store_fixture.h"

#include "store/embedded_dir.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
    PARTITIONS = 4,
    DEVICES = 200,   /* each third has a module */
    IN_JOURNAL = 60, /* changes that the base lacks */
    PAGE = 4096,
    SECTOR = 512,
    FILE_MAX = 4 << 20,
    BROKE = 99,
    SHOWN = 10
};

static uint64_t seed = 21;
static char root[64], path[80];

/* What is damaged: a file in memory, to be laid down again. */
static struct image {
    const char *name;
    uint8_t *bytes;
    size_t len;
} images[] = {{.name = "base.mdb"}, {.name = "journal/0000000000000000.seg"}};
static size_t newest_group; /* where it begins, in the segment */

static enum verdict { RIGHT, REFUSED, TORN, WRONG } judged;

/* In memory that the judge's process shares. */
static struct shared {
    char what[256];
    enum verdict verdict;
} * shared;

/* ---- the truth ---- */

struct row {
    char device[16], module[8], body[600], secret[24];
    bool absent;
};
static struct row rows[DEVICES * 2];
static size_t row_count;

static struct store_key key_of(const struct row *r)
{
    uint32_t partition = (uint32_t)atoi(r->device + 1) % PARTITIONS;
    return fixture_key(partition, r->device, r->module);
}

static void add_row(const char *device, const char *module, bool absent)
{
    struct row *r = &rows[row_count++];
    snprintf(r->device, sizeof(r->device), "%s", device);
    snprintf(r->module, sizeof(r->module), "%s", module);
    r->absent = absent;
}

static void make_rows(void)
{
    for (unsigned i = 0; i < DEVICES; i++) {
        char device[16];
        snprintf(device, sizeof(device), "d%u", 1000 + i);
        add_row(device, "", i % 10 == 9);
        if (i % 3 == 0)
            add_row(device, "m", i % 10 == 9);
    }
}

static void change_row(struct row *r)
{
    snprintf(r->secret, sizeof(r->secret), "key %llu",
             (unsigned long long)(test_random(&seed) % 1000));
    size_t len = 30 + test_random(&seed) % (sizeof(r->body) - 40);
    for (size_t i = 0; i < len; i++)
        r->body[i] = (char)('a' + test_random(&seed) % 26);
    r->body[len] = 0;
}

/* ---- the directory ---- */

static enum status open_keeper(struct embedded_dir **out, struct buf *why)
{
    static uint64_t any = 77;
    struct embedded_dir_options o = {
        .path = path, .partitions = PARTITIONS, .map_bytes = (size_t)64 << 20};
    o.keeper = (struct embedded_options){.random = fixture_random(&any),
                                         .clock = fixture_clock,
                                         .replay = &fixture_replay,
                                         .stepped = true,
                                         .segment_min = 512 << 10,
                                         .segment_max = 512 << 10};
    return embedded_dir_open(&o, out, why);
}

static void step_until(struct embedded_dir *dir, const uint64_t *durable, uint64_t batch,
                       struct store *s)
{
    while (*durable < batch) {
        for (int a = 0; a < ACTORS; a++)
            embedded_step(embedded_dir_keeper(dir), (enum embedded_actor)a);
        store_poll(s);
    }
}

static void on_durable(void *owner, uint64_t batch)
{
    *(uint64_t *)owner = batch;
}

/* Writes rows and closes; with patience, the base has them all. */
static void write_rows(size_t count, bool chosen, int64_t patience_ms)
{
    struct embedded_dir *dir;
    struct buf why = {0};
    uint64_t durable = 0, batch = 0;
    if (open_keeper(&dir, &why) != OK)
        fail_msg("%.*s", SPAN_ARG(why));
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->owner = &durable;
    s->durable = on_durable;
    for (size_t i = 0; i < count; i++) {
        struct row *r = &rows[chosen ? test_random(&seed) % row_count : i];
        if (r->absent)
            continue;
        change_row(r);
        fixture_put(s, key_of(r), r->body, r->secret);
        store_commit(s, ++batch);
        step_until(dir, &durable, batch, s);
    }
    store_close(s);
    embedded_dir_close(dir, patience_ms);
}

static void load_image(struct image *m)
{
    char name[160];
    snprintf(name, sizeof(name), "%s/%s", path, m->name);
    int fd = open(name, O_RDONLY);
    m->bytes = malloc(FILE_MAX);
    ssize_t n = fd < 0 || !m->bytes ? -1 : read(fd, m->bytes, FILE_MAX);
    if (n <= 0 || n == FILE_MAX)
        fail_msg("%s is not there, or too large", name);
    m->len = (size_t)n;
    close(fd);
}

static void lay_down(const struct image *m)
{
    char name[160];
    snprintf(name, sizeof(name), "%s/%s", path, m->name);
    int fd = open(name, O_WRONLY | O_TRUNC);
    if (fd < 0 || write(fd, m->bytes, m->len) != (ssize_t)m->len)
        fail_msg("cannot write %s", name);
    close(fd);
}

static void write_part(const struct image *m, size_t at, size_t len)
{
    char name[160];
    snprintf(name, sizeof(name), "%s/%s", path, m->name);
    int fd = open(name, O_WRONLY);
    if (fd < 0 || pwrite(fd, m->bytes + at, len, (off_t)at) != (ssize_t)len)
        fail_msg("cannot write %s", name);
    close(fd);
}

/* The part was damaged and is sound in the image again. A start that found something wrong may
 * have written, too. */
static void write_back(const struct image *m, size_t at, size_t len)
{
    if (judged == RIGHT)
        write_part(m, at, len);
    else
        for (size_t i = 0; i < COUNT(images); i++)
            lay_down(&images[i]);
}

/* The last sector that is not zeros holds the newest block; each is its own group. */
static void find_newest_group(void)
{
    static const uint8_t zeros[SECTOR];
    const struct image *m = &images[1];
    size_t end = m->len;
    while (memcmp(m->bytes + end - SECTOR, zeros, SECTOR) == 0)
        end -= SECTOR;
    for (newest_group = end - SECTOR; memcmp(m->bytes + newest_group, "TwJb", 4) != 0;)
        newest_group -= SECTOR;
}

static void make_directory(void)
{
    snprintf(root, sizeof(root), "%s/twinhub-rot-XXXXXX",
             access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (!mkdtemp(root))
        fail_msg("%s", root);
    snprintf(path, sizeof(path), "%s/data", root);
    make_rows();
    write_rows(row_count, false, 10000);
    write_rows(row_count, true, 10000); /* old copies of pages, to be led astray to */
    write_rows(IN_JOURNAL, true, 0);
    char name[160];
    for (size_t i = 0; i < COUNT(images); i++) {
        snprintf(name, sizeof(name), "%s/%s", path, images[i].name);
        load_image(&images[i]);
    }
    find_newest_group();
}

/* ---- reading everything ---- */

static void wrong(const char *what, const struct row *r)
{
    shared->verdict = WRONG;
    snprintf(shared->what, sizeof(shared->what), "%s %s/%s", what, r ? r->device : "",
             r ? r->module : "");
    _exit(0);
}

static void on_load(void *owner, enum status st, struct record *record)
{
    const struct row *r = owner;
    if (st == DAMAGED)
        shared->verdict = REFUSED;
    else if (st == OK && r->absent)
        wrong("is there:", r);
    else if (st != OK && !r->absent)
        wrong("is said to be absent:", r);
    else if (st == OK && (!span_eq(record_body(record), span_text(r->body)) ||
                          !span_eq(record_secret(record), span_text(r->secret))))
        wrong("shows something else:", r);
}

struct scanned {
    uint32_t partition;
    size_t next; /* of the rows */
    enum status st;
    bool missed;
};

/* The next row of this partition that is there; NULL after the last. Rows are in key order. */
static const struct row *next_row(struct scanned *s)
{
    while (s->next < row_count) {
        const struct row *r = &rows[s->next++];
        if (!r->absent && key_of(r).partition == s->partition)
            return r;
    }
    return NULL;
}

static bool on_row(void *owner, const struct store_key *key, struct record *record)
{
    struct scanned *s = owner;
    const struct row *r;
    while ((r = next_row(s)) && !(span_eq(key->device, span_text(r->device)) &&
                                  span_eq(key->module, span_text(r->module))))
        s->missed = true;
    if (!r)
        wrong("a scan shows what is not there, or in another order", NULL);
    else if (!span_eq(record_body(record), span_text(r->body)))
        wrong("a scan shows something else:", r);
    return true;
}

static void on_done(void *owner, enum status st)
{
    ((struct scanned *)owner)->st = st;
}

static void read_all(void)
{
    struct embedded_dir *dir;
    struct buf why = {0};
    if (open_keeper(&dir, &why) != OK) {
        shared->verdict = REFUSED;
        return;
    }
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    for (size_t i = 0; i < row_count; i++) {
        struct store_key key = key_of(&rows[i]);
        store_load(s, &key, on_load, &rows[i]);
    }
    for (uint32_t p = 0; p < PARTITIONS; p++) {
        struct scanned scan = {.partition = p};
        struct store_key after = fixture_key(p, "", "");
        store_scan(s, &after, false, on_row, on_done, &scan);
        scan.missed |= next_row(&scan) != NULL;
        if (scan.st != OK)
            shared->verdict = REFUSED;
        else if (scan.missed)
            wrong("a scan leaves something out, and says it is whole", NULL);
    }
}

static void on_broken(int signum)
{
    (void)signum;
    _exit(BROKE);
}

/* In a child: LMDB may end it. */
static enum verdict judge(void)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE};
    int status = 0;
    *shared = (struct shared){.verdict = RIGHT};
    pid_t child = fork();
    if (child == 0) {
        int null = open("/dev/null", O_WRONLY);
        dup2(null, STDERR_FILENO);
        for (size_t i = 0; i < COUNT(signals); i++)
            signal(signals[i], on_broken);
        alarm(20);
        read_all();
        _exit(0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child)
        fail_msg("no child");
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return shared->verdict;
    if (WIFEXITED(status) && (WEXITSTATUS(status) == 70 || WEXITSTATUS(status) == BROKE))
        return REFUSED;
    snprintf(shared->what, sizeof(shared->what), "it ended strangely: status %x", status);
    return WRONG;
}

/* ---- damage ---- */

static unsigned tally[WRONG + 1];

static void count(const char *damage, size_t which, size_t at, bool newest)
{
    judged = judge();
    if (judged == WRONG && newest)
        judged = TORN;
    if (judged == WRONG && tally[WRONG] < SHOWN)
        printf("WRONG  %s %s at %zu (page %zu, byte %zu): %s\n", damage, images[which].name, at,
               at / PAGE, at % PAGE, shared->what);
    tally[judged]++;
}

/* Of the journal, what has been written and a little beyond. */
static size_t extent(size_t which)
{
    return which == 0 ? images[0].len : newest_group + PAGE;
}

static void flip(void)
{
    size_t which = test_random(&seed) % 4 == 0; /* three in four in the base */
    struct image *m = &images[which];
    size_t at = test_random(&seed) % extent(which);
    uint8_t bit = (uint8_t)(1 << test_random(&seed) % 8);
    m->bytes[at] ^= bit;
    write_part(m, at, 1);
    count("a bit flipped in", which, at, which == 1 && at >= newest_group);
    m->bytes[at] ^= bit;
    write_back(m, at, 1);
}

static void cut(void)
{
    size_t which = test_random(&seed) % 2;
    struct image whole = images[which];
    images[which].len = test_random(&seed) % extent(which);
    lay_down(&images[which]);
    count("cut short", which, images[which].len, which == 1 && images[which].len >= newest_group);
    images[which] = whole;
    judged = REFUSED;
    write_back(&images[which], 0, 0);
}

static void exchange(uint8_t *a, uint8_t *b, size_t len)
{
    uint8_t copy[PAGE];
    memcpy(copy, a, len);
    memcpy(a, b, len);
    memcpy(b, copy, len);
}

static void swap(void)
{
    size_t which = test_random(&seed) % 4 == 0, unit = which ? SECTOR : PAGE;
    struct image *m = &images[which];
    size_t pages = extent(which) / unit;
    size_t a = test_random(&seed) % pages * unit, b = test_random(&seed) % pages * unit;
    exchange(m->bytes + a, m->bytes + b, unit);
    write_part(m, a, unit);
    write_part(m, b, unit);
    count("pages exchanged in", which, a, which == 1 && (a >= newest_group || b >= newest_group));
    exchange(m->bytes + a, m->bytes + b, unit);
    write_back(m, a, unit);
    write_back(m, b, unit);
}

/* What has been read was what was damaged, and nothing else. */
static void check_files(void)
{
    for (size_t i = 0; i < COUNT(images); i++) {
        struct image now = {.name = images[i].name};
        load_image(&now);
        if (now.len != images[i].len || memcmp(now.bytes, images[i].bytes, now.len) != 0)
            fail_msg("%s is not as it was laid down", now.name);
        free(now.bytes);
    }
}

static void trial(const char *what, unsigned times, void (*damage)(void))
{
    memset(tally, 0, sizeof(tally));
    for (unsigned i = 0; i < times; i++)
        damage();
    check_files();
    char figure[64];
    snprintf(figure, sizeof(figure), "silently wrong reads after %u %s", times, what);
    printf("       %u %s: %u read right, %u refused, %u taken for a torn write\n", times, what,
           tally[RIGHT], tally[REFUSED], tally[TORN]);
    printf("%-6s %-58s %10.2f  (limit 0.00)\n", tally[WRONG] ? "FAILED" : "ok", figure,
           (double)tally[WRONG]);
}

int main(int argc, char **argv)
{
    if (argc < 4)
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (argc > 4)
        seed = strtoull(argv[4], NULL, 10);
    printf("seed %llu\n", (unsigned long long)seed);
    shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        return 1;
    make_directory();
    if (judge() != RIGHT) {
        printf("FAILED undamaged, it is read wrong: %s\n", shared->what);
        return 1;
    }
    unsigned wrongs = 0;
    trial("bits flipped", (unsigned)atoi(argv[1]), flip);
    wrongs += tally[WRONG];
    trial("files cut short", (unsigned)atoi(argv[2]), cut);
    wrongs += tally[WRONG];
    trial("pages exchanged", (unsigned)atoi(argv[3]), swap);
    wrongs += tally[WRONG];
    fixture_remove(path);
    for (size_t i = 0; i < COUNT(images); i++)
        free(images[i].bytes);
    return wrongs ? 1 : 0;
}

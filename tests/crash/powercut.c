/* The power-cut trial (trials F02). Runs the writer under the recorder, then opens, with the real
 * keeper, many directories as a power cut could have left them, and holds each against the model.
 * Some of those directories are given to the writer again, under the recorder, and cut once more:
 * half of the times while it opens them.
 *
 *   powercut STATES RECORDER WRITER [SEED|must-fail]
 *
 * With must-fail the writer is known to promise too early, and the trial passes if it finds a lost
 * promise. Exit 0: passed.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "model_hub.h"
#include "model_keeper.h"
#include "store/check.h"

enum {
    WORKERS = 2,
    RUN_STATES = 8000,  /* of one run of the writer, then the next */
    BATCHES = 250,      /* of each shard, in the first run … */
    BATCHES_AGAIN = 6,  /* … and after a cut */
    SECOND_EVERY = 100, /* states to one that is cut again, … */
    SECOND_STATES = 24, /* … in so many places */
    CHECK_EVERY = 16,   /* states to one that twinhub check looks at, too */
    KILL_MAX = 5000,    /* entries of a process that is killed */
    SHOWN = 5           /* failures told in full */
};

static char *recorder, *writer;
static char top[64]; /* everything is made below it */
static bool must_fail;

/* Shared by the workers. */
static struct tally {
    _Atomic unsigned states, second, opening, failed, lost; /* states, of them: …; lost promises */
    _Atomic unsigned recovering; /* cut while the first cut's state was opened */
    _Atomic unsigned killed;     /* after a process that was killed */
    _Atomic unsigned entries, checked;
    _Atomic unsigned shown;
} * tally;

/* -- running the writer -- */

struct writing {
    const char *root, *log;
    uint64_t seed;
    int batches;
    bool append;   /* to the log: the process before was killed */
    uint64_t kill; /* after so many entries; 0: not */
};

static void be_writer(const struct writing *w)
{
    char data[128], seed[24], batches[12], kill[24];
    snprintf(data, sizeof(data), "%s/data", w->root);
    snprintf(seed, sizeof(seed), "%llu", (unsigned long long)w->seed);
    snprintf(batches, sizeof(batches), "%d", w->batches);
    snprintf(kill, sizeof(kill), "%llu", (unsigned long long)w->kill);
    setenv("LD_PRELOAD", recorder, 1);
    setenv("ASAN_OPTIONS", "verify_asan_link_order=0:detect_leaks=0", 1);
    setenv("TWINHUB_RECORD_DIR", w->root, 1);
    setenv("TWINHUB_RECORD_LOG", w->log, 1);
    setenv("TWINHUB_RECORD_SYNC_US", "100", 1);
    if (w->append)
        setenv("TWINHUB_RECORD_APPEND", "1", 1);
    if (w->kill)
        setenv("TWINHUB_RECORD_EXIT", kill, 1);
    execl(writer, writer, data, seed, batches, (char *)NULL);
    _exit(127);
}

static void run_writer(const struct writing *w)
{
    pid_t pid = fork();
    if (pid == 0)
        be_writer(w);
    int status = -1;
    if (pid < 0 || waitpid(pid, &status, 0) < 0 ||
        (status != 0 && !(w->kill && WEXITSTATUS(status) == 137))) {
        fprintf(stderr, "powercut: the writer ended with %d\n", status);
        exit(2);
    }
}

/* -- opening a state -- */

struct seen {
    struct model_state handles[MODEL_HANDLES];
    uint8_t hub_id[16];
    unsigned rows; /* of scans */
    bool damaged;
    uint32_t handle, key; /* being loaded */
};

static void on_load(void *owner, enum status st, struct record *record)
{
    struct seen *seen = owner;
    if (st == OK) {
        seen->handles[seen->handle].hash[seen->key] = model_hash(record);
    } else {
        seen->damaged |= st != NOT_FOUND;
    }
}

static bool on_row(void *owner, const struct store_key *key, struct record *record)
{
    (void)key;
    (void)record;
    ((struct seen *)owner)->rows++;
    return true;
}

static void on_done(void *owner, enum status st)
{
    ((struct seen *)owner)->damaged |= st != OK;
}

static void look(struct store *s, struct seen *seen)
{
    unsigned present = 0;
    for (seen->handle = 0; seen->handle < MODEL_HANDLES; seen->handle++) {
        for (seen->key = 0; seen->key < MODEL_KEYS; seen->key++) {
            if (seen->key == MODEL_OWN && seen->handle)
                continue;
            struct store_key key = model_key(seen->handle, seen->key);
            store_load(s, &key, on_load, seen);
            present += seen->handles[seen->handle].hash[seen->key] && key.device.len;
        }
        for (uint32_t p = seen->handle; p < MODEL_PARTITIONS; p += MODEL_HANDLES)
            seen->handles[seen->handle].parts[p] = s->parts[p];
    }
    for (uint32_t p = 0; p < MODEL_PARTITIONS; p++)
        store_scan(s, &(struct store_key){.partition = p}, false, on_row, on_done, seen);
    seen->damaged |= seen->rows != present;
}

static void on_failed(void *owner, enum status st)
{
    (void)st;
    ((struct seen *)owner)->damaged = true;
}

/* That it can be written shows that what LMDB keeps of free pages is sound as well. */
static void write_some(struct store *s, uint64_t seed)
{
    static struct model_hub hub;
    model_hub_init(&hub, s, 0, seed);
    for (int i = 0; i < 12; i++)
        model_hub_change(&hub);
    model_hub_commit(&hub);
    model_hub_fini(&hub);
}

/* What the directory shows when it is opened; false: it does not open. */
static bool open_state(const char *data, bool also_write, struct seen *seen, struct buf *why)
{
    static uint64_t seed = 99;
    struct embedded_dir_options options = {
        .path = data,
        .partitions = MODEL_PARTITIONS,
        .map_bytes = 64 << 20,
        .keeper = model_keeper(&seed),
    };
    options.keeper.stepped = true; /* no threads: the states are many */
    struct embedded_dir *dir;
    memset(seen, 0, sizeof(*seen));
    if (embedded_dir_open(&options, &dir, why) != OK)
        return false;
    memcpy(seen->hub_id, embedded_dir_directory(dir)->header.hub_id, sizeof(seen->hub_id));
    struct store *s = embedded_shard(embedded_dir_keeper(dir), 0, 1);
    s->owner = seen;
    s->failed = on_failed;
    look(s, seen);
    if (also_write)
        write_some(s, seed);
    store_close(s);
    embedded_dir_close(dir, 1000);
    return true;
}

/* -- one state -- */

struct place {
    struct image *image;
    struct model model;
    const char *root; /* where states are made */
    unsigned depth;   /* cuts before */
    size_t opened;    /* the entry after which the directory was open */
};

static struct image_cut random_cut(uint64_t *seed)
{
    static const unsigned keeps[] = {0, 26, 128, 230, 256, 256}, tears[] = {0, 0, 64, 128};
    uint64_t how = image_random(seed);
    return (struct image_cut){.random = image_random(seed),
                              .keep = keeps[how % COUNT(keeps)],
                              .tear = tears[(how >> 8) % COUNT(tears)]};
}

static void tell(const struct place *p, struct image_cut cut, const char *what)
{
    tally->failed++;
    if (must_fail || tally->shown++ >= SHOWN)
        return;
    fprintf(stderr, "powercut: after %zu of %zu entries, cut %u, random %llu keep %u tear %u: %s\n",
            p->image->at, p->image->count, p->depth + 1, (unsigned long long)cut.random, cut.keep,
            cut.tear, what);
}

static void on_finding(void *owner, const struct check_finding *finding)
{
    struct buf *why = owner;
    if (why->len == 0)
        buf_printf(why, "check finds in the %s: %.*s", check_part_name(finding->part),
                   SPAN_ARG(finding->text));
}

/* What `twinhub check` says of it: a power cut is no damage. */
static bool is_sound(const char *data, struct buf *why)
{
    struct check_options options = {.path = data,
                                    .replay = &hub_replay,
                                    .rules = &hub_kept,
                                    .map_bytes = 64 << 20,
                                    .fn = on_finding,
                                    .owner = why};
    struct check_result result;
    tally->checked++;
    return check_run(&options, &result, why) == OK && check_findings(&result) == 0;
}

/* True: all is as the model says; *seen is what was found. */
static bool try_state(const struct place *p, struct image_cut cut, struct seen *seen)
{
    char data[128];
    struct buf why = {0};
    snprintf(data, sizeof(data), "%s/data", p->root);
    image_write_state(p->image, cut, p->root);
    tally->states++;
    tally->second += p->depth;
    tally->opening += !p->model.opened;
    tally->killed += p->image->kills > 0;
    tally->recovering += p->depth && p->image->at <= p->opened;
    bool check = p->model.opened && cut.random % CHECK_EVERY == 1;
    bool good =
        (!check || is_sound(data, &why)) && open_state(data, cut.random % 4 == 0, seen, &why);
    if (!good)
        tell(p, cut, (buf_byte(&why, 0), (const char *)why.data));
    buf_fini(&why);
    if (!good)
        return false;
    if (p->model.wrong) {
        tally->lost++;
        tell(p, cut, "a process that followed one that was killed found what it should not have");
        return false;
    }
    if (p->model.opened && memcmp(seen->hub_id, p->model.hub_id, sizeof(seen->hub_id)) != 0) {
        tell(p, cut, "it is another hub");
        return false;
    }
    if (seen->damaged) {
        tell(p, cut, "a record is damaged, or rows and records differ");
        return false;
    }
    for (uint32_t h = 0; h < MODEL_HANDLES; h++) {
        bool found;
        model_find(&p->model, h, &seen->handles[h], &found);
        if (!found) {
            tally->lost++;
            tell(p, cut, "a promise is lost, or a batch is there in part");
            return false;
        }
    }
    return true;
}

static void advance(struct place *p, size_t at)
{
    size_t from = p->image->at;
    image_advance(p->image, at);
    model_advance(&p->model, p->image->entries + from, at - from);
}

static int by_value(const void *a, const void *b)
{
    size_t x = *(const size_t *)a, y = *(const size_t *)b;
    return (x > y) - (x < y);
}

static size_t opened_at(const struct image *im)
{
    size_t at = 0;
    while (at < im->count && im->entries[at].head.type != REC_MARK)
        at++;
    return at;
}

/* Places in order. One in `early` is before the directory was opened. */
static size_t *random_places(const struct place *p, unsigned count, unsigned early, uint64_t *seed)
{
    size_t *places = calloc(count, sizeof(*places));
    CHECK(places);
    for (unsigned i = 0; i < count; i++) {
        size_t range = i % early == 0 ? p->opened : p->image->count;
        places[i] = image_random(seed) % (range + 1);
    }
    qsort(places, count, sizeof(*places), by_value);
    return places;
}

/* -- a state that is cut again -- */

static void try_again(const struct place *first, struct image_cut cut, const struct seen *seen,
                      uint64_t *seed)
{
    char start[128], run[128], log[128];
    snprintf(start, sizeof(start), "%s-start", first->root);
    snprintf(run, sizeof(run), "%s-run", first->root);
    snprintf(log, sizeof(log), "%s-log", first->root);
    image_write_state(first->image, cut, start);
    image_write_state(first->image, cut, run);
    run_writer(&(struct writing){
        .root = run, .log = log, .seed = image_random(seed), .batches = BATCHES_AGAIN});

    struct place second = {
        .image = image_load(log, start), .root = first->root, .depth = first->depth + 1};
    second.opened = opened_at(second.image);
    if (first->model.opened) { /* what it has promised holds through the second cut */
        second.model.opened = true;
        memcpy(second.model.hub_id, seen->hub_id, sizeof(seen->hub_id));
    }
    for (uint32_t h = 0; h < MODEL_HANDLES; h++)
        second.model.handles[h].acked = seen->handles[h];
    size_t *places = random_places(&second, SECOND_STATES, 2, seed);
    for (unsigned i = 0; i < SECOND_STATES; i++) {
        struct seen found;
        advance(&second, places[i]);
        (void)!try_state(&second, random_cut(seed), &found);
    }
    advance(&second, second.image->count);
    if (!image_matches(second.image, run))
        tell(&second, cut, "the recorder has missed something");
    free(places);
    model_fini(&second.model);
    image_free(second.image);
}

/* -- workers -- */

/* Up to two processes that are killed, what they wrote and did not sync still in the page cache,
 * and one that ends by itself. */
static void run_killed(const char *run, const char *log, uint64_t *seed)
{
    struct writing w = {.root = run, .log = log, .batches = BATCHES};
    for (uint64_t kills = image_random(seed) % 3; kills; kills--) {
        w.seed = image_random(seed);
        w.kill = 1 + image_random(seed) % KILL_MAX;
        run_writer(&w);
        w.append = true;
    }
    w.seed = image_random(seed);
    w.kill = 0;
    run_writer(&w);
}

/* One run of the writer, cut at `states` places, some of them twice. */
static void cut_run(const char *root, unsigned states, uint64_t *seed)
{
    char run[128], log[128], empty[96];
    snprintf(run, sizeof(run), "%s-run", root);
    snprintf(log, sizeof(log), "%s-first", root);
    snprintf(empty, sizeof(empty), "%s/empty", top);
    image_clear(run);
    run_killed(run, log, seed);
    struct place p = {.image = image_load(log, empty), .root = root};
    p.opened = opened_at(p.image);
    tally->entries += (unsigned)p.image->count;
    unsigned again = states / SECOND_EVERY, simple = states - again * SECOND_STATES;
    size_t *places = random_places(&p, simple, 8, seed);
    for (unsigned i = 0; i < simple; i++) {
        struct seen seen;
        struct image_cut cut = random_cut(seed);
        advance(&p, places[i]);
        bool good = try_state(&p, cut, &seen);
        if (good && !must_fail && again && i % (simple / again) == 0)
            try_again(&p, cut, &seen, seed);
    }
    free(places);
    model_fini(&p.model);
    image_free(p.image);
}

static void work(int worker, unsigned states, uint64_t seed)
{
    char root[96], other[128];
    seed = seed * WORKERS + (uint64_t)worker;
    snprintf(root, sizeof(root), "%s/state%d", top, worker);
    mkdir(root, 0700);
    snprintf(other, sizeof(other), "%s-start", root);
    mkdir(other, 0700);
    snprintf(other, sizeof(other), "%s-run", root);
    mkdir(other, 0700);
    for (unsigned done = 0; done < states; done += RUN_STATES)
        cut_run(root, states - done < RUN_STATES ? states - done : RUN_STATES, &seed);
}

static int report(void)
{
    printf("%u states opened: %u cut twice, %u of these while they were opened again; %u after a "
           "process that was killed; %u before the directory was whole; %u checked; %u entries "
           "recorded; %u failed, %u of them lost a promise\n",
           tally->states, tally->second, tally->recovering, tally->killed, tally->opening,
           tally->checked, tally->entries, tally->failed, tally->lost);
    if (must_fail && !tally->lost)
        printf("a promise made too early was not found\n");
    if (!must_fail)
        printf("%-6s %-58s %10u  (limit 0)\n", tally->failed ? "FAILED" : "ok",
               "states that did not open as they should", tally->failed);
    return must_fail ? !tally->lost : tally->failed > 0;
}

/* Does the recorder see all that the writer does? */
static bool is_recorded(const char *empty)
{
    char root[96], log[96];
    snprintf(root, sizeof(root), "%s/run", top);
    snprintf(log, sizeof(log), "%s/log", top);
    mkdir(root, 0700);
    run_writer(&(struct writing){.root = root, .log = log, .seed = 7, .batches = BATCHES});
    struct image *whole = image_load(log, empty);
    image_advance(whole, whole->count);
    bool complete = image_matches(whole, root);
    printf("%zu entries in one run%s\n", whole->count, complete ? "" : ", but not all");
    image_free(whole);
    return complete;
}

static void remove_top(void)
{
    char command[128];
    snprintf(command, sizeof(command), "rm -rf '%s'", top);
    if (system(command) != 0) /* NOLINT: our own directory's name */
        fprintf(stderr, "powercut: %s is left\n", top);
}

int main(int argc, char **argv)
{
    if (argc < 4) {
        fprintf(stderr, "usage: powercut STATES RECORDER WRITER [SEED|must-fail]\n");
        return 64;
    }
    unsigned states = (unsigned)strtoul(argv[1], NULL, 10);
    recorder = realpath(argv[2], NULL);
    writer = realpath(argv[3], NULL);
    must_fail = argc > 4 && strcmp(argv[4], "must-fail") == 0;
    uint64_t seed = argc > 4 && !must_fail ? strtoull(argv[4], NULL, 10) : 1000;
    strcpy(top,
           access("/dev/shm", W_OK) == 0 ? "/dev/shm/powercut-XXXXXX" : "/tmp/powercut-XXXXXX");
    tally = mmap(NULL, sizeof(*tally), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!recorder || !writer || !mkdtemp(top) || tally == MAP_FAILED) {
        fprintf(stderr, "powercut: %s\n", strerror(errno));
        return 2;
    }
    char empty[96];
    snprintf(empty, sizeof(empty), "%s/empty", top);
    mkdir(empty, 0700);
    model_begin();
    bool complete = is_recorded(empty);
    fflush(stdout);
    pid_t pids[WORKERS];
    for (int i = 0; i < WORKERS; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            work(i, states / WORKERS, seed);
            exit(0);
        }
    }
    bool crashed = false;
    for (int i = 0; i < WORKERS; i++) {
        int status = -1;
        crashed |= pids[i] < 0 || waitpid(pids[i], &status, 0) < 0 || status != 0;
    }
    if (crashed)
        printf("a worker ended early\n");
    int result = report();
    remove_top();
    free(recorder);
    free(writer);
    return !complete || crashed ? 1 : result;
}

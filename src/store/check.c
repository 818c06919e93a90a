#include "store/check.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/text.h"
#include "store/check_look.h"
#include "store/key.h"

enum { TEXT_MAX = 4096, END = 255, BROKE = 99 };

const char *check_part_name(enum check_part part)
{
    static const char *const names[CHECK_PARTS] = {
        [CHECK_HEADER] = "header",   [CHECK_KEY] = "master key", [CHECK_BASE] = "base",
        [CHECK_JOURNAL] = "journal", [CHECK_COUNTS] = "counts",  [CHECK_HISTORY] = "history"};
    return names[part];
}

uint64_t check_findings(const struct check_result *r)
{
    uint64_t n = 0;
    for (int i = 0; i < CHECK_PARTS; i++)
        n += r->findings[i];
    return n;
}

/* -- from the child: one frame a finding, and one at the end -- */

struct frame {
    uint8_t part; /* or END */
    uint8_t is_record;
    uint16_t device_len, module_len, text_len;
    uint32_t partition; /* of END: the status */
    uint64_t position;
};

static void send_finding(void *owner, const struct check_finding *f)
{
    FILE *to = owner;
    struct frame head = {.part = (uint8_t)f->part,
                         .is_record = f->is_record,
                         .device_len = (uint16_t)f->key.device.len,
                         .module_len = (uint16_t)f->key.module.len,
                         .text_len = (uint16_t)f->text.len,
                         .partition = f->key.partition,
                         .position = f->position};
    fwrite(&head, 1, sizeof(head), to);
    if (f->key.device.len)
        fwrite(f->key.device.data, 1, f->key.device.len, to);
    if (f->key.module.len)
        fwrite(f->key.module.data, 1, f->key.module.len, to);
    fwrite(f->text.data, 1, f->text.len, to);
    fflush(to); /* the next page read may be the last */
}

static void on_broken(int signum)
{
    (void)signum;
    _exit(BROKE);
}

static _Noreturn void look_in_child(struct check_options o, struct directory *d,
                                    struct check_progress *at, int fd)
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGABRT};
    for (size_t i = 0; i < COUNT(signals); i++)
        signal(signals[i], on_broken);
    FILE *to = fdopen(fd, "w");
    struct buf why = {0};
    o.fn = send_finding;
    o.owner = to;
    enum status st = check_look(&o, d, at, &why);
    struct frame head = {.part = END,
                         .partition = (uint32_t)st,
                         .text_len = (uint16_t)(why.len < TEXT_MAX ? why.len : TEXT_MAX)};
    fwrite(&head, 1, sizeof(head), to);
    if (head.text_len)
        fwrite(why.data, 1, head.text_len, to);
    fflush(to);
    _exit(0);
}

/* -- in the parent -- */

struct heard {
    bool ended;
    enum status st;
};

static bool take(FILE *from, void *out, size_t len)
{
    return len == 0 || fread(out, 1, len, from) == len;
}

static bool hear_one(FILE *from, const struct check_options *o, struct heard *h, struct buf *why)
{
    struct frame head;
    char device[STORE_ID_MAX], module[STORE_ID_MAX], text[TEXT_MAX];
    if (!take(from, &head, sizeof(head)) || head.device_len > sizeof(device) ||
        head.module_len > sizeof(module) || head.text_len > sizeof(text) ||
        !take(from, device, head.device_len) || !take(from, module, head.module_len) ||
        !take(from, text, head.text_len))
        return false;
    struct span said = span_of(text, head.text_len);
    if (head.part == END) {
        h->st = (enum status)head.partition;
        h->ended = true;
        buf_put(why, said);
        return false;
    }
    struct check_finding f = {
        .part = (enum check_part)head.part,
        .is_record = head.is_record,
        .key = {head.partition, span_of(device, head.device_len), span_of(module, head.module_len)},
        .position = head.position,
        .text = said
    };
    o->fn(o->owner, &f);
    return true;
}

/* The child ended before it had looked at all. */
static void tell_broken(const struct check_options *o, const struct check_progress *at,
                        struct check_result *out)
{
    struct store_key key;
    struct check_finding f = {.part = at->part};
    struct buf text = {0};
    bool known = key_decode(span_of(at->last, at->last_len), &key);
    buf_text(&text, "its pages do not hold together: reading it ended ");
    if (!at->records)
        buf_text(&text, "before the first record");
    else
        buf_printf(&text, "after %llu records%s", (unsigned long long)at->records,
                   known ? ", the last of them the one named" : "");
    f.is_record = known;
    if (known)
        f.key = key;
    f.text = buf_span(&text);
    out->findings[f.part]++;
    o->fn(o->owner, &f);
    buf_fini(&text);
}

static enum status hear(const struct check_options *o, FILE *from, pid_t child,
                        const struct check_progress *at, struct check_result *out, struct buf *why)
{
    struct heard h = {0};
    int status = 0;
    while (hear_one(from, o, &h, why))
        ;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR)
        ;
    *out = at->result;
    if (h.ended)
        return h.st;
    bool broke =
        (WIFEXITED(status) && (WEXITSTATUS(status) == BROKE || WEXITSTATUS(status) == 70)) ||
        (WIFSIGNALED(status) && WTERMSIG(status) != SIGKILL && WTERMSIG(status) != SIGTERM);
    if (broke) {
        tell_broken(o, at, out);
        return OK;
    }
    buf_text(why, "the check was ended by somebody");
    return UNAVAILABLE;
}

static enum status run_child(const struct check_options *o, struct directory *d,
                             struct check_result *out, struct buf *why)
{
    int ends[2] = {-1, -1};
    struct check_progress *at =
        mmap(NULL, sizeof(*at), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED)
        check_no_memory();
    pid_t child = pipe(ends) < 0 ? -1 : fork();
    if (child < 0) {
        munmap(at, sizeof(*at));
        return directory_refuse(d, "start the check of", "", errno, why);
    }
    if (child == 0) {
        close(ends[0]);
        look_in_child(*o, d, at, ends[1]);
    }
    close(ends[1]);
    FILE *from = fdopen(ends[0], "r");
    if (!from)
        check_no_memory();
    enum status st = hear(o, from, child, at, out, why);
    fclose(from);
    munmap(at, sizeof(*at));
    return st;
}

enum status check_run(const struct check_options *options, struct check_result *out,
                      struct buf *why)
{
    struct directory d;
    struct buf ignored = {0};
    *out = (struct check_result){0};
    TRY(directory_attach(&d, options->path, why));
    /* Nobody uses a backup; and it may lie where nothing can be written. */
    enum status st = directory_read_header(&d, &ignored);
    bool is_backup = st == OK && d.header.features & HEADER_BACKUP;
    st = is_backup ? OK : directory_lock(&d, why);
    if (st == OK)
        st = run_child(options, &d, out, why);
    directory_close(&d);
    buf_fini(&ignored);
    return st;
}

#include "cli/commands.h"

#include "base/text.h"
#include "cli/identity_command.h"
#include "cli/say.h"
#include "cli/twin_diff.h"
#include "net/system.h"

#include <stdio.h>
#include <time.h>

enum { POLL_MS = 500 };

struct watch {
    const struct args *args;
    struct client client;
    struct buf path;
    struct json twin; /* as last read; root.at NULL: not yet */
    struct buf text;  /* the same as it came */
    uint64_t left;    /* changes to print */
    bool waiting;     /* the hub is away, and that has been said */
    int code;
};

/* ---- a change as a line ---- */

static void put_value(struct buf *b, struct doc_node n)
{
    if (n.at)
        json_put_line(b, n);
    else
        buf_text(b, "(none)");
}

static void put_text(struct buf *b, const struct twin_change *change, struct now now)
{
    text_put_time_digits(b, now.wall_ms, 3);
    buf_text(b, "  ");
    say_put_visible(b, change->path);
    buf_text(b, ": ");
    put_value(b, change->old);
    buf_text(b, " -> ");
    put_value(b, change->new);
    buf_byte(b, '\n');
}

static void put_json(struct buf *b, const struct twin_change *change, struct now now)
{
    buf_text(b, "{\"time\":\"");
    text_put_time_digits(b, now.wall_ms, 3);
    buf_text(b, "\",\"path\":");
    text_put_json_any(b, change->path);
    if (change->old.at) {
        buf_text(b, ",\"old\":");
        json_put_line(b, change->old);
    }
    if (change->new.at) {
        buf_text(b, ",\"new\":");
        json_put_line(b, change->new);
    }
    buf_text(b, "}\n");
}

static void on_change(void *ctx, const struct twin_change *change)
{
    struct watch *w = ctx;
    struct buf line = {0};
    if (!w->left || w->code != EXIT_OK)
        return;
    w->left--;
    (w->args->option[OPTION_JSON] ? put_json : put_text)(&line, change, system_now());
    w->code = say_out(w->args, &line);
}

/* ---- reading again and again ---- */

/* A hub that is away comes back: only the first reading must succeed. */
static void on_no_answer(struct watch *w, const struct client_call *call, enum https_end end,
                         struct span why)
{
    if (!w->twin.root.at)
        w->code = client_unanswered(&w->client, call, end, why);
    else if (!w->waiting)
        client_unanswered(&w->client, call, end, why);
    w->waiting = true;
}

static void on_twin(struct watch *w)
{
    struct json next;
    struct span text = buf_span(&w->client.reply.body);
    w->waiting = false;
    if (span_eq(text, buf_span(&w->text)))
        return;
    if (!json_parse(text, &next)) {
        json_fini(&next);
        w->code = client_refused(&w->client);
        return;
    }
    if (w->twin.root.at)
        twin_diff(w->twin.root, next.root, on_change, w);
    else if (!w->args->option[OPTION_JSON])
        fprintf(stderr, "Watching; Ctrl-C ends.\n");
    json_fini(&w->twin);
    w->twin = next;
    buf_clear(&w->text);
    buf_put(&w->text, text);
}

static void poll_once(struct watch *w)
{
    struct buf why = {0};
    struct client_call call = {"GET", buf_span(&w->path), NULL, {0}};
    enum https_end end = client_try(&w->client, &call, &why);
    if (end != HTTPS_ANSWERED)
        on_no_answer(w, &call, end, buf_span(&why));
    else if (w->client.reply.status != 200)
        w->code = client_refused(&w->client);
    else
        on_twin(w);
    buf_fini(&why);
}

int twin_watch(const struct args *a)
{
    struct watch w = {.args = a, .left = UINT64_MAX};
    const char *count = a->option[OPTION_CHANGES];
    if (count && (!text_u64(span_text(count), &w.left) || !w.left))
        return say_usage(a, "--count takes a number from 1 on, not \"%s\"", count);
    w.code = identity_check(a, a->at[0], a->at[1]);
    if (w.code != EXIT_OK)
        return w.code;
    client_put_path(&w.path, "twins", a->at[0], a->at[1]);
    w.code = client_open(&w.client, a);
    while (w.code == EXIT_OK && w.left) {
        poll_once(&w);
        if (w.code == EXIT_OK && w.left)
            nanosleep(&(struct timespec){.tv_nsec = POLL_MS * 1000000L}, NULL);
    }
    json_fini(&w.twin);
    buf_fini(&w.text);
    buf_fini(&w.path);
    client_close(&w.client);
    return w.code;
}

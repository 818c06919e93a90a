#include "script.h"

#include "base/hash.h"
#include "base/test.h"
#include "base/text.h"
#include "wire/uri.h"

#include <stdio.h>
#include <stdlib.h>

/* ---- saying what is wrong ---- */

void script_fail(struct script *s, const char *format, ...)
{
    char text[1024];
    if (s->failed)
        return;
    s->failed = true;
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    buf_printf(s->messages, "%s:%d: (%s) %s\n", s->file, s->line, s->mode->name, text);
}

void script_fail_bytes(struct script *s, const char *what, struct span want, struct span got)
{
    struct buf w = {0}, g = {0};
    if (s->failed)
        return;
    put_visible(&w, want);
    put_visible(&g, got);
    s->failed = true;
    buf_printf(s->messages, "%s:%d: (%s) %s\n  expected %.*s\n  got      %.*s\n", s->file, s->line,
               s->mode->name, what, SPAN_ARG(buf_span(&w)), SPAN_ARG(buf_span(&g)));
    buf_fini(&w);
    buf_fini(&g);
}

struct span script_text(struct script *s, struct span text, struct buf *out)
{
    size_t from = out->len;
    if (!expand(out, text, &s->vars))
        script_fail(s, "an unknown name in %.*s", SPAN_ARG(text));
    return span_of(out->data + from, out->len - from);
}

/* $(key:WHO:SLOT), $(token:TEXT), $(thumbprint:NAME), $(repeat:N:TEXT), $(host) */
static bool compute(void *ctx, struct span name, struct buf *out)
{
    struct script *s = ctx;
    struct span rest = name, kind = uri_cut(&rest, ':');
    if (span_eq(kind, SPAN("host"))) {
        buf_text(out, WORLD_HOST);
    } else if (span_eq(kind, SPAN("key"))) {
        key_put(out, rest);
    } else if (span_eq(kind, SPAN("token"))) {
        token_put(out, rest, &s->world);
    } else if (span_eq(kind, SPAN("thumbprint"))) {
        const struct test_cert *cert = cert_get(&s->certs, rest);
        thumbprint_put(out, cert);
    } else if (span_eq(kind, SPAN("repeat"))) {
        int64_t count = word_number(uri_cut(&rest, ':'));
        for (int64_t i = 0; i < count; i++)
            if (!expand(out, rest, &s->vars))
                return false;
    } else {
        return false;
    }
    return true;
}

/* ---- the store ---- */

struct digest {
    uint64_t sum;
};

static uint64_t mix(uint64_t seed, struct span bytes)
{
    return hash_keyed((struct hash_key){seed, 7}, bytes);
}

static bool digest_row(void *owner, const struct store_key *key, struct record *record)
{
    struct digest *d = owner;
    d->sum = mix(mix(mix(d->sum, key->device), key->module),
                 span_of(record->bytes, record->body_len + record->secret_len));
    return true;
}

static void digest_done(void *owner, enum status st)
{
    (void)owner;
    CHECK(st == OK);
}

uint64_t world_digest(struct world *w)
{
    struct digest d = {0};
    for (uint32_t p = 0; p < w->cluster.partitions; p++) {
        struct store_key from = {.partition = p};
        store_scan(w->stores[0], &from, false, digest_row, digest_done, &d);
    }
    return d.sum;
}

/* ---- commands ---- */

static void start(struct script *s)
{
    if (s->started)
        return;
    s->started = true;
    world_start(&s->world, &s->options);
    s->world.log_kept = true;
}

static void on_world(struct script *s, struct span rest)
{
    struct span value;
    CHECK(!s->started);
    for (struct span word; (word = word_next(&rest)).len;) {
        if (span_eq(word, SPAN("manual_sync")))
            s->options.manual_sync = true;
        else if (span_eq(word, SPAN("whole")))
            s->options.chunks = false;
        else if (word_value(word, "shards", &value))
            s->options.shards = (unsigned)word_number(value);
        else
            script_fail(s, "a world does not know %.*s", SPAN_ARG(word));
    }
}

static void call(struct script *s, const char *method, struct span path, struct span json)
{
    struct buf p = {0}, answer = {0};
    buf_printf(&p, "%.*s", SPAN_ARG(path));
    buf_byte(&p, '\0');
    int status = world_rest(&s->world, method, (const char *)p.data, NULL, json, &answer);
    if (status != 200)
        script_fail(s, "%.*s: %d %.*s", SPAN_ARG(path), status, SPAN_ARG(buf_span(&answer)));
    buf_fini(&p);
    buf_fini(&answer);
}

/* "d1 members" or "d1/m1 members" */
static void on_identity(struct script *s, struct span rest)
{
    struct buf path = {0}, json = {0}, b = {0};
    struct span text = script_text(s, rest, &b), id = word_next(&text);
    struct span module = id, device = uri_cut(&module, '/');
    CHECK(device.data);
    buf_text(&path, "/devices/");
    uri_put(&path, device);
    buf_printf(&json, "{\"deviceId\":\"%.*s\"", SPAN_ARG(device));
    if (module.len) {
        buf_text(&path, "/modules/");
        uri_put(&path, module);
        buf_printf(&json, ",\"moduleId\":\"%.*s\"", SPAN_ARG(module));
    }
    if (!text.len || !memmem(text.data, text.len, "\"authentication\"", 16)) {
        buf_byte(&json, ',');
        sas_json_put(&json, id);
    }
    buf_printf(&json, "%s%.*s}", text.len ? "," : "", SPAN_ARG(text));
    call(s, "PUT", buf_span(&path), buf_span(&json));
    buf_fini(&path);
    buf_fini(&json);
    buf_fini(&b);
}

static void on_ca(struct script *s, struct span name)
{
    const struct test_cert *cert = cert_get(&s->certs, name);
    struct credential_rules *rules = &s->world.cluster.rules;
    s->cas[rules->ca_count] = cert->der;
    rules->cas = s->cas;
    rules->ca_count++;
}

static void on_pass(struct script *s, struct span text)
{
    char *end;
    char digits[32] = {0};
    CHECK(text.len < sizeof(digits));
    memcpy(digits, text.data, text.len);
    long long n = strtoll(digits, &end, 10);
    world_pass(&s->world, n * (*end == 'm' && end[1] == 's' ? 1 : *end == 'm' ? 60000 : 1000));
    world_settle(&s->world);
}

static void on_store(struct script *s, struct span what)
{
    for (unsigned i = 0; i < s->world.cluster.count; i++) {
        struct store *store = s->world.stores[i];
        if (span_eq(what, SPAN("fails")))
            memory_store_fail(store, STORAGE_FULL);
        else if (span_eq(what, SPAN("busy")))
            memory_store_room(store, STORE_BUSY);
        else if (span_eq(what, SPAN("full")))
            memory_store_room(store, STORE_NO_SPACE);
        else if (span_eq(what, SPAN("packed")))
            memory_store_room(store, STORE_FULL);
        else if (span_eq(what, SPAN("open")))
            memory_store_room(store, STORE_OPEN);
        else
            script_fail(s, "a store is not %.*s", SPAN_ARG(what));
    }
    world_settle(&s->world);
}

static void on_restart(struct script *s, bool crash)
{
    if (crash) {
        world_crash(&s->world);
    } else {
        world_stop(&s->world);
        world_restart(&s->world);
    }
}

/* A member of the twin: reported.a.b, desired.$version, tags.x, version. */
static struct doc_node twin_member(struct doc_node at, struct span path)
{
    if (span_starts(path, SPAN("reported")) || span_starts(path, SPAN("desired")))
        at = doc_find(at, SPAN("properties"));
    while (path.len && at.at)
        at = doc_type(at) == DOC_OBJECT ? doc_find(at, uri_cut(&path, '.')) : (struct doc_node){0};
    return at;
}

/* "d1 desired.a = 1" */
static void on_twin(struct script *s, struct span rest)
{
    static uint8_t room[4 << 20];
    struct arena arena;
    struct buf path = {0}, body = {0}, got = {0}, want_text = {0};
    struct span module = word_next(&rest), device = uri_cut(&module, '/'), doc;
    struct span member = word_next(&rest), sign = word_next(&rest);
    buf_text(&path, "/twins/");
    uri_put(&path, device);
    if (module.len) {
        buf_text(&path, "/modules/");
        uri_put(&path, module);
    }
    buf_byte(&path, '\0');
    arena_init(&arena, room, sizeof(room));
    int status =
        world_rest(&s->world, "GET", (const char *)path.data, NULL, (struct span){0}, &body);
    if (status != 200) {
        script_fail(s, "GET %s: %d", (const char *)path.data, status);
    } else {
        CHECK(doc_parse(buf_span(&body), &doc_limits_azure.syntax, &arena, &doc) == OK);
        struct doc_node found = twin_member(doc_root(doc), member);
        if (found.at)
            doc_put_value(&got, found);
        else
            buf_text(&got, "absent");
        struct span want = span_eq(sign, SPAN("=")) ? script_text(s, rest, &want_text) : sign;
        if (!pattern_matches(want, buf_span(&got), &s->vars))
            script_fail_bytes(s, "the twin", want, buf_span(&got));
    }
    buf_fini(&path);
    buf_fini(&body);
    buf_fini(&got);
    buf_fini(&want_text);
}

/* "twinhub_wills_total = 1", over all shards */
static void on_metric(struct script *s, struct span rest)
{
    struct buf body = {0};
    struct span name = word_next(&rest), sign = word_next(&rest);
    CHECK(span_eq(sign, SPAN("=")));
    long long sum = 0;
    CHECK(world_rest(&s->world, "GET", "/metrics", NULL, (struct span){0}, &body) == 200);
    for (struct span text = buf_span(&body); text.len;) {
        struct span line = uri_cut(&text, '\n');
        size_t blank = span_index(line, ' ');
        if (!span_starts(line, name) || blank == line.len)
            continue;
        if (line.data[name.len] == '{' || line.data[name.len] == ' ')
            sum += word_number(span_skip(line, blank + 1));
    }
    if (sum != word_number(rest))
        script_fail(s, "%.*s is %lld", SPAN_ARG(name), sum);
    buf_fini(&body);
}

static void on_logged(struct script *s, struct span text)
{
    struct span log = span_skip(buf_span(&s->world.log), s->log_seen);
    if (!log.len || !memmem(log.data, log.len, text.data, text.len))
        script_fail_bytes(s, "the log", text, log);
    s->log_seen = s->world.log.len;
}

static void on_reading(struct script *s, struct span rest)
{
    struct speaker *sp = speaker_get(s, word_next(&rest));
    word_next(&rest);
    if (sp->wire->reading != span_eq(rest, SPAN("yes")))
        script_fail(s, "%s is %sread", sp->name, sp->wire->reading ? "" : "not ");
}

static void on_deaf(struct script *s, struct span name)
{
    struct speaker *sp = speaker_get(s, name);
    sp->deaf = sp->wire->deaf = true;
}

static void on_unchanged(struct script *s)
{
    if (world_digest(&s->world) != s->digest)
        script_fail(s, "the store is not what it was");
}

static bool run_command(struct script *s, struct span word, struct span rest)
{
    if (span_eq(word, SPAN("device")) || span_eq(word, SPAN("module")))
        on_identity(s, rest);
    else if (span_eq(word, SPAN("cert")))
        cert_make(&s->certs, rest, &s->world);
    else if (span_eq(word, SPAN("ca")))
        on_ca(s, rest);
    else if (span_eq(word, SPAN("pass")))
        on_pass(s, rest);
    else if (span_eq(word, SPAN("sync"))) {
        world_sync(&s->world);
        world_settle(&s->world);
    } else if (span_eq(word, SPAN("restart")) || span_eq(word, SPAN("crash")))
        on_restart(s, word.data[0] == 'c');
    else if (span_eq(word, SPAN("store")))
        on_store(s, rest);
    else if (span_eq(word, SPAN("twin")))
        on_twin(s, rest);
    else if (span_eq(word, SPAN("metric")))
        on_metric(s, rest);
    else if (span_eq(word, SPAN("remember")))
        s->digest = world_digest(&s->world);
    else if (span_eq(word, SPAN("unchanged")))
        on_unchanged(s);
    else if (span_eq(word, SPAN("reading")))
        on_reading(s, rest);
    else if (span_eq(word, SPAN("deaf")))
        on_deaf(s, rest);
    else if (span_eq(word, SPAN("logged")))
        on_logged(s, rest);
    else
        return false;
    return true;
}

/* ---- lines ---- */

static void say(struct script *s, struct speaker *sp, bool hold, struct span rest)
{
    struct span verb = word_next(&rest);
    if (!speaker_says(s, sp, verb, rest) && !packet_says(s, sp, verb, rest) &&
        !request_says(s, sp, verb, rest))
        script_fail(s, "nobody says %.*s", SPAN_ARG(verb));
    if (!hold)
        world_settle(&s->world);
}

static void hear(struct script *s, struct speaker *sp, struct span rest)
{
    struct span verb = word_next(&rest);
    if (!sp->wire)
        script_fail(s, "%s is not connected", sp->name);
    else if (!speaker_hears(s, sp, verb, rest) && !packet_hears(s, sp, verb, rest) &&
             !request_hears(s, sp, verb, rest))
        script_fail(s, "nobody hears %.*s", SPAN_ARG(verb));
}

static void run_line(struct script *s, struct span line);

/* "1..16: LINE" */
static void run_each(struct script *s, struct span rest)
{
    struct span range = uri_cut(&rest, ':'), first = uri_cut(&range, '.');
    int64_t to = word_number(span_skip(range, 1));
    rest = span_skip(rest, 1);
    for (int64_t i = word_number(first); i <= to && !s->failed; i++) {
        char digits[24];
        snprintf(digits, sizeof(digits), "%lld", (long long)i);
        vars_set(&s->vars, SPAN("i"), span_text(digits));
        run_line(s, rest);
    }
}

static void run_line(struct script *s, struct span line)
{
    struct span rest = line, word = word_next(&rest), after = rest, sign = word_next(&after);
    if (span_eq(word, SPAN("world"))) {
        on_world(s, rest);
        return;
    }
    start(s);
    if (span_eq(word, SPAN("each"))) {
        run_each(s, rest);
        return;
    }
    if (span_eq(sign, SPAN("<"))) {
        hear(s, speaker_get(s, word), after);
        return;
    }
    if (!speakers_quiet(s))
        return;
    if (span_eq(sign, SPAN(">")) || span_eq(sign, SPAN(">+")))
        say(s, speaker_get(s, word), sign.len == 2, after);
    else if (!run_command(s, word, rest))
        script_fail(s, "what does this mean: %.*s", SPAN_ARG(line));
}

static void finish(struct script *s)
{
    if (!s->failed)
        speakers_quiet(s);
    speakers_fini(s);
    if (s->started)
        world_end(&s->world);
    vars_fini(&s->vars);
    certs_fini(&s->certs);
}

bool script_run(const char *file, int line, struct span text, const struct mode *mode,
                struct buf *messages)
{
    struct script *s = calloc(1, sizeof(*s));
    if (!s)
        check_no_memory();
    *s = (struct script){
        .file = file,
        .line = line,
        .mode = mode,
        .options = {.shards = mode->shards,
                    .seed = (uint64_t)line * 31 + mode->shards,
                    .chunks = mode->chunks,
                    .async_loads = mode->late_loads,
                    .trace = mode->trace,
                    .trace_owner = mode->trace_owner,
                    .arena_size = 48 << 20, /* ASan marks all of it for every world */
                    .wall_ms = CREDENTIALS_START_MS},
        .messages = messages
    };
    s->vars.compute = compute;
    s->vars.ctx = s;
    for (; text.len && !s->failed; s->line++) {
        struct span at = uri_cut(&text, '\n');
        if (at.len && at.data[0] != '#')
            run_line(s, at);
        if (!text.len)
            break; /* messages of the end name the last line */
    }
    finish(s);
    bool holds = !s->failed;
    free(s);
    return holds;
}

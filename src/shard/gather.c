#include "base/text.h"
#include "hub/registry.h"
#include "shard/internal.h"
#include "wire/uri.h"

#include <stdlib.h>

/* A call that several shards answer: its parts come back in any order. */
struct gather {
    struct list link; /* in shard.gathers */
    uint64_t conn;
    bool is_list;
    uint32_t top;
    unsigned count, left;
    struct call *parts[]; /* by index */
};

static struct gather *gather_create(struct conn *c, unsigned count)
{
    struct gather *g = calloc(1, sizeof(*g) + count * sizeof(struct call *));
    if (!g)
        check_no_memory();
    list_append(&c->shard->gathers, &g->link);
    g->conn = c->id;
    g->count = g->left = count;
    return g;
}

static void send_part(struct shard *s, struct gather *g, struct call *part, unsigned index,
                      unsigned owner)
{
    part->home = s->index;
    part->gather = g;
    part->index = index;
    part->authorised = true;
    g->parts[index] = part;
    if (owner == s->index)
        list_append(&s->calls, &part->link);
    else
        shard_mail(s->cluster->shards[owner], part);
}

/* Answer the connection by one call that carries the whole. */
static void answer(struct shard *s, struct gather *g, enum route_id route, struct buf *body,
                   bool bulk_failed)
{
    struct call *whole = call_create();
    whole->route = route;
    whole->conn = g->conn;
    whole->body = *body;
    whole->bulk_failed = bulk_failed;
    for (unsigned i = 0; i < g->count; i++) {
        if (g->is_list && g->parts[i]->status != OK)
            whole->status = g->parts[i]->status;
        call_destroy(g->parts[i]);
    }
    list_remove(&g->link);
    free(g);
    http_conn_answer(s, whole);
}

void gather_drop(struct list *gathers)
{
    LIST_EACH_SAFE(at, gathers)
    {
        free(CONTAINER_OF(at, struct gather, link));
    }
    list_init(gathers);
}

/* ---- bulk ---- */

static void answer_bulk(struct shard *s, struct gather *g)
{
    struct buf errors = {0}, body = {0};
    for (unsigned i = 0; i < g->count; i++) {
        struct call *part = g->parts[i];
        if (part->status == OK)
            continue;
        if (errors.len)
            buf_byte(&errors, ',');
        struct bulk_entry entry = {part->op.device, part->op.module, part->token};
        bulk_put_error(&errors, &entry, part->status, buf_span(&part->why));
    }
    buf_printf(&body, "{\"isSuccessful\":%s,\"errors\":[", errors.len ? "false" : "true");
    buf_put(&body, buf_span(&errors));
    buf_text(&body, "],\"warnings\":[]}");
    bool failed = errors.len > 0;
    buf_fini(&errors);
    answer(s, g, ROUTE_DEVICE_BULK, &body, failed);
}

/* part->status is BAD_ARGUMENT when the entry names nobody: then it makes no operation. */
static struct call *bulk_part(struct doc_node node)
{
    struct call *part = call_create();
    struct buf text = {0};
    struct bulk_entry kept, *entry = &kept;
    doc_put_value(&text, node);
    part->status = bulk_entry(node, entry);
    size_t at = 0;
    buf_reserve(&part->bytes,
                entry->device.len + entry->module.len + entry->mode.len + text.len + 1);
    part->route = ROUTE_DEVICE_BULK;
    part->op.kind = OP_BULK_ENTRY;
    part->op.device = call_keep(part, entry->device, &at);
    part->op.module = call_keep(part, entry->module, &at);
    part->token = call_keep(part, entry->mode, &at); /* the mode, for the error's row */
    part->op.body = call_keep(part, buf_span(&text), &at);
    part->op.if_version = -1;
    buf_fini(&text);
    return part;
}

void gather_bulk(struct conn *c)
{
    struct shard *s = c->shard;
    struct span doc;
    enum status st =
        doc_parse(http_body(&c->http), &s->cluster->hub.limits->syntax, &s->arena, &doc);
    if (st == TOO_LARGE && arena_mark(&s->arena) > ARENA_KEEP && !c->put_off) {
        c->put_off = true; /* once, to a turn with an empty arena */
        conn_ready(c);
        return;
    }
    c->put_off = false;
    if (st == OK)
        st = bulk_check(doc_root(doc));
    s->calls_out++;
    if (st != OK || s->stopping) {
        struct call *refused = call_create();
        refused->conn = c->id;
        refused->status = st != OK ? st : SERVER_BUSY;
        http_conn_answer(s, refused);
        return;
    }
    c->calling = true;
    struct doc_node array = doc_root(doc);
    struct gather *g = gather_create(c, (unsigned)doc_count(array));
    if (g->count == 0) {
        answer_bulk(s, g);
        return;
    }
    unsigned i = 0;
    for (struct doc_node n = doc_first(array); n.at; n = doc_next(array, n), i++) {
        struct call *part = bulk_part(n);
        g->parts[i] = part;
        if (part->status == OK)
            send_part(s, g, part, i, shard_of(s->cluster, part->op.device));
        else
            g->left--; /* it names nobody: answered here */
    }
    if (g->left == 0)
        answer_bulk(s, g);
}

/* ---- lists ---- */

struct row {
    uint8_t len;
    uint8_t id[STORE_ID_MAX];
    struct buf json;
};

struct list_scan {
    struct shard *shard;
    struct call *call;
    uint32_t partition; /* the next one to scan */
    uint32_t taken;     /* of this partition */
    bool is_done, is_async;
    enum status st;
    size_t count, room;
    struct row *rows;
};

static int compare_rows(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return span_compare(span_of(x->id, x->len), span_of(y->id, y->len));
}

/* Keep the smallest ids. */
static void keep_first(struct list_scan *l, uint32_t top)
{
    if (l->count)
        qsort(l->rows, l->count, sizeof(*l->rows), compare_rows);
    while (l->count > top)
        buf_fini(&l->rows[--l->count].json);
}

static bool on_row(void *owner, const struct store_key *key, struct record *record)
{
    struct list_scan *l = owner;
    if (key->module.len)
        return true;
    struct entity e;
    if (entity_view(record, &e) != OK) {
        l->st = DAMAGED;
        return true;
    }
    if (l->count == l->room) {
        l->room = l->room ? l->room * 2 : 64;
        l->rows = realloc(l->rows, l->room * sizeof(*l->rows));
        if (!l->rows)
            check_no_memory();
    }
    struct row *row = &l->rows[l->count++];
    row->len = (uint8_t)key->device.len;
    memcpy(row->id, key->device.data, key->device.len);
    row->json = (struct buf){0};
    registry_put_entity(&row->json, &e,
                        hub_live_find(&l->shard->hub, key->device, (struct span){0}));
    return ++l->taken < l->call->top;
}

static void on_scanned(void *owner, enum status st)
{
    struct list_scan *l = owner;
    if (st != OK)
        l->st = st;
    keep_first(l, l->call->top);
    l->is_done = true;
    if (!l->is_async)
        return;
    l->call->waits = false;
    l->shard->cluster->wake(l->shard->cluster->ctx, l->shard->index);
}

/* Rows as {id length, id, JSON length u32, JSON}, in order of ids. */
static void finish_part(struct shard *s, struct list_scan *l)
{
    struct call *call = l->call;
    for (size_t i = 0; i < l->count; i++) {
        struct row *row = &l->rows[i];
        buf_byte(&call->body, row->len);
        buf_put(&call->body, span_of(row->id, row->len));
        buf_u32le(&call->body, (uint32_t)row->json.len);
        buf_put(&call->body, buf_span(&row->json));
        buf_fini(&row->json);
    }
    call->status = l->st == OK ? OK : SERVER_ERROR;
    /* What was shown may not be durable yet: hold it for everything up to now. */
    call->batch = s->hub.durable + 1 < s->hub.batch || s->dirty ? s->hub.batch - !s->dirty : 0;
    call->scan = NULL;
    free(l->rows);
    free(l);
}

/* One partition a turn, so that a large hub is not held up. */
bool gather_list_part(struct shard *s, struct call *call)
{
    struct list_scan *l = call->scan;
    if (!l) {
        l = call->scan = calloc(1, sizeof(*l));
        if (!l)
            check_no_memory();
        *l = (struct list_scan){.shard = s, .call = call, .st = OK};
    }
    while (l->partition < s->cluster->partitions && !shard_owns(s, l->partition))
        l->partition++;
    if (l->partition == s->cluster->partitions) {
        finish_part(s, l);
        return true;
    }
    struct store_key after = {.partition = l->partition++};
    l->taken = 0;
    l->is_done = l->is_async = false;
    store_scan(s->store, &after, false, on_row, on_scanned, l);
    if (!l->is_done)
        l->is_async = call->waits = true;
    return false;
}

/* The next row of a part; false at its end. */
static bool next_row(struct span *rest, struct span *id, struct span *json)
{
    if (!rest->len)
        return false;
    *id = span_of(rest->data + 1, rest->data[0]);
    *rest = span_skip(*rest, 1 + id->len);
    *json = span_of(rest->data + 4, load_u32le(rest->data));
    *rest = span_skip(*rest, 4 + json->len);
    return true;
}

static void answer_list(struct shard *s, struct gather *g)
{
    struct {
        struct span rest, id, json;
        bool has;
    } *part = calloc(g->count, sizeof(*part));
    if (!part)
        check_no_memory();
    for (unsigned i = 0; i < g->count; i++) {
        part[i].rest = buf_span(&g->parts[i]->body);
        part[i].has = next_row(&part[i].rest, &part[i].id, &part[i].json);
    }
    struct buf body = {0};
    buf_byte(&body, '[');
    for (uint32_t n = 0; n < g->top; n++) {
        unsigned least = g->count;
        for (unsigned i = 0; i < g->count; i++)
            if (part[i].has && (least == g->count || span_compare(part[i].id, part[least].id) < 0))
                least = i;
        if (least == g->count)
            break;
        if (n)
            buf_byte(&body, ',');
        buf_put(&body, part[least].json);
        part[least].has = next_row(&part[least].rest, &part[least].id, &part[least].json);
    }
    free(part);
    buf_byte(&body, ']');
    answer(s, g, ROUTE_DEVICE_LIST, &body, false);
}

void gather_list(struct conn *c)
{
    struct shard *s = c->shard;
    struct span path, query, value;
    uint64_t top = 1000;
    uri_split(http_target(&c->http), &path, &query);
    if (uri_query_get(query, SPAN("top"), &s->arena, &value) != OK || !text_u64(value, &top) ||
        top < 1 || top > 1000)
        top = 1000;
    c->calling = true;
    s->calls_out++;
    struct gather *g = gather_create(c, s->cluster->count);
    g->is_list = true;
    g->top = (uint32_t)top;
    for (unsigned i = 0; i < g->count; i++) {
        struct call *part = call_create();
        part->route = ROUTE_DEVICE_LIST;
        part->top = g->top;
        send_part(s, g, part, i, i);
    }
}

void gather_answer(struct shard *s, struct call *call)
{
    struct gather *g = call->gather;
    if (--g->left)
        return;
    if (g->is_list)
        answer_list(s, g);
    else
        answer_bulk(s, g);
}

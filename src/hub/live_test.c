#include "base/test.h"

#include "hub/registry_fixture.h"

static struct fixture f;

static int set_up(void **state)
{
    (void)state;
    fixture_init(&f, 3);
    f.hub.config.recent_max = 2;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    fixture_fini(&f);
    return 0;
}

static struct live *admit(const char *device, const char *module, struct record *record)
{
    struct live *l = NULL;
    EXPECT_EQ(hub_admit(&f.hub, span_text(device), span_text(module), record, &l), OK);
    return l;
}

/* The record a put made, and the entry gone from memory as after a restart. */
static struct record *record_of(const char *device, const char *module)
{
    struct live *l = fixture_find(&f, device, module);
    EXPECT(l && l->record);
    return record_ref(l->record);
}

static void forget_all(void)
{
    size_t recent_max = f.hub.config.recent_max;
    hub_durable(&f.hub, f.hub.batch++);
    f.hub.config.recent_max = 0;
    hub_trim(&f.hub);
    f.hub.config.recent_max = recent_max;
    EXPECT_EQ(f.hub.live.count, 0);
    EXPECT_EQ(f.hub.recent_count, 0);
}

static bool is_there(const char *device, const char *module)
{
    return fixture_find(&f, device, module) != NULL;
}

/* ---- admission ---- */

TEST(an_entry_is_what_was_loaded_and_stays_as_it_is)
{
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct record *r = record_of("d", NULL);
    forget_all();
    struct live *l = admit("d", NULL, r);
    EXPECT_SPAN(live_device(l), SPAN("d"));
    EXPECT_EQ(live_module(l).len, 0);
    EXPECT(l->record == r);
    EXPECT_EQ(l->partition, hash_partition(SPAN("d"), FIXTURE_PARTITIONS));
    EXPECT_EQ(l->last_activity_ms, TIME_NEVER);
    EXPECT_EQ(l->connection_updated_ms, TIME_NEVER);
    EXPECT(admit("d", NULL, NULL) == l); /* what came later knows less */
    EXPECT(l->record == r);
    EXPECT_EQ(hub_admit(&f.hub, SPAN("d"), (struct span){0}, NULL, NULL), OK);
    struct live *absent = admit("nobody", NULL, NULL);
    EXPECT(!absent->record);
    EXPECT_EQ(f.hub.live.count, 2);
    record_unref(r);
}

TEST(a_device_and_its_modules_are_told_apart)
{
    struct live *d = admit("d", NULL, NULL), *dm = admit("d", "m", NULL);
    struct live *m = admit("dm", NULL, NULL), *longest = NULL;
    char id[STORE_ID_MAX];
    memset(id, 'x', sizeof(id));
    EXPECT(d != dm && dm != m);
    EXPECT(fixture_find(&f, "d", "m") == dm);
    EXPECT(fixture_find(&f, "dm", NULL) == m);
    EXPECT(!is_there("d", "n"));
    struct span most = span_of(id, sizeof(id));
    EXPECT_EQ(hub_admit(&f.hub, most, most, NULL, &longest), OK);
    EXPECT_SPAN(live_device(longest), most);
    EXPECT_SPAN(live_module(longest), most);
}

TEST(a_record_that_is_damaged_is_not_admitted)
{
    static const struct {
        const char *name, *device, *module;
        size_t cut, flip; /* bytes less; a byte from the end of the body that changes */
    } rows[] = {
        {"another device's", "e", NULL, 0,        0},
        {"a module's",       "d", "m",  0,        0},
        {"shortened",        "d", NULL, 1,        0},
        {"empty",            "d", NULL, SIZE_MAX, 0},
        {"no document",      "d", NULL, 0,        1},
    };
    fixture_put(&f, "d", NULL, NULL, "{}");
    struct record *r = record_of("d", NULL);
    forget_all();
    for (size_t i = 0; i < COUNT(rows); i++) {
        size_t len = rows[i].cut == SIZE_MAX ? 0 : r->body_len - rows[i].cut;
        struct record *damaged = record_create(len, r->secret_len);
        memcpy(damaged->bytes, r->bytes, len);
        memcpy(damaged->bytes + len, r->bytes + r->body_len, r->secret_len);
        if (rows[i].flip)
            memset(damaged->bytes + len / 2, 0xff, len / 2);
        struct live *l = NULL;
        EXPECT_EQ_IN(
            rows[i].name,
            hub_admit(&f.hub, span_text(rows[i].device), span_text(rows[i].module), damaged, &l),
            DAMAGED);
        EXPECT(!l);
        EXPECT_EQ_IN(rows[i].name, f.hub.live.count, 0);
        EXPECT_EQ_IN(rows[i].name, atomic_load(&damaged->refs), 1);
        record_unref(damaged);
    }
    EXPECT_EQ(atomic_load(&r->refs), 1); /* nobody kept it */
    record_unref(r);
}

/* ---- what stays and what goes ---- */

TEST(the_oldest_that_nobody_needs_goes_first)
{
    admit("a", NULL, NULL), admit("b", NULL, NULL), admit("c", NULL, NULL);
    struct live *b = fixture_find(&f, "b", NULL);
    EXPECT_EQ(f.hub.recent_count, 3);
    hub_pin(&f.hub, b);
    EXPECT_EQ(f.hub.recent_count, 2);
    hub_trim(&f.hub);
    EXPECT(is_there("a", NULL) && is_there("b", NULL) && is_there("c", NULL));
    admit("d", NULL, NULL);
    hub_trim(&f.hub);
    EXPECT(!is_there("a", NULL)); /* the oldest of a, c and d */
    EXPECT(is_there("b", NULL) && is_there("c", NULL) && is_there("d", NULL));
    hub_unpin(&f.hub, b); /* b is now the youngest */
    hub_trim(&f.hub);
    EXPECT(is_there("b", NULL) && !is_there("c", NULL) && is_there("d", NULL));
}

TEST(pins_and_a_connection_each_keep_an_entry)
{
    struct live *a = admit("a", NULL, NULL);
    f.hub.config.recent_max = 0;
    hub_pin(&f.hub, a);
    hub_pin(&f.hub, a);
    hub_connected(&f.hub, a, 77);
    hub_unpin(&f.hub, a);
    hub_unpin(&f.hub, a);
    hub_trim(&f.hub);
    EXPECT(is_there("a", NULL));
    EXPECT_EQ(a->conn, 77);
    hub_pin(&f.hub, a);
    hub_connected(&f.hub, a, 0);
    hub_trim(&f.hub);
    EXPECT(is_there("a", NULL));
    hub_unpin(&f.hub, a);
    EXPECT_EQ(f.hub.recent_count, 1);
    hub_trim(&f.hub);
    EXPECT(!is_there("a", NULL));
}

TEST(what_is_not_durable_stays_and_goes_in_the_order_of_batches)
{
    f.hub.config.recent_max = 0;
    fixture_put(&f, "a", NULL, NULL, "{}"); /* batch 1 */
    f.hub.batch = 2;
    fixture_put(&f, "b", NULL, NULL, "{}");
    f.hub.batch = 3;
    fixture_put(&f, "c", NULL, NULL, "{}");
    /* Somebody comes and goes: a does not move behind c for that. */
    hub_pin(&f.hub, fixture_find(&f, "a", NULL));
    hub_connected(&f.hub, fixture_find(&f, "a", NULL), 5);
    hub_connected(&f.hub, fixture_find(&f, "a", NULL), 0);
    hub_unpin(&f.hub, fixture_find(&f, "a", NULL));
    hub_trim(&f.hub);
    EXPECT_EQ(f.hub.live.count, 3);
    EXPECT_EQ(hub_depends(&f.hub, fixture_find(&f, "a", NULL)), 1);
    hub_durable(&f.hub, 1);
    EXPECT_EQ(hub_depends(&f.hub, fixture_find(&f, "a", NULL)), 0);
    hub_trim(&f.hub);
    EXPECT(!is_there("a", NULL) && is_there("b", NULL) && is_there("c", NULL));
    hub_durable(&f.hub, 3);
    hub_trim(&f.hub);
    EXPECT_EQ(f.hub.live.count, 0);
}

TEST(what_was_written_and_is_pinned_when_durable_stays_until_unpinned)
{
    f.hub.config.recent_max = 0;
    fixture_put(&f, "a", NULL, NULL, "{}");
    struct live *a = fixture_find(&f, "a", NULL);
    hub_pin(&f.hub, a);
    hub_durable(&f.hub, 1);
    hub_trim(&f.hub);
    EXPECT(is_there("a", NULL));
    EXPECT_EQ(f.hub.recent_count, 0);
    hub_unpin(&f.hub, a);
    hub_trim(&f.hub);
    EXPECT(!is_there("a", NULL));
}

/* ---- devices and their modules ---- */

static size_t child_count(const struct live *device)
{
    size_t n = 0;
    LIST_EACH(at, &device->children)
    {
        n++;
    }
    return n;
}

TEST(the_modules_of_a_device_are_known_until_one_is_dropped)
{
    fixture_put(&f, "d", NULL, NULL, "{}");
    fixture_put(&f, "d", "m", NULL, "{}");
    fixture_put(&f, "d", "n", NULL, "{}");
    struct live *d = fixture_find(&f, "d", NULL);
    EXPECT(d->children_known); /* it was made here, so it had none before */
    EXPECT_EQ(child_count(d), 2);
    hub_durable(&f.hub, 1);
    hub_pin(&f.hub, d);
    hub_trim(&f.hub); /* two may stay */
    EXPECT(d->children_known);
    f.hub.config.recent_max = 1;
    hub_trim(&f.hub);
    EXPECT(!is_there("d", "m"));
    EXPECT(!d->children_known);
    EXPECT_EQ(child_count(d), 1);
    struct op list = {.kind = OP_MODULE_LIST, .device = SPAN("d")};
    struct span device, module;
    bool children;
    EXPECT(hub_missing(&f.hub, &list, &device, &module, &children));
    EXPECT(children);
    EXPECT_SPAN(device, SPAN("d"));
}

TEST(only_a_device_that_is_made_has_modules_known_from_the_start)
{
    static const struct step patch = {"patch", OP_TWIN_PATCH, "d", .body = "{\"tags\":{\"a\":1}}"};
    fixture_put(&f, "d", NULL, NULL, "{}");
    EXPECT(fixture_find(&f, "d", NULL)->children_known);
    struct record *r = record_of("d", NULL);
    forget_all();
    struct live *d = admit("d", NULL, r);
    fixture_step(&f, &patch);
    EXPECT(!d->children_known);
    fixture_put(&f, "e", NULL, NULL, "{}");
    fixture_put(&f, "e", "m", NULL, "{}");
    EXPECT(!fixture_find(&f, "e", "m")->children_known); /* a module has none */
    record_unref(r);
}

TEST(modules_outlive_their_device_in_memory_and_find_it_again)
{
    fixture_put(&f, "d", NULL, NULL, "{}");
    fixture_put(&f, "d", "m", NULL, "{}");
    struct record *device = record_of("d", NULL), *module = record_of("d", "m");
    struct live *m = fixture_find(&f, "d", "m");
    hub_durable(&f.hub, 1);
    hub_pin(&f.hub, m);
    f.hub.config.recent_max = 0;
    hub_trim(&f.hub);
    EXPECT(!is_there("d", NULL));
    EXPECT(!m->parent);
    struct live *d = admit("d", NULL, device);
    EXPECT_EQ(child_count(d), 0);
    EXPECT(!d->children_known);
    EXPECT(admit("d", "m", module) == m); /* the scan of its modules meets it */
    hub_children_known(&f.hub, d);
    EXPECT(m->parent == d);
    EXPECT_EQ(child_count(d), 1);
    EXPECT(!admit("d", "none", NULL)->parent); /* one that does not exist is no child */
    EXPECT_EQ(child_count(d), 1);
    hub_unpin(&f.hub, m);
    record_unref(device);
    record_unref(module);
}

TEST(a_module_that_is_deleted_is_a_child_no_more)
{
    static const struct step delete = {"delete", OP_MODULE_DELETE, "d", "m", "*", .want = OK};
    fixture_put(&f, "d", NULL, NULL, "{}");
    fixture_put(&f, "d", "m", NULL, "{}");
    struct live *d = fixture_find(&f, "d", NULL);
    hub_durable(&f.hub, 1);
    f.hub.batch = 2;
    EXPECT_EQ(hub_depends(&f.hub, d), 0);
    fixture_step(&f, &delete);
    EXPECT_EQ(child_count(d), 0);
    EXPECT(d->children_known);
    /* A list that no longer shows it waits for its end, and so the device stays. */
    static const struct step list = {"list", OP_MODULE_LIST, "d", .want = OK};
    fixture_step(&f, &list);
    EXPECT_EQ(f.out.depends, 2);
    static const struct step get = {"get", OP_DEVICE_GET, "d", .want = OK};
    fixture_step(&f, &get);
    EXPECT_EQ(f.out.depends, 0);
    f.hub.config.recent_max = 0;
    hub_trim(&f.hub);
    EXPECT(is_there("d", NULL));
    hub_durable(&f.hub, 2);
    fixture_step(&f, &list);
    EXPECT_EQ(f.out.depends, 0);
    hub_trim(&f.hub);
    EXPECT_EQ(f.hub.live.count, 0);
}

/* ---- counts ---- */

TEST(partitions_count_what_exists)
{
    uint32_t p = hash_partition(SPAN("d"), FIXTURE_PARTITIONS);
    static const struct {
        struct step step;
        uint64_t devices, disabled, modules;
    } rows[] = {
        {{"create", OP_DEVICE_PUT, "d", .body = "{}"},                               1, 0, 0},
        {{"a module", OP_MODULE_PUT, "d", "m", .body = "{}"},                        1, 0, 1},
        {{"disable", OP_DEVICE_PUT, "d", .if_match = "*", .body = "{" DISABLED "}"}, 1, 1, 1},
        {{"a twin", OP_TWIN_PATCH, "d", .body = "{\"tags\":{\"a\":1}}"},             1, 1, 1},
        {{"enable", OP_DEVICE_PUT, "d", .if_match = "*", .body = "{}"},              1, 0, 1},
        {{"delete both", OP_DEVICE_DELETE, "d", .if_match = "*"},                    0, 0, 0},
    };
    for (size_t i = 0; i < COUNT(rows); i++) {
        fixture_step(&f, &rows[i].step);
        EXPECT_EQ_IN(rows[i].step.name, f.parts[p].devices, rows[i].devices);
        EXPECT_EQ_IN(rows[i].step.name, f.parts[p].disabled, rows[i].disabled);
        EXPECT_EQ_IN(rows[i].step.name, f.parts[p].modules, rows[i].modules);
    }
    EXPECT_EQ(f.parts[p].seq, 7);
}

/* ---- numbers that never repeat ---- */

TEST(generations_rise_whatever_the_clock_does)
{
    struct turn turn = {f.now, &f.arena};
    uint64_t last = 0;
    for (int i = 0; i < 1000; i++) {
        turn.now.wall_ms = f.now.wall_ms - i; /* backwards */
        uint64_t g = hub_generation(&f.hub, &turn);
        EXPECT(g > last);
        last = g;
    }
    turn.now.wall_ms = f.now.wall_ms + 1000000;
    EXPECT(hub_generation(&f.hub, &turn) >= (uint64_t)(turn.now.wall_ms - TIME_NEVER) * 10000);
}

static void nine_digits(void *ctx, void *out, size_t len)
{
    uint64_t *calls = ctx, value = (*calls)++ / 2; /* every number twice */
    memcpy(out, &value, len);
}

TEST(an_identity_etag_has_nine_digits_and_is_never_the_old_one)
{
    uint64_t calls = 0;
    f.hub.random = (struct random){nine_digits, &calls};
    EXPECT_EQ(hub_identity_etag(&f.hub, 0), 100000000);
    EXPECT_EQ(hub_identity_etag(&f.hub, 100000000), 100000001);
    EXPECT_EQ(calls, 3);
}

TEST(a_stamp_is_never_below_the_newest)
{
    struct turn turn = {
        .now = {1000, 0}
    };
    struct entity e = {.stamp_ms = 900};
    EXPECT_EQ(hub_stamp(&e, &turn), 1000);
    e.stamp_ms = 1100;
    EXPECT_EQ(hub_stamp(&e, &turn), 1100);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
TEST_MAIN(CASE(an_entry_is_what_was_loaded_and_stays_as_it_is),
          CASE(a_device_and_its_modules_are_told_apart),
          CASE(a_record_that_is_damaged_is_not_admitted),
          CASE(the_oldest_that_nobody_needs_goes_first),
          CASE(pins_and_a_connection_each_keep_an_entry),
          CASE(what_is_not_durable_stays_and_goes_in_the_order_of_batches),
          CASE(what_was_written_and_is_pinned_when_durable_stays_until_unpinned),
          CASE(the_modules_of_a_device_are_known_until_one_is_dropped),
          CASE(only_a_device_that_is_made_has_modules_known_from_the_start),
          CASE(modules_outlive_their_device_in_memory_and_find_it_again),
          CASE(a_module_that_is_deleted_is_a_child_no_more), CASE(partitions_count_what_exists),
          CASE(generations_rise_whatever_the_clock_does),
          CASE(an_identity_etag_has_nine_digits_and_is_never_the_old_one),
          CASE(a_stamp_is_never_below_the_newest))

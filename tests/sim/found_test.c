/* found_test.c — what the simulator has found, each in its shortest form. */
#include "auth/sas.h"
#include "base/test.h"
#include "wire/mqtt.h"
#include "world.h"

#include <stdio.h>

static struct world w;

#define KEY "a2V5IG9mIG9uZSBkZXZpY2Ugb25seSwgMzIgYnl0ZXM="

static void start(const struct world_options *options)
{
    struct world_options o = *options;
    o.shards = 2;
    o.wall_ms = 1772619630500;
    world_start(&w, &o);
}

static int call(const char *method, const char *path, const char *body, struct buf *answer)
{
    bool update = strcmp(method, "DELETE") == 0;
    return world_rest(&w, method, path, update ? "If-Match: *\r\n" : NULL, span_text(body), answer);
}

static void create(const char *id)
{
    char path[32], body[256];
    snprintf(path, sizeof(path), "/devices/%s", id);
    snprintf(body, sizeof(body),
             "{\"deviceId\":\"%s\",\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" KEY
             "\",\"secondaryKey\":\"" KEY "\"}}}",
             id);
    EXPECT_EQ(call("PUT", path, body, NULL), 200);
}

static void say(struct wire *wire, struct buf *packet)
{
    wire_send(wire, buf_span(packet));
    buf_fini(packet);
    world_settle(&w);
}

static void put_connect(struct buf *out, const char *id, bool clean)
{
    struct buf token = {0};
    struct key key;
    char user[64];
    snprintf(user, sizeof(user), WORLD_HOST "/%s/?api-version=2021-04-12", id);
    EXPECT(key_parse(SPAN(KEY), &key));
    bool module = strchr(id, '/');
    sas_make(&token,
             module ? SPAN(WORLD_HOST "/devices/d1/modules/m1") : SPAN(WORLD_HOST "/devices/d1"),
             key_span(&key), w.now.wall_ms / 1000 + 3600, (struct span){0});
    struct mqtt_connect connect = {.version = MQTT_VERSION_3_1_1,
                                   .has_username = true,
                                   .has_password = true,
                                   .keep_alive_s = 60,
                                   .client_id = span_text(id),
                                   .username = span_text(user),
                                   .clean_session = clean,
                                   .password = buf_span(&token)};
    mqtt_connect_encode(out, &connect);
    buf_fini(&token);
}

static struct wire *connect_as(const char *id, bool clean)
{
    struct buf b = {0};
    put_connect(&b, id, clean);
    struct wire *wire = wire_open(&w, LINK_MQTT, 0);
    say(wire, &b);
    return wire;
}

static void subscribe(struct wire *wire)
{
    struct buf b = {0};
    struct mqtt_filter filter = {SPAN("$iothub/twin/PATCH/properties/desired/#"), 0};
    mqtt_subscribe_encode(&b, 1, &filter, 1);
    say(wire, &b);
}

TEST(a_hub_that_is_only_read_does_not_grow)
{
    start(&(struct world_options){.seed = 1});
    char path[32];
    for (int i = 0; i < 100; i++) {
        snprintf(path, sizeof(path), "/twins/nobody%d", i);
        EXPECT_EQ(call("GET", path, "", NULL), 404);
    }
    for (unsigned i = 0; i < w.cluster.count; i++)
        EXPECT(w.shards[i]->hub.recent_count <= w.cluster.hub.recent_max);
    world_end(&w);
}

TEST(a_replacement_that_leaves_desired_empty_is_pushed)
{
    start(&(struct world_options){.seed = 1});
    create("d1");
    struct wire *d = connect_as("d1", false);
    subscribe(d);
    buf_clear(&d->to_peer);
    EXPECT_EQ(call("PUT", "/twins/d1", "{\"tags\":{\"a\":1}}", NULL), 200);
    EXPECT(memmem(d->to_peer.data, d->to_peer.len, "{\"$version\":2}", 14));
    wire_drop(d);
    world_end(&w);
}

TEST(a_session_that_an_older_connection_just_made_is_shown_when_it_is_durable)
{
    start(&(struct world_options){.seed = 1, .manual_sync = true});
    create("d1");
    struct wire *old = connect_as("d1", false);
    world_sync(&w);
    world_settle(&w);
    EXPECT_SPAN(buf_span(&old->to_peer), SPAN("\x20\x02\x00\x00"));
    buf_clear(&old->to_peer);
    subscribe(old);
    EXPECT_EQ(old->to_peer.len, 0);
    struct wire *d = connect_as("d1", false); /* takes over */
    subscribe(d);                             /* changes nothing */
    EXPECT(old->closed);
    EXPECT_EQ(d->to_peer.len, 0);
    world_sync(&w);
    world_settle(&w);
    EXPECT_SPAN(buf_span(&d->to_peer), SPAN("\x20\x02\x01\x00\x90\x03\x00\x01\x00"));
    wire_drop(old);
    wire_drop(d);
    world_end(&w);
}

TEST(entries_of_a_bulk_call_keep_their_order_while_records_are_loaded)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        start(&(struct world_options){.seed = seed, .async_loads = true});
        create("d1");
        world_stop(&w); /* so that it has to be loaded */
        world_restart(&w);
        struct buf answer = {0};
        EXPECT_EQ(call("POST", "/devices",
                       "[{\"id\":\"d1\",\"moduleId\":\"m1\",\"importMode\":\"create\"},"
                       "{\"id\":\"d1\",\"importMode\":\"delete\"}]",
                       &answer),
                  200);
        buf_fini(&answer);
        world_end(&w);
    }
}

TEST(a_connection_is_not_as_old_as_the_shard)
{
    start(&(struct world_options){.seed = 1});
    w.now.mono_ms += 200000; /* before the first turn */
    struct wire *wire = wire_open(&w, LINK_HTTP, 0);
    world_settle(&w);
    world_pass(&w, 1000);
    EXPECT(!wire->closed);
    wire_drop(wire);
    world_end(&w);
}

TEST(a_CONNECT_whose_record_is_loaded_slowly_is_not_late)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        start(&(struct world_options){.seed = seed, .async_loads = true});
        create("d1");
        world_stop(&w); /* so that it has to be loaded */
        world_restart(&w);
        struct wire *d = wire_open(&w, LINK_MQTT, 0);
        struct buf b = {0};
        put_connect(&b, "d1", true);
        wire_send(d, buf_span(&b));
        buf_fini(&b);
        while (d->to_hub.len)
            world_step(&w);
        w.now.mono_ms += 31000; /* before a turn */
        world_settle(&w);
        EXPECT(!d->closed);
        EXPECT_SPAN(buf_span(&d->to_peer), SPAN("\x20\x02\x00\x00"));
        wire_drop(d);
        world_end(&w);
    }
}

/* Ask, and let nothing become durable. */
static struct wire *ask(const char *method, const char *path, const char *body)
{
    struct wire *wire = wire_open(&w, LINK_HTTP, 0);
    struct buf b = {0};
    buf_printf(&b, "%s %s?api-version=2021-04-12 HTTP/1.1\r\nHost: " WORLD_HOST "\r\n", method,
               path);
    buf_text(&b, "If-Match: *\r\nAuthorization: ");
    world_token(&w, "iothubowner", &b);
    buf_printf(&b, "\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    say(wire, &b);
    return wire;
}

TEST(a_module_hears_CONNACK_when_it_is_durable_that_its_device_is_enabled)
{
    start(&(struct world_options){.seed = 1, .manual_sync = true});
    create("d1");
    EXPECT_EQ(call("PUT", "/devices/d1/modules/m1",
                   "{\"authentication\":{\"symmetricKey\":{\"primaryKey\":\"" KEY
                   "\",\"secondaryKey\":\"" KEY "\"}}}",
                   NULL),
              200);
    wire_drop(ask("PUT", "/devices/d1", "{\"status\":\"disabled\"}"));
    world_sync(&w);
    world_settle(&w);
    struct wire *back_end = ask("PUT", "/devices/d1", "{\"status\":\"enabled\"}");
    struct wire *m = connect_as("d1/m1", true);
    EXPECT_EQ(back_end->to_peer.len, 0);
    EXPECT_EQ(m->to_peer.len, 0);
    world_sync(&w);
    world_settle(&w);
    EXPECT(back_end->to_peer.len > 0);
    EXPECT_SPAN(buf_span(&m->to_peer), SPAN("\x20\x02\x00\x00"));
    wire_drop(back_end);
    wire_drop(m);
    world_end(&w);
}

TEST(who_waits_for_the_store_to_subscribe_is_not_pushed_to)
{
    start(&(struct world_options){.seed = 1});
    create("d1");
    struct wire *d = connect_as("d1", false);
    buf_clear(&d->to_peer);
    for (unsigned i = 0; i < w.cluster.count; i++)
        memory_store_room(w.stores[i], STORE_BUSY);
    subscribe(d);
    struct wire *rest = ask("PATCH", "/twins/d1", "{\"properties\":{\"desired\":{\"a\":1}}}");
    for (unsigned i = 0; i < w.cluster.count; i++)
        memory_store_room(w.stores[i], STORE_OPEN);
    world_settle(&w);
    EXPECT_EQ(d->to_peer.data[0], 0x90); /* SUBACK first, whatever comes after it */
    EXPECT(rest->to_peer.len > 0);
    wire_drop(rest);
    wire_drop(d);
    world_end(&w);
}

/* ---- what a start finds in a cache ---- */

static void start_embedded(uint64_t seed)
{
    start(&(struct world_options){
        .seed = seed,
        .embedded = true,
        .machine = {.segment_min = 16384, .segment_max = 16384, .tail_max = 32768}
    });
    create("d1");
}

/* Shown before the power is cut, so there after it. */
static void expect_the_same_after_a_cut(void)
{
    struct buf before = {0}, after = {0};
    EXPECT_EQ(call("GET", "/twins/d1", "", &before), 200);
    world_crash(&w);
    EXPECT_EQ(call("GET", "/twins/d1", "", &after), 200);
    EXPECT_SPAN(buf_span(&after), buf_span(&before));
    buf_fini(&before);
    buf_fini(&after);
}

TEST(what_was_written_and_not_synced_before_a_kill_is_synced_before_it_is_shown)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        start_embedded(seed);
        w.machine.power.left = 2; /* the write is done, the sync is not */
        struct wire *wire = ask("PATCH", "/twins/d1", "{\"tags\":{\"a\":1}}");
        EXPECT(w.machine.power.dark);
        world_kill(&w);
        wire_drop(wire);
        expect_the_same_after_a_cut();
        world_end(&w);
    }
}

TEST(what_a_failed_sync_left_in_the_cache_is_written_again)
{
    for (uint64_t seed = 1; seed <= 30; seed++) {
        start_embedded(seed);
        machine_fail(&w.machine, false, 2);
        struct wire *wire = ask("PATCH", "/twins/d1", "{\"tags\":{\"a\":1}}");
        EXPECT(w.failed != OK);
        world_kill(&w);
        wire_drop(wire);
        expect_the_same_after_a_cut();
        world_end(&w);
    }
}

TEST(a_mark_that_is_only_in_a_cache_removes_no_segment)
{
    char body[4096];
    memset(body, 'x', sizeof(body));
    for (uint64_t seed = 1; seed <= 30; seed++) {
        start_embedded(seed);
        w.machine.power.left = 20 + 2 * seed;
        for (int i = 0; i < 60 && !w.machine.power.dark; i++) {
            int len = snprintf(body, 24, "{\"tags\":{\"a%d\":\"", i % 8);
            body[len] = 'x';
            memcpy(body + 2000, "\"}}", 4);
            wire_drop(ask("PATCH", "/twins/d1", body));
        }
        EXPECT(w.machine.power.dark);
        world_kill(&w);
        world_settle(&w);
        expect_the_same_after_a_cut();
        world_end(&w);
    }
}

TEST_MAIN(RUN(who_waits_for_the_store_to_subscribe_is_not_pushed_to),
          RUN(what_was_written_and_not_synced_before_a_kill_is_synced_before_it_is_shown),
          RUN(what_a_failed_sync_left_in_the_cache_is_written_again),
          RUN(a_mark_that_is_only_in_a_cache_removes_no_segment),
          RUN(a_hub_that_is_only_read_does_not_grow),
          RUN(a_replacement_that_leaves_desired_empty_is_pushed),
          RUN(a_session_that_an_older_connection_just_made_is_shown_when_it_is_durable),
          RUN(a_module_hears_CONNACK_when_it_is_durable_that_its_device_is_enabled),
          RUN(a_connection_is_not_as_old_as_the_shard),
          RUN(a_CONNECT_whose_record_is_loaded_slowly_is_not_late),
          RUN(entries_of_a_bulk_call_keep_their_order_while_records_are_loaded))

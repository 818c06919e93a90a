#include "shard/shard_fixture.h"

static struct bench b;

#define UPGRADE                                                                            \
    "GET /$iothub/websocket HTTP/1.1\r\nHost: " HOST "\r\nUpgrade: websocket\r\n"          \
    "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n" \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"

static struct shard *owner_of(const char *device)
{
    return b.shards[shard_of(&b.cluster, span_text(device))];
}

static struct client *open_websocket(struct client *p, unsigned shard)
{
    client_open(&b, p, shard, LINK_HTTP);
    client_say(p, SPAN(UPGRADE));
    EXPECT(client_got(p, "HTTP/1.1 101 "));
    buf_clear(&p->got);
    return p;
}

static struct client *connect_device(struct client *p, const char *device, bool will)
{
    struct buf bytes = {0};
    client_open(&b, p, owner_of(device)->index, LINK_MQTT);
    put_connect(&b, &bytes, device, true, will);
    client_say(p, buf_span(&bytes));
    bench_settle(&b);
    EXPECT_SPAN(buf_span(&p->got), SPAN("\x20\x02\x00\x00"));
    buf_clear(&p->got);
    buf_fini(&bytes);
    return p;
}

/* ---- moves ---- */

TEST(a_websocket_that_breaks_where_it_would_move_ends_at_the_owner)
{
    bench_init(&b, 2);
    bench_create(&b, "d");
    struct client p;
    struct buf bytes = {0}, packet = {0};
    put_connect(&b, &packet, "d", true, false);
    put_frame(&bytes, 0x82, buf_span(&packet));
    put_frame(&bytes, 0x81, SPAN("text"));
    open_websocket(&p, !owner_of("d")->index);
    client_say(&p, buf_span(&bytes)); /* the fixture sees to it that a moved link is left alone */
    EXPECT(!p.closing);
    client_arrive(&b, &p);
    bench_settle(&b);
    EXPECT(p.closing);
    EXPECT_EQ(owner_of("d")->totals.connects, 1); /* what came before it broke counts */
    client_end(&p);
    buf_fini(&bytes);
    buf_fini(&packet);
    bench_fini(&b);
}

TEST(a_connection_moves_to_the_owner_with_what_it_said)
{
    bench_init(&b, 2);
    bench_create(&b, "d");
    struct client p;
    struct buf bytes = {0};
    put_connect(&b, &bytes, "d", true, false);
    buf_put(&bytes, SPAN("\xc0\x00"));
    client_open(&b, &p, !owner_of("d")->index, LINK_MQTT);
    client_say(&p, buf_span(&bytes));
    EXPECT_EQ(p.moved_to, owner_of("d")->index);
    client_arrive(&b, &p);
    bench_settle(&b);
    EXPECT_SPAN(buf_span(&p.got), SPAN("\x20\x02\x00\x00\xd0\x00"));
    EXPECT_EQ(b.shards[0]->conn_count + b.shards[1]->conn_count, 1);
    client_end(&p);
    buf_fini(&bytes);
    bench_fini(&b);
}

/* ---- a process that stood still ---- */

TEST(what_was_sent_while_the_process_stood_still_is_read_before_silence_is_judged)
{
    struct client speaks, is_silent;
    bench_init(&b, 1);
    bench_create(&b, "d");
    bench_create(&b, "e");
    connect_device(&speaks, "d", false);
    connect_device(&is_silent, "e", false);
    b.now.mono_ms += 100000; /* keep-alive 60 s */
    bench_turn(&b, 0);
    EXPECT(!speaks.closing);
    EXPECT(!is_silent.closing);
    client_say(&speaks, SPAN("\xc0\x00"));
    bench_turn(&b, 0);
    EXPECT(!speaks.closing);
    EXPECT(is_silent.closing);
    client_end(&speaks);
    client_end(&is_silent);
    bench_fini(&b);
}

/* ---- a store without room ---- */

enum { WAITING = 60, WAITING_PACKET = 200000 };

TEST(behind_writes_that_wait_little_of_each_is_read_once_it_is_much_of_all)
{
    static struct client all[WAITING];
    struct buf write = {0}, large = {0};
    char name[16];
    bench_init(&b, 1);
    struct mqtt_publish m = {.topic = SPAN("$iothub/twin/PATCH/properties/reported/"),
                             .payload = SPAN("{\"a\":1}")};
    mqtt_publish_encode(&write, &m);
    buf_byte(&large, 0x30); /* the head of a PUBLISH, and most of it */
    buf_put(&large, SPAN("\xa0\x9c\x0c"));
    buf_reserve(&large, WAITING_PACKET);
    memset(large.data + large.len, 'x', WAITING_PACKET - 4096);
    large.len += WAITING_PACKET - 4096;
    for (int i = 0; i < WAITING; i++) {
        snprintf(name, sizeof(name), "d%d", i);
        bench_create(&b, name);
        connect_device(&all[i], name, false);
    }
    memory_store_room(b.shards[0]->store, STORE_BUSY);
    size_t first_unread = WAITING;
    for (size_t i = 0; i < WAITING; i++) {
        client_say(&all[i], buf_span(&write));
        EXPECT(all[i].reading); /* it may still ping */
        client_say(&all[i], buf_span(&large));
        client_say(&all[i], SPAN("x"));
        if (!all[i].reading && first_unread == WAITING)
            first_unread = i;
    }
    EXPECT_EQ(first_unread, WAITING_INPUT_ALL / (WAITING_PACKET - 4096));
    EXPECT(!all[WAITING - 1].reading);
    memory_store_room(b.shards[0]->store, STORE_OPEN);
    bench_settle(&b);
    EXPECT_EQ(b.shards[0]->waiting_in, 0);
    EXPECT(all[WAITING - 1].reading);
    for (int i = 0; i < WAITING; i++)
        client_end(&all[i]);
    buf_fini(&write);
    buf_fini(&large);
    bench_fini(&b);
}

/* ---- WebSocket ---- */

TEST(frames_behind_an_upgrade_that_had_to_wait_are_frames)
{
    bench_init(&b, 1);
    bench_create(&b, "d");
    struct client p;
    struct buf bytes = {0}, packet = {0};
    put_request(&b, &bytes, "GET /twins/d" V, "");
    buf_text(&bytes, UPGRADE);
    put_connect(&b, &packet, "d", true, false);
    put_frame(&bytes, 0x82, buf_span(&packet));
    client_open(&b, &p, 0, LINK_HTTP);
    client_say(&p, buf_span(&bytes));
    bench_settle(&b);
    EXPECT(client_got(&p, "HTTP/1.1 200 OK"));
    EXPECT(client_got(&p, "HTTP/1.1 101 "));
    EXPECT_SPAN(span_skip(buf_span(&p.got), p.got.len - 6), SPAN("\x82\x04\x20\x02\x00\x00"));
    client_end(&p);
    buf_fini(&bytes);
    buf_fini(&packet);
    bench_fini(&b);
}

TEST(what_came_before_a_close_frame_counts)
{
    bench_init(&b, 1);
    bench_create(&b, "d");
    struct client p;
    struct buf bytes = {0}, packet = {0};
    put_connect(&b, &packet, "d", true, true);
    buf_put(&packet, SPAN("\xe0\x00"));
    put_frame(&bytes, 0x82, buf_span(&packet));
    put_frame(&bytes, 0x88, SPAN("\x03\xe8"));
    open_websocket(&p, 0);
    client_say(&p, buf_span(&bytes));
    EXPECT(p.closing);
    EXPECT_EQ(b.shards[0]->totals.connects, 1);
    EXPECT_EQ(b.shards[0]->totals.wills, 0); /* it said goodbye */
    client_end(&p);
    buf_fini(&bytes);
    buf_fini(&packet);
    bench_fini(&b);
}

/* More packets than a turn takes, and a piece of one that never comes whole. */
TEST(all_that_came_before_a_close_frame_counts)
{
    enum { MESSAGES = 3 * OPS_A_TURN };
    bench_init(&b, 1);
    bench_create(&b, "d");
    struct client p;
    struct buf bytes = {0}, packet = {0};
    struct mqtt_publish m = {.topic = SPAN("devices/d/messages/events/")};
    put_connect(&b, &packet, "d", true, false);
    for (int i = 0; i < MESSAGES; i++)
        mqtt_publish_encode(&packet, &m);
    buf_text(&packet, "\xc0");
    put_frame(&bytes, 0x82, buf_span(&packet));
    put_frame(&bytes, 0x88, SPAN("\x03\xe8"));
    open_websocket(&p, 0);
    client_say(&p, buf_span(&bytes));
    EXPECT(!p.closing);
    bench_settle(&b);
    EXPECT(p.closing);
    EXPECT_EQ(b.shards[0]->totals.messages, MESSAGES);
    client_end(&p);
    buf_fini(&bytes);
    buf_fini(&packet);
    bench_fini(&b);
}

TEST(pongs_that_nobody_reads_end_the_connection)
{
    bench_init(&b, 1);
    struct client p;
    struct buf ping = {0};
    put_frame(&ping, 0x89, SPAN("are you there"));
    open_websocket(&p, 0);
    p.unsent = UNREAD_OUTPUT_MAX;
    client_say(&p, buf_span(&ping));
    EXPECT(!p.closing);
    p.unsent++;
    client_say(&p, buf_span(&ping));
    EXPECT(p.closing);
    EXPECT_EQ(b.shards[0]->totals.closed[SLOW_READER], 1);
    client_end(&p);
    buf_fini(&ping);
    bench_fini(&b);
}

/* ---- what waits, and for what ---- */

TEST(an_http_peer_that_does_not_read_its_answers_waits)
{
    bench_init(&b, 1);
    struct client p;
    client_open(&b, &p, 0, LINK_HTTP);
    p.unsent = UNREAD_ANSWERS_MAX + 1;
    for (int i = 0; i < 3; i++)
        client_say(&p, SPAN("GET /healthz HTTP/1.1\r\nHost: " HOST "\r\n\r\n"));
    bench_settle(&b);
    EXPECT_EQ(p.got.len, 0);
    EXPECT(!p.reading);
    p.unsent = 0;
    shard_events.on_drained(&p.link);
    bench_settle(&b);
    EXPECT_EQ(b.shards[0]->totals.requests, 3);
    EXPECT(p.reading);
    client_end(&p);
    bench_fini(&b);
}

TEST(the_longest_packet_arrives_however_it_is_cut)
{
    for (size_t left = 1; left <= 8; left++) {
        bench_init(&b, 1);
        bench_create(&b, "d");
        struct client p;
        connect_device(&p, "d", false);
        struct buf bytes = {0};
        static const uint8_t zeros[MQTT_PACKET_MAX];
        buf_put(&bytes, SPAN("\x30\x8f\x80\x14")); /* MQTT_PACKET_MAX = 0x5000f */
        buf_put(&bytes, span_of(zeros, MQTT_PACKET_MAX));
        struct span all = buf_span(&bytes);
        client_say(&p, span_first(all, all.len - left));
        bench_settle(&b);
        EXPECT(p.reading); /* or the rest would never come, and no keep-alive run */
        client_say(&p, span_skip(all, all.len - left));
        bench_settle(&b);
        EXPECT(p.closing); /* its topic is empty */
        EXPECT_EQ(b.shards[0]->totals.closed[BAD_PACKET], 1);
        client_end(&p);
        buf_fini(&bytes);
        bench_fini(&b);
    }
}

TEST(each_request_has_time_of_its_own)
{
    bench_init(&b, 1);
    struct client p;
    client_open(&b, &p, 0, LINK_HTTP);
    client_say(&p, SPAN("GET /healthz HTTP/1.1\r\n"));
    for (int i = 0; i < 5; i++) { /* seen in the middle of a head each time */
        bench_pass(&b, REST_HEADERS_MS - 1000);
        EXPECT(!p.closing);
        client_say(&p, SPAN("Host: " HOST "\r\n\r\nGET /healthz HTTP/1.1\r\n"));
    }
    EXPECT_EQ(b.shards[0]->totals.requests, 5);
    bench_pass(&b, REST_HEADERS_MS - 1000);
    bench_pass(&b, 2000);
    EXPECT(p.closing);
    EXPECT_EQ(b.shards[0]->totals.closed[TIMED_OUT], 1);
    client_end(&p);
    bench_fini(&b);
}

TEST(a_full_arena_puts_off_what_is_new)
{
    bench_init(&b, 1);
    bench_create(&b, "d");
    struct shard *s = b.shards[0];
    struct client device, rest;
    struct buf bytes = {0}, request = {0};
    put_connect(&b, &bytes, "d", false, false);
    put_request(&b, &request, "GET /twins%2Fd" V, "");
    client_open(&b, &device, 0, LINK_MQTT);
    client_open(&b, &rest, 0, LINK_HTTP);
    EXPECT(arena_bytes(&s->arena, arena_left(&s->arena)));
    client_say(&device, buf_span(&bytes));
    client_say(&rest, buf_span(&request));
    EXPECT_EQ(device.got.len + rest.got.len, 0);
    bench_settle(&b);
    EXPECT_SPAN(buf_span(&device.got), SPAN("\x20\x02\x00\x00"));
    EXPECT(client_got(&rest, "HTTP/1.1 200 OK"));
    client_end(&device);
    client_end(&rest);
    buf_fini(&bytes);
    buf_fini(&request);
    bench_fini(&b);
}

TEST(reads_leave_no_more_in_memory_than_may_stay)
{
    bench_init(&b, 1);
    struct client p;
    client_open(&b, &p, 0, LINK_HTTP);
    for (int i = 0; i < 200; i++) {
        char line[64];
        struct buf request = {0};
        snprintf(line, sizeof(line), "GET /twins/nobody-%d" V, i);
        put_request(&b, &request, line, "");
        client_say(&p, buf_span(&request));
        bench_turn(&b, 0);
        buf_fini(&request);
    }
    EXPECT_EQ(b.shards[0]->totals.refused_requests, 200);
    EXPECT_EQ(b.shards[0]->hub.live.count, b.cluster.hub.recent_max);
    client_end(&p);
    bench_fini(&b);
}

/* A SUBSCRIBE to methods by a filter of `len` bytes, another one for each id. */
static void put_subscribe(struct buf *out, uint16_t id, size_t len)
{
    struct buf text = {0};
    buf_printf(&text, "$iothub/methods/POST/%d", id);
    while (text.len < len - 2)
        buf_byte(&text, 'a');
    buf_text(&text, "/#");
    struct mqtt_filter f = {buf_span(&text), 0};
    mqtt_subscribe_encode(out, id, &f, 1);
    buf_fini(&text);
}

/* hub_apply keeps room for records of 350 KiB; a larger one would stop the process. */
TEST(no_session_makes_a_record_too_large_to_delete)
{
    bench_init(&b, 1);
    bench_create(&b, "d");
    struct client p, rest;
    struct buf bytes = {0};
    client_open(&b, &p, 0, LINK_MQTT);
    put_connect(&b, &bytes, "d", false, false);
    client_say(&p, buf_span(&bytes));
    for (unsigned id = 1; id <= 2 * SUBSCRIPTIONS_MAX; id++) {
        buf_clear(&bytes);
        put_subscribe(&bytes, (uint16_t)id, id % 2 ? 60000 : MQTT_FILTER_MAX);
        client_say(&p, buf_span(&bytes));
        bench_settle(&b);
    }
    struct live *d = hub_live_find(&b.shards[0]->hub, SPAN("d"), (struct span){0});
    EXPECT(d && d->record);
    EXPECT(d->record->body_len > SUBSCRIPTIONS_MAX * MQTT_FILTER_MAX);
    EXPECT(d->record->body_len < 350 << 10);
    buf_clear(&bytes);
    put_request(&b, &bytes, "DELETE /devices/d" V, "");
    client_open(&b, &rest, 0, LINK_HTTP);
    client_say(&rest, buf_span(&bytes));
    bench_settle(&b);
    EXPECT(client_got(&rest, "HTTP/1.1 204 "));
    EXPECT(p.closing);
    client_end(&p);
    client_end(&rest);
    buf_fini(&bytes);
    bench_fini(&b);
}

/* ---- totals ---- */

#define TOTAL(name, want) EXPECT_EQ(atomic_load(&b.shards[0]->totals.name), want)

TEST(totals_count_what_happened)
{
    bench_init(&b, 1);
    bench_create(&b, "d");
    bench_create(&b, "e");
    struct client p, again, stranger, rest;
    struct buf bytes = {0};
    connect_device(&p, "d", true);
    TOTAL(connected_devices, 1);
    connect_device(&again, "d", false); /* takes over */
    EXPECT(p.closing);
    TOTAL(connected_devices, 1);
    TOTAL(connects, 2);
    TOTAL(wills, 1);
    TOTAL(closed[TAKEN_OVER], 1);
    client_end(&p);

    struct mqtt_publish event = {.topic = SPAN("devices/d/messages/events/a=b"),
                                 .payload = SPAN("xyz")};
    struct mqtt_publish read = {.topic = SPAN("$iothub/twin/GET/?$rid=1")};
    struct mqtt_publish report = {.topic = SPAN("$iothub/twin/PATCH/properties/reported/?$rid=1"),
                                  .payload = SPAN("{\"a\":1}")};
    mqtt_publish_encode(&bytes, &event);
    mqtt_publish_encode(&bytes, &read);
    mqtt_publish_encode(&bytes, &report);
    client_say(&again, buf_span(&bytes));
    bench_settle(&b);
    TOTAL(messages, 1);
    TOTAL(message_bytes, 5);
    TOTAL(twin_reads, 1);
    TOTAL(twin_reports, 1);

    buf_clear(&bytes);
    put_connect(&b, &bytes, "nobody", true, false);
    client_open(&b, &stranger, 0, LINK_MQTT);
    client_say(&stranger, buf_span(&bytes));
    EXPECT_SPAN(buf_span(&stranger.got), SPAN("\x20\x02\x00\x05"));
    TOTAL(refused_connects, 1);
    TOTAL(closed[UNAUTHORIZED], 1);
    client_end(&stranger);

    buf_clear(&bytes);
    put_request(&b, &bytes, "PUT /devices/e" V, "{\"status\":\"disabled\"}");
    put_request(&b, &bytes, "GET /twins/nobody" V, "");
    buf_text(&bytes, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    client_open(&b, &rest, 0, LINK_HTTP);
    client_say(&rest, buf_span(&bytes));
    bench_settle(&b);
    TOTAL(devices, 2);
    TOTAL(disabled, 1);
    TOTAL(requests, 5);
    TOTAL(refused_requests, 1);
    TOTAL(connections, 2);
    EXPECT(client_got(&rest, "\ntwinhub_devices{shard=\"0\"} 2\n"));
    EXPECT(client_got(&rest, "\ntwinhub_closed_total{why=\"TAKEN_OVER\"} 1\n"));
    EXPECT(client_got(&rest, "\ntwinhub_durability_sync 1\n"));
    client_end(&rest);
    client_end(&again);
    bench_turn(&b, 0);
    TOTAL(connected_devices, 0);
    TOTAL(connections, 0);
    buf_fini(&bytes);
    bench_fini(&b);
}

TEST_MAIN(RUN(what_was_sent_while_the_process_stood_still_is_read_before_silence_is_judged),
          RUN(behind_writes_that_wait_little_of_each_is_read_once_it_is_much_of_all),
          RUN(a_websocket_that_breaks_where_it_would_move_ends_at_the_owner),
          RUN(a_connection_moves_to_the_owner_with_what_it_said),
          RUN(frames_behind_an_upgrade_that_had_to_wait_are_frames),
          RUN(what_came_before_a_close_frame_counts),
          RUN(all_that_came_before_a_close_frame_counts),
          RUN(pongs_that_nobody_reads_end_the_connection),
          RUN(an_http_peer_that_does_not_read_its_answers_waits),
          RUN(the_longest_packet_arrives_however_it_is_cut), RUN(each_request_has_time_of_its_own),
          RUN(a_full_arena_puts_off_what_is_new), RUN(reads_leave_no_more_in_memory_than_may_stay),
          RUN(no_session_makes_a_record_too_large_to_delete), RUN(totals_count_what_happened))

#include "base/test.h"

#include "auth/sas.h"
#include "wire/mqtt.h"
#include "world.h"

#include <stdio.h>

static struct world w;

static void start(unsigned shards)
{
    struct world_options options = {.shards = shards, .seed = 7, .wall_ms = 1772619630500};
    world_start(&w, &options);
}

TEST(a_device_is_created_and_its_twin_read)
{
    start(2);
    struct buf body = {0};
    EXPECT_EQ(world_rest(&w, "PUT", "/devices/d1", NULL, SPAN("{\"deviceId\":\"d1\"}"), &body),
              200);
    buf_clear(&body);
    EXPECT_EQ(world_rest(&w, "GET", "/twins/d1", NULL, (struct span){0}, &body), 200);
    EXPECT(memmem(body.data, body.len, "\"deviceId\":\"d1\",\"etag\":\"AAAAAAAAAAE=\"", 36));
    buf_clear(&body);
    EXPECT_EQ(world_rest(&w, "GET", "/devices", NULL, (struct span){0}, &body), 200);
    EXPECT(memmem(body.data, body.len, "\"deviceId\":\"d1\"", 15));
    EXPECT_EQ(world_rest(&w, "DELETE", "/devices/d1", "If-Match: *\r\n", (struct span){0}, NULL),
              204);
    EXPECT_EQ(world_rest(&w, "GET", "/twins/d1", NULL, (struct span){0}, NULL), 404);
    buf_fini(&body);
    world_end(&w);
}

/* A device's key, as the registry shows it. */
static void device_token(const char *device, struct buf *out)
{
    char path[64];
    struct buf body = {0};
    snprintf(path, sizeof(path), "/devices/%s", device);
    EXPECT_EQ(world_rest(&w, "GET", path, NULL, (struct span){0}, &body), 200);
    const char *key = memmem(body.data, body.len, "\"primaryKey\":\"", 14);
    EXPECT(key);
    struct key bytes;
    EXPECT(key_parse(span_of(key + 14, 44), &bytes));
    snprintf(path, sizeof(path), WORLD_HOST "%%2Fdevices%%2F%s", device);
    sas_make(out, span_text(path), key_span(&bytes), w.now.wall_ms / 1000 + 3600, (struct span){0});
    buf_fini(&body);
}

static void say(struct wire *wire, struct buf *packet)
{
    wire_send(wire, buf_span(packet));
    buf_fini(packet);
    world_settle(&w);
}

static void publish(struct wire *wire, const char *topic, struct span payload)
{
    struct buf b = {0};
    struct mqtt_publish p = {.topic = span_text(topic), .payload = payload};
    mqtt_publish_encode(&b, &p);
    say(wire, &b);
}

/* The next packet the hub sent is a PUBLISH with this topic and payload. */
static void expect_publish(struct wire *wire, const char *topic, struct span payload)
{
    struct mqtt_packet packet;
    struct mqtt_publish p;
    size_t used;
    EXPECT_EQ(mqtt_decode(buf_span(&wire->to_peer), 1 << 20, &packet, &used), OK);
    EXPECT_EQ(packet.type, MQTT_PUBLISH);
    EXPECT_EQ(mqtt_publish_decode(&packet, &p), OK);
    EXPECT_SPAN(p.topic, span_text(topic));
    EXPECT_SPAN(p.payload, payload);
    buf_consume(&wire->to_peer, used);
}

static struct wire *connect_device(const char *device, unsigned shard)
{
    struct buf token = {0}, b = {0};
    char user[64];
    snprintf(user, sizeof(user), WORLD_HOST "/%s/?api-version=2021-04-12", device);
    device_token(device, &token);
    struct mqtt_connect connect = {.version = MQTT_VERSION_3_1_1,
                                   .has_username = true,
                                   .has_password = true,
                                   .keep_alive_s = 60,
                                   .client_id = span_text(device),
                                   .username = span_text(user),
                                   .password = buf_span(&token)};
    mqtt_connect_encode(&b, &connect);
    struct wire *wire = wire_open(&w, LINK_MQTT, shard);
    say(wire, &b);
    buf_fini(&token);
    return wire;
}

TEST(a_device_gets_its_twin_reports_and_hears_desired)
{
    start(2);
    EXPECT_EQ(world_rest(&w, "PUT", "/devices/d1", NULL, SPAN("{\"deviceId\":\"d1\"}"), NULL), 200);
    for (unsigned shard = 0; shard < 2; shard++) { /* one of them is not the owner: it moves */
        struct wire *d = connect_device("d1", shard);
        EXPECT_SPAN(buf_span(&d->to_peer),
                    shard ? SPAN("\x20\x02\x01\x00") : SPAN("\x20\x02\x00\x00"));
        EXPECT_EQ(d->shard, shard_of(&w.cluster, SPAN("d1")));
        buf_clear(&d->to_peer);
        struct buf b = {0};
        struct mqtt_filter filters[] = {
            {SPAN("$iothub/twin/res/#"),                      0},
            {SPAN("$iothub/twin/PATCH/properties/desired/#"), 0}
        };
        mqtt_subscribe_encode(&b, 1, filters, 2);
        say(d, &b);
        EXPECT_SPAN(buf_span(&d->to_peer), SPAN("\x90\x04\x00\x01\x00\x00"));
        buf_clear(&d->to_peer);
        wire_drop(d);
    }
    struct wire *d = connect_device("d1", 0); /* its stored subscriptions are in force */
    buf_clear(&d->to_peer);
    publish(d, "$iothub/twin/GET/?$rid=a", (struct span){0});
    expect_publish(d, "$iothub/twin/res/200/?$rid=a",
                   SPAN("{\"desired\":{\"$version\":1},\"reported\":{\"$version\":1}}"));
    EXPECT_EQ(world_rest(&w, "PATCH", "/twins/d1", NULL,
                         SPAN("{\"properties\":{\"desired\":{\"rate\":30}}}"), NULL),
              200);
    expect_publish(d, "$iothub/twin/PATCH/properties/desired/?$version=2",
                   SPAN("{\"rate\":30,\"$version\":2}"));
    publish(d, "$iothub/twin/PATCH/properties/reported/?$rid=b", SPAN("{\"rate\":30}"));
    expect_publish(d, "$iothub/twin/res/204/?$rid=b&$version=2", (struct span){0});
    EXPECT_EQ(d->to_peer.len, 0);
    world_pass(&w, 91000);
    world_settle(&w);
    EXPECT(d->closed); /* silent for more than one and a half keep-alives */
    wire_drop(d);
    world_end(&w);
}

TEST_MAIN(RUN(a_device_gets_its_twin_reports_and_hears_desired),
          RUN(a_device_is_created_and_its_twin_read))

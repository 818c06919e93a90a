/* A device's bytes against a hub (trials F21): whatever they are, they change nothing but what is
 * that device's, nobody else hears of them, and the hub goes on.
 *
 * The first byte of the input: bit 0, the device has logged in before; the others, into how long
 * pieces the rest is cut, 0: not at all. Each input has a hub of its own.
 */
#include "credentials.h"

#include "base/check.h"
#include "wire/mqtt.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct world w;
static bool watched; /* from here on, changes are the device's doing */
static unsigned of_device, of_others;

static void on_append(void *owner, struct record *old, const struct store_change *change)
{
    (void)owner;
    (void)old;
    bool ours = span_eq(change->key.device, SPAN("d1")) && change->key.module.len == 0;
    of_device += watched && ours;
    of_others += watched && !ours;
}

static void put_login(struct buf *out, const char *device)
{
    struct buf user = {0}, token = {0};
    buf_printf(&user, WORLD_HOST "/%s/?api-version=2021-04-12", device);
    token_put(&token, span_text(device), &w);
    mqtt_connect_encode(out, &(struct mqtt_connect){.version = MQTT_VERSION_3_1_1,
                                                    .has_username = true,
                                                    .has_password = true,
                                                    .keep_alive_s = 60,
                                                    .client_id = span_text(device),
                                                    .username = buf_span(&user),
                                                    .password = buf_span(&token)});
    buf_fini(&user);
    buf_fini(&token);
}

/* It hears all that one may hear. */
static struct wire *witness_login(void)
{
    static const struct mqtt_filter filters[] = {
        {SPAN_INIT("$iothub/twin/res/#"),                      0},
        {SPAN_INIT("$iothub/twin/PATCH/properties/desired/#"), 0},
        {SPAN_INIT("$iothub/methods/POST/#"),                  0},
        {SPAN_INIT("devices/witness/messages/devicebound/#"),  1},
    };
    struct wire *wire = wire_open(&w, LINK_MQTT, 0);
    struct buf out = {0};
    put_login(&out, "witness");
    mqtt_subscribe_encode(&out, 1, filters, COUNT(filters));
    wire_send(wire, buf_span(&out));
    world_settle(&w);
    CHECK(span_starts(buf_span(&wire->to_peer), SPAN("\x20\x02\x00\x00")));
    buf_clear(&wire->to_peer);
    buf_fini(&out);
    return wire;
}

static void get_twin(const char *path, struct buf *out)
{
    buf_clear(out);
    CHECK(world_rest(&w, "GET", path, NULL, (struct span){0}, out) == 200);
}

static void say(struct wire *wire, struct span bytes, size_t piece)
{
    for (; piece && bytes.len > piece; bytes = span_skip(bytes, piece)) {
        wire_send(wire, span_first(bytes, piece));
        world_step(&w);
    }
    if (bytes.len)
        wire_send(wire, bytes);
    world_settle(&w);
}

/* Was a login accepted since the log was cleared? Its answer may have been overtaken by an end. */
static bool was_logged_in(void)
{
    static const char line[] = "msg=\"connected\"";
    return w.log.len && memmem(w.log.data, w.log.len, line, strlen(line));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct world_options options = {
        .shards = 1, .seed = 21, .wall_ms = CREDENTIALS_START_MS, .on_append = on_append};
    struct buf login = {0}, before = {0}, after = {0};
    if (size == 0)
        return 0;
    of_device = of_others = 0;
    world_start(&w, &options);
    identity_put(&w, "d1");
    identity_put(&w, "witness");
    CHECK(world_rest(&w, "PUT", "/devices/d1/modules/m1", NULL, SPAN("{}"), NULL) == 200);
    struct wire *witness = witness_login();
    get_twin("/twins/witness", &before);

    w.log_kept = watched = true;
    struct wire *wire = wire_open(&w, LINK_MQTT, 0);
    if (data[0] & 1)
        put_login(&login, "d1");
    buf_put(&login, span_of(data + 1, size - 1));
    say(wire, buf_span(&login), data[0] >> 1);
    CHECK(of_others == 0);
    CHECK(of_device == 0 || was_logged_in());
    CHECK(witness->to_peer.len == 0 && !witness->closed);
    wire_drop(wire);
    CHECK(of_others == 0);
    watched = false;

    get_twin("/twins/witness", &after);
    CHECK(span_eq(buf_span(&before), buf_span(&after)));
    get_twin("/twins/d1", &after);
    wire_drop(witness);
    CHECK(w.failed == OK && list_empty(&w.wires));
    world_end(&w);
    buf_fini(&login);
    buf_fini(&before);
    buf_fini(&after);
    return 0;
}

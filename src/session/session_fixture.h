/* session_fixture.h — for tests: a hub with identities, its host names and policies, and packets to
 * and from one MQTT session.
 */
#ifndef SESSION_SESSION_FIXTURE_H
#define SESSION_SESSION_FIXTURE_H

#include "base/text.h"
#include "hub/registry_fixture.h"
#include "session/mqtt_session.h"
#include "wire/topic.h"

#define HOST "hub.example.test"

/* Random bytes are 00 01 02 …, so that ids can be written down. */
#define TRACKING "000102030405060708090a0b0c0d0e0f-G:0-TimeStamp:03/04/2026 10:20:30"
#define STAMP    "2026-03-04T10:20:30.1230000Z"

static inline void counting_random(void *ctx, void *out, size_t len)
{
    (void)ctx;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (uint8_t)i;
}

struct setting {
    struct fixture hub;
    struct policies policies;
    struct span hosts[3];
    struct credential_rules rules;
    struct random random; /* counting_random */
    struct arena arena;   /* of the sessions */
    uint8_t block[8192];
    struct buf out;
    struct mqtt_session mqtt;
    struct mqtt_context context;
    struct mqtt_action action;
};

/* Device d with keys A and B, its module m, and device other. */
static inline void setting_init(struct setting *t)
{
    memset(t, 0, sizeof(*t));
    fixture_init(&t->hub, 7);
    fixture_put(&t->hub, "d", NULL, NULL, "{" SAS(KEY_A, KEY_B) "}");
    fixture_put(&t->hub, "d", "m", NULL, "{" SAS(KEY_B, KEY_A) "}");
    fixture_put(&t->hub, "other", NULL, NULL, "{}");
    policy_defaults(&t->policies, t->hub.hub.random);
    t->hosts[0] = SPAN(HOST);
    t->hosts[1] = SPAN("localhost");
    t->hosts[2] = SPAN("::1");
    t->rules = (struct credential_rules){
        .hosts = t->hosts, .host_count = COUNT(t->hosts), .policies = &t->policies};
    t->random.fill = counting_random;
    arena_init(&t->arena, t->block, sizeof(t->block));
    mqtt_session_init(&t->mqtt);
    t->context = (struct mqtt_context){
        .rules = &t->rules, .now = t->hub.now, .arena = &t->arena, .random = t->random};
}

static inline void setting_fini(struct setting *t)
{
    mqtt_session_fini(&t->mqtt);
    buf_fini(&t->out);
    arena_fini(&t->arena);
    fixture_fini(&t->hub);
}

/* Begin anew as device d (module NULL) or its module, in this state. */
static inline void setting_session(struct setting *t, const char *module, enum mqtt_state state)
{
    mqtt_session_fini(&t->mqtt);
    mqtt_session_init(&t->mqtt);
    t->mqtt.state = state;
    t->context.who = state == M_OPEN ? fixture_find(&t->hub, "d", module) : NULL;
    buf_clear(&t->out);
}

/* All bytes of one packet (or several: then the last counts). The action's spans borrow from
 * `bytes`. */
static inline enum status setting_feed(struct setting *t, struct span bytes)
{
    enum status st = OK;
    while (st == OK && bytes.len) {
        struct mqtt_packet packet;
        size_t used;
        EXPECT_EQ(mqtt_decode(bytes, MQTT_PACKET_MAX, &packet, &used), OK);
        st = mqtt_session_packet(&t->mqtt, &packet, &t->context, &t->action, &t->out);
        bytes = span_skip(bytes, used);
    }
    return st;
}

static inline struct span setting_written(const struct setting *t)
{
    return buf_span(&t->out);
}

/* A token of d's or of a policy, good for an hour. `policy` may be NULL. */
static inline void put_token(const struct setting *t, struct buf *b, const char *resource,
                             const char *key, const char *policy)
{
    struct key k;
    const struct policy *p = policy ? policy_find(&t->policies, span_text(policy)) : NULL;
    if (p)
        k = p->keys[0];
    else
        EXPECT(key_parse(span_text(key), &k));
    sas_make(b, span_text(resource), key_span(&k), t->hub.now.wall_ms / 1000 + 3600,
             span_text(policy));
}

#endif

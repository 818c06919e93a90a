#include "base/test.h"

#include "auth/policy.h"

static void count_up(void *ctx, void *out, size_t len)
{
    uint8_t *next = ctx;
    for (size_t i = 0; i < len; i++)
        ((uint8_t *)out)[i] = (*next)++;
}

static struct policies defaults(void)
{
    uint8_t next = 0;
    struct policies list;
    policy_defaults(&list, (struct random){count_up, &next});
    return list;
}

static struct policy make(const char *name, unsigned rights)
{
    struct policy p = {.name_len = (uint8_t)strlen(name), .rights = (uint8_t)rights};
    memcpy(p.name, name, p.name_len);
    p.keys[0].len = p.keys[1].len = KEY_MIN;
    return p;
}

TEST(the_default_policies_have_the_rights_of_the_service)
{
    static const struct {
        const char *name;
        unsigned rights;
    } want[] = {
        {"iothubowner",       15},
        {"service",           4 },
        {"device",            8 },
        {"registryRead",      1 },
        {"registryReadWrite", 3 },
    };
    struct policies list = defaults();
    EXPECT_EQ(list.count, COUNT(want));
    for (size_t i = 0; i < COUNT(want); i++) {
        const struct policy *p = policy_find(&list, span_text(want[i].name));
        EXPECT(p);
        EXPECT_EQ_IN(want[i].name, p->rights, want[i].rights);
        for (size_t k = 0; k < 2; k++) {
            EXPECT_EQ(p->keys[k].len, 32);
            EXPECT_EQ(p->keys[k].bytes[0], (uint8_t)(64 * i + 32 * k)); /* no bytes used twice */
        }
    }
    EXPECT(!policy_find(&list, SPAN("Service")));
    EXPECT(!policy_find(&list, SPAN("")));
}

TEST(names_of_policies_are_1_to_64_of_their_set)
{
    EXPECT(policy_name_is_valid(SPAN("azAZ09-_@.")));
    EXPECT(!policy_name_is_valid(SPAN("")));
    for (int c = 0; c < 256; c++) {
        static const char set[] =
            "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_@.";
        uint8_t byte = (uint8_t)c;
        bool in_set = memchr(set, c, sizeof(set) - 1);
        EXPECT_EQ_IN("byte", policy_name_is_valid(span_of(&byte, 1)), in_set);
    }
    char name[POLICY_NAME_MAX + 1];
    memset(name, 'n', sizeof(name));
    EXPECT(policy_name_is_valid(span_of(name, POLICY_NAME_MAX)));
    EXPECT(!policy_name_is_valid(span_of(name, POLICY_NAME_MAX + 1)));
}

TEST(a_policy_is_added_replaced_and_removed)
{
    struct policies list = defaults();
    struct policy p = make("mine", RIGHT_DEVICE);
    EXPECT_EQ(policy_set(&list, &p), OK);
    EXPECT_EQ(list.count, 6);
    p.rights = RIGHT_SERVICE;
    EXPECT_EQ(policy_set(&list, &p), OK);
    EXPECT_EQ(list.count, 6);
    EXPECT_EQ(policy_find(&list, SPAN("mine"))->rights, RIGHT_SERVICE);
    EXPECT(policy_remove(&list, SPAN("device")));
    EXPECT(!policy_remove(&list, SPAN("device")));
    EXPECT_EQ(list.count, 5);
    EXPECT(!policy_find(&list, SPAN("device")));
    EXPECT(policy_find(&list, SPAN("registryRead")) && policy_find(&list, SPAN("mine")));
}

TEST(a_policy_that_breaks_a_rule_is_refused)
{
    struct policies list = {.count = 0};
    struct policy bad[8];
    for (size_t i = 0; i < COUNT(bad); i++)
        bad[i] = make("p", RIGHT_SERVICE);
    bad[0].name_len = 0;
    bad[1].name[0] = ' ';
    bad[2].rights = 0;
    bad[3].rights = 16;
    bad[4].rights = 2; /* write without read */
    bad[5].keys[0].len = KEY_MIN - 1;
    bad[6].keys[1].len = 0;
    bad[7].keys[1].len = KEY_MAX + 1;
    for (size_t i = 0; i < COUNT(bad); i++)
        EXPECT_EQ(policy_set(&list, &bad[i]), BAD_ARGUMENT);
    EXPECT_EQ(list.count, 0);
}

TEST(there_are_at_most_16_policies_and_10_for_services)
{
    struct policies list = {.count = 0};
    for (int i = 0; i < 16; i++) {
        char name[] = {(char)('a' + i), 0};
        struct policy p = make(name, i < 10 ? RIGHT_SERVICE : RIGHT_DEVICE);
        EXPECT_EQ(policy_set(&list, &p), OK);
    }
    struct policy p = make("q", RIGHT_DEVICE);
    EXPECT_EQ(policy_set(&list, &p), BAD_OPERATION);
    p = make("k", RIGHT_SERVICE);
    EXPECT_EQ(policy_set(&list, &p), BAD_OPERATION);
    p = make("a", RIGHT_SERVICE | RIGHT_DEVICE);
    EXPECT_EQ(policy_set(&list, &p), OK);
    EXPECT_EQ(list.count, 16);
}

static const struct {
    const char *text;
    int rights; /* -1: refused */
    const char *printed;
} texts[] = {
    {"RegistryRead",                                               1,  "RegistryRead"                 },
    {"RegistryWrite",                                              3,  "RegistryRead, RegistryWrite"  },
    {"registryreadwrite",                                          3,  "RegistryRead, RegistryWrite"  },
    {"DeviceConnect,ServiceConnect",                               12, "ServiceConnect, DeviceConnect"},
    {"  RegistryRead ,RegistryRead",                               1,  "RegistryRead"                 },
    {"RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect", 15,
     "RegistryRead, RegistryWrite, ServiceConnect, DeviceConnect"                                     },
    {"",                                                           -1, NULL                           },
    {" ",                                                          -1, NULL                           },
    {"RegistryRead,",                                              -1, NULL                           },
    {",RegistryRead",                                              -1, NULL                           },
    {"Registry Read",                                              -1, NULL                           },
    {"RegistryRead;ServiceConnect",                                -1, NULL                           },
    {"15",                                                         -1, NULL                           },
};

TEST(rights_are_read_and_printed_as_the_service_does)
{
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct buf b = {0};
        unsigned rights = 99;
        bool ok = rights_parse(test_at_edge(span_text(texts[i].text)), &rights);
        EXPECT_EQ_IN(texts[i].text, ok, texts[i].rights >= 0);
        EXPECT_EQ_IN(texts[i].text, rights, ok ? texts[i].rights : 99);
        if (ok) {
            rights_put(&b, rights);
            EXPECT_SPAN_IN(texts[i].text, buf_span(&b), span_text(texts[i].printed));
        }
        buf_fini(&b);
    }
}

/* ---- bytes ---------------------------------------------------------------------------------- */

static struct buf open, secret;

static void encode(const struct policies *list)
{
    buf_clear(&open);
    buf_clear(&secret);
    policy_encode(list, &open, &secret);
}

TEST(a_list_is_stored_and_read_back)
{
    struct policies list = defaults(), back;
    for (size_t n = 0; n <= list.count; n++) {
        struct policies part = list;
        part.count = n;
        encode(&part);
        EXPECT_EQ(
            policy_decode(test_at_edge(buf_span(&open)), test_at_edge(buf_span(&secret)), &back),
            OK);
        EXPECT_EQ(back.count, n);
        for (size_t i = 0; i < n; i++) {
            EXPECT_SPAN(policy_name(&back.at[i]), policy_name(&list.at[i]));
            EXPECT_EQ(back.at[i].rights, list.at[i].rights);
            for (size_t k = 0; k < 2; k++)
                EXPECT_SPAN(key_span(&back.at[i].keys[k]), key_span(&list.at[i].keys[k]));
        }
    }
}

TEST(keys_are_in_the_secret_part_only)
{
    struct policies list = defaults();
    encode(&list);
    EXPECT_SPAN(span_first(buf_span(&open), 15), SPAN("\x01\x05\x0biothubowner\x0f"));
    EXPECT(!memmem(open.data, open.len, list.at[0].keys[0].bytes, 32));
    EXPECT(memmem(secret.data, secret.len, list.at[0].keys[0].bytes, 32));
    EXPECT(!memmem(secret.data, secret.len, "iothubowner", 11));
}

TEST(a_damaged_list_is_refused)
{
    struct policies list = defaults(), back = {.count = 77};
    encode(&list);
    struct span o = buf_span(&open), s = buf_span(&secret);
    for (size_t len = 0; len < o.len; len++)
        EXPECT_EQ(policy_decode(test_at_edge(span_first(o, len)), s, &back), DAMAGED);
    for (size_t len = 0; len < s.len; len++)
        EXPECT_EQ(policy_decode(o, test_at_edge(span_first(s, len)), &back), DAMAGED);
    buf_byte(&open, 0);
    EXPECT_EQ(policy_decode(buf_span(&open), s, &back), DAMAGED);
    open.len--;
    buf_byte(&secret, 0);
    EXPECT_EQ(policy_decode(buf_span(&open), buf_span(&secret), &back), DAMAGED);
    secret.len--;

    static const struct {
        const char *name;
        size_t at;
        uint8_t byte;
    } spoilt[] = {
        {"version",             0,  2  },
        {"count",               1,  4  },
        {"name too long",       2,  65 },
        {"name beyond the end", 2,  255},
        {"byte of the name",    3,  ' '},
        {"rights",              14, 16 },
    };
    for (size_t i = 0; i < COUNT(spoilt); i++) {
        uint8_t was = open.data[spoilt[i].at];
        open.data[spoilt[i].at] = spoilt[i].byte;
        EXPECT_EQ_IN(spoilt[i].name, policy_decode(buf_span(&open), buf_span(&secret), &back),
                     DAMAGED);
        open.data[spoilt[i].at] = was;
    }
    secret.data[1]++;
    EXPECT_EQ(policy_decode(buf_span(&open), buf_span(&secret), &back), DAMAGED);
    secret.data[1]--;
    secret.data[2] = 65;
    EXPECT_EQ(policy_decode(buf_span(&open), buf_span(&secret), &back), DAMAGED);
    EXPECT_EQ(back.count, 77);
}

TEST(a_stored_list_with_one_name_twice_is_damaged)
{
    struct policies list = defaults(), back;
    list.at[1] = list.at[0];
    encode(&list);
    EXPECT_EQ(policy_decode(buf_span(&open), buf_span(&secret), &back), DAMAGED);
}

TEST_MAIN(RUN(the_default_policies_have_the_rights_of_the_service),
          RUN(names_of_policies_are_1_to_64_of_their_set),
          RUN(a_policy_is_added_replaced_and_removed), RUN(a_policy_that_breaks_a_rule_is_refused),
          RUN(there_are_at_most_16_policies_and_10_for_services),
          RUN(rights_are_read_and_printed_as_the_service_does), RUN(a_list_is_stored_and_read_back),
          RUN(keys_are_in_the_secret_part_only), RUN(a_damaged_list_is_refused),
          RUN(a_stored_list_with_one_name_twice_is_damaged))

#include "store/store_fixture.h"

static const struct {
    const char *name;
    uint32_t partition;
    const char *device, *module;
    struct span bytes;
} keys[] = {
  /* in key order */
    {"the hub's own",          0,    "",   "policy", SPAN_INIT("\0\0\0policy")},
    {"a device",               0,    "a",  "",       SPAN_INIT("\0\0a\0")     },
    {"its module",             0,    "a",  "m",      SPAN_INIT("\0\0a\0m")    },
    {"a longer module",        0,    "a",  "mm",     SPAN_INIT("\0\0a\0mm")   },
    {"a longer device",        0,    "a!", "",       SPAN_INIT("\0\0a!\0")    },
    {"the next partition",     1,    "a",  "",       SPAN_INIT("\0\1a\0")     },
    {"big-endian partition",   256,  "a",  "",       SPAN_INIT("\1\0a\0")     },
    {"the greatest partition", 1023, "a",  "z",
     SPAN_INIT("\3\xff"
               "a\0z")                                                        },
};

TEST(keys_are_laid_out_as_documented_and_decode_to_what_they_were)
{
    for (size_t i = 0; i < COUNT(keys); i++) {
        struct key key;
        struct store_key in = fixture_key(keys[i].partition, keys[i].device, keys[i].module), out;
        key_encode(&key, &in);
        EXPECT_SPAN_IN(keys[i].name, key_span(&key), keys[i].bytes);
        EXPECT(key_decode(test_at_edge(key_span(&key)), &out));
        EXPECT_EQ_IN(keys[i].name, out.partition, in.partition);
        EXPECT_SPAN_IN(keys[i].name, out.device, in.device);
        EXPECT_SPAN_IN(keys[i].name, out.module, in.module);
        if (i > 0)
            EXPECT(span_compare(keys[i - 1].bytes, keys[i].bytes) < 0);
    }
}

TEST(the_longest_ids_fit)
{
    char id[STORE_ID_MAX + 1];
    memset(id, 'x', STORE_ID_MAX);
    id[STORE_ID_MAX] = 0;
    struct key key;
    struct store_key in = fixture_key(1, id, id), out;
    key_encode(&key, &in);
    EXPECT_EQ(key.len, KEY_BYTES);
    EXPECT(key_decode(test_at_edge(key_span(&key)), &out));
    EXPECT_SPAN(out.module, in.module);
}

static const struct {
    const char *name;
    struct span bytes;
} refused[] = {
    {"nothing",                    SPAN_INIT("")            },
    {"a partition alone",          SPAN_INIT("\0\1")        },
    {"no NUL",                     SPAN_INIT("\0\1abc")     },
    {"a NUL in the module",        SPAN_INIT("\0\1a\0m\0m") },
    {"counts",                     SPAN_INIT("\0\1\0")      },
    {"a hub record elsewhere",     SPAN_INIT("\0\1\0policy")},
    {"a partition that cannot be", SPAN_INIT("\4\0a\0")     },
};

TEST(other_bytes_are_no_key)
{
    struct store_key out;
    for (size_t i = 0; i < COUNT(refused); i++)
        EXPECT_EQ_IN(refused[i].name, key_decode(test_at_edge(refused[i].bytes), &out), false);
    uint8_t long_device[2 + STORE_ID_MAX + 2] = {0},
                                           long_module[4 + STORE_ID_MAX + 1] = {0, 0, 'a'};
    memset(long_device + 2, 'x', STORE_ID_MAX + 1);
    EXPECT(!key_decode(span_of(long_device, sizeof(long_device)), &out));
    memset(long_module + 4, 'x', STORE_ID_MAX + 1);
    EXPECT(!key_decode(span_of(long_module, sizeof(long_module)), &out));
}

TEST(counts_come_before_every_record_and_hub_records_before_every_device)
{
    struct key counts, first, hub, device;
    struct store_key a = fixture_key(0, "", "policy"), b = fixture_key(0, "\1", "");
    key_counts(&counts, 0);
    key_first_device(&first, 0);
    key_encode(&hub, &a);
    key_encode(&device, &b);
    EXPECT(span_compare(key_span(&counts), key_span(&hub)) < 0);
    EXPECT(span_compare(key_span(&hub), key_span(&first)) < 0);
    EXPECT(span_compare(key_span(&first), key_span(&device)) < 0);
    EXPECT_SPAN(key_device_prefix(SPAN("\0\1dev\0mod")), SPAN("\0\1dev\0"));
}

TEST_MAIN(RUN(keys_are_laid_out_as_documented_and_decode_to_what_they_were),
          RUN(the_longest_ids_fit), RUN(other_bytes_are_no_key),
          RUN(counts_come_before_every_record_and_hub_records_before_every_device))

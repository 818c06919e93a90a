#include "store/store_fixture.h"

#include "base/text.h"
#include "store/seal.h"

static const uint8_t master[SEAL_KEY] = "0123456789abcdef0123456789abcdef";

/* A nonce handed out instead of a random one. */
static void fill_with(void *ctx, void *out, size_t len)
{
    memcpy(out, ctx, len);
}

/* McGrew and Viega, "The Galois/Counter Mode of Operation", test case 16: AES-256, 60 bytes of
 * text, 20 of additional data. */
TEST(libcrypto_does_aes_256_gcm_as_published)
{
    uint8_t key[SEAL_KEY], nonce[SEAL_NONCE], text[60], aad[20], want[SEAL_EXTRA + 60];
    uint8_t got[sizeof(want)], back[60];
    size_t len;
    EXPECT(text_hex(SPAN("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308"), key,
                    sizeof(key), &len));
    EXPECT(text_hex(SPAN("cafebabefacedbaddecaf888"), nonce, sizeof(nonce), &len));
    EXPECT(text_hex(SPAN("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72"
                         "1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39"),
                    text, sizeof(text), &len));
    EXPECT(text_hex(SPAN("feedfacedeadbeeffeedfacedeadbeefabaddad2"), aad, sizeof(aad), &len));
    EXPECT(text_hex(SPAN("cafebabefacedbaddecaf888"
                         "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa"
                         "8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662"
                         "76fc6ece0f4e1768cddf8853bb2d551b"),
                    want, sizeof(want), &len));
    struct seal *s = seal_create(key);
    seal_close(s, (struct random){fill_with, nonce}, span_of(aad, sizeof(aad)),
               span_of(text, sizeof(text)), got);
    EXPECT_SPAN(span_of(got, sizeof(got)), span_of(want, sizeof(want)));
    EXPECT_EQ(seal_open(s, span_of(aad, sizeof(aad)), span_of(want, sizeof(want)), back), OK);
    EXPECT_SPAN(span_of(back, sizeof(back)), span_of(text, sizeof(text)));
    seal_destroy(s);
}

TEST(secrets_of_every_length_open_again_and_never_look_the_same)
{
    uint64_t seed = 1;
    struct seal *s = seal_create(master);
    uint8_t secret[200], once[200 + SEAL_EXTRA], twice[200 + SEAL_EXTRA], back[200];
    fixture_fill(&seed, secret, sizeof(secret));
    for (size_t len = 0; len <= sizeof(secret); len++) {
        seal_close(s, fixture_random(&seed), SPAN("key"), span_of(secret, len), once);
        seal_close(s, fixture_random(&seed), SPAN("key"), span_of(secret, len), twice);
        EXPECT(memcmp(once, twice, len + SEAL_EXTRA) != 0);
        struct span sealed = test_at_edge(span_of(once, len + SEAL_EXTRA));
        EXPECT_EQ(seal_open(s, SPAN("key"), sealed, back), OK);
        EXPECT_SPAN(span_of(back, len), span_of(secret, len));
    }
    seal_destroy(s);
}

TEST(a_sealed_secret_opens_only_whole_for_its_record_and_under_its_key)
{
    uint64_t seed = 1;
    struct seal *s = seal_create(master);
    uint8_t sealed[6 + SEAL_EXTRA], back[6] = "??????", other_key[SEAL_KEY] = {1};
    struct span all = span_of(sealed, sizeof(sealed));
    seal_close(s, fixture_random(&seed), SPAN("\0\1d1\0"), SPAN("secret"), sealed);
    EXPECT_EQ(seal_open(s, SPAN("\0\1d2\0"), all, back), DAMAGED);
    EXPECT_SPAN(span_of(back, 6), SPAN("\0\0\0\0\0\0")); /* wiped */
    for (size_t bit = 0; bit < sizeof(sealed) * 8; bit++) {
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
        EXPECT_EQ(seal_open(s, SPAN("\0\1d1\0"), all, back), DAMAGED);
        sealed[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t len = 0; len < sizeof(sealed); len++)
        EXPECT_EQ(seal_open(s, SPAN("\0\1d1\0"), test_at_edge(span_of(sealed, len)), back),
                  DAMAGED);
    struct seal *other = seal_create(other_key);
    EXPECT_EQ(seal_open(other, SPAN("\0\1d1\0"), all, back), DAMAGED);
    EXPECT_EQ(seal_open(s, SPAN("\0\1d1\0"), all, back), OK);
    EXPECT_SPAN(span_of(back, 6), SPAN("secret"));
    seal_destroy(other);
    seal_destroy(s);
    seal_destroy(NULL);
}

TEST_MAIN(RUN(libcrypto_does_aes_256_gcm_as_published),
          RUN(secrets_of_every_length_open_again_and_never_look_the_same),
          RUN(a_sealed_secret_opens_only_whole_for_its_record_and_under_its_key))

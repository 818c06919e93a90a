#include "net/admit.h"

#include <netinet/in.h>
#include <stdlib.h>

#include "base/list.h"

struct peer {
    struct map_node node;
    struct peer_key key;
    unsigned count;
};

void budget_init(struct budget *b, unsigned per_s, int64_t now_ms)
{
    *b = (struct budget){.per_s = per_s, .left = (int64_t)per_s * 1000, .at_ms = now_ms};
}

bool budget_take(struct budget *b, int64_t now_ms)
{
    if (b->per_s == 0)
        return true;
    int64_t full = (int64_t)b->per_s * 1000;
    int64_t passed_ms = now_ms - b->at_ms < 1000 ? now_ms - b->at_ms : 1000;
    b->at_ms = now_ms;
    b->left += passed_ms * b->per_s;
    b->left = b->left < full ? b->left : full;
    if (b->left < 1000)
        return false;
    b->left -= 1000;
    return true;
}

void budget_return(struct budget *b)
{
    b->left += 1000;
}

struct peer_key peer_key(const struct sockaddr *address)
{
    struct peer_key key = {0};
    if (address->sa_family == AF_INET) {
        struct sockaddr_in in;
        memcpy(&in, address, sizeof(in));
        memcpy(key.bytes + 12, &in.sin_addr, 4);
    } else if (address->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;
        memcpy(&in6, address, sizeof(in6));
        bool mapped = IN6_IS_ADDR_V4MAPPED(&in6.sin6_addr);
        memcpy(key.bytes + (mapped ? 12 : 0), in6.sin6_addr.s6_addr + (mapped ? 12 : 0),
               mapped ? 4 : 8);
    }
    return key;
}

bool peer_is_loopback(const struct sockaddr *address)
{
    struct sockaddr_in6 in6;
    if (address->sa_family == AF_INET6) {
        memcpy(&in6, address, sizeof(in6));
        if (IN6_IS_ADDR_LOOPBACK(&in6.sin6_addr))
            return true;
    }
    struct peer_key key = peer_key(address);
    static const uint8_t before[12];
    return key.bytes[12] == 127 && memcmp(key.bytes, before, sizeof(before)) == 0;
}

void peers_init(struct peers *p, struct hash_key key, unsigned cap)
{
    *p = (struct peers){.hash_key = key, .cap = cap};
    CHECK(pthread_mutex_init(&p->lock, NULL) == 0);
}

void peers_fini(struct peers *p)
{
    MAP_EACH(at, &p->map)
    {
        free(CONTAINER_OF(at, struct peer, node));
    }
    map_fini(&p->map);
    pthread_mutex_destroy(&p->lock);
}

static bool same_peer(const struct map_node *node, const void *key)
{
    const struct peer *peer = (const void *)node; /* its first field */
    return memcmp(&peer->key, key, sizeof(peer->key)) == 0;
}

static struct peer *find(struct peers *p, const struct peer_key *key, uint64_t hash)
{
    struct map_node *node = map_find(&p->map, hash, same_peer, key);
    return node ? CONTAINER_OF(node, struct peer, node) : NULL;
}

bool peers_enter(struct peers *p, struct peer_key key)
{
    CHECK(p->cap > 0);
    uint64_t hash = hash_keyed(p->hash_key, span_of(&key, sizeof(key)));
    pthread_mutex_lock(&p->lock);
    struct peer *peer = find(p, &key, hash);
    if (!peer) {
        peer = calloc(1, sizeof(*peer));
        if (!peer)
            check_no_memory();
        peer->key = key;
        map_add(&p->map, hash, &peer->node);
    }
    bool enters = peer->count < p->cap;
    peer->count += enters;
    pthread_mutex_unlock(&p->lock);
    return enters;
}

void peers_leave(struct peers *p, struct peer_key key)
{
    uint64_t hash = hash_keyed(p->hash_key, span_of(&key, sizeof(key)));
    pthread_mutex_lock(&p->lock);
    struct peer *peer = find(p, &key, hash);
    CHECK(peer != NULL);
    if (--peer->count == 0) {
        map_remove(&p->map, &peer->node);
        free(peer);
    }
    pthread_mutex_unlock(&p->lock);
}

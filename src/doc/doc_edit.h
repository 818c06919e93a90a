/* doc_edit.h — what a write does to a section, key by key: between the rules and the bytes.
 * For doc/ only.
 *
 * doc_patch.c makes a plan by the rules of twins 2 and writes it down as a delta; doc_apply.c makes
 * the same plan from a delta. Either way doc_edits_build makes the new section from it, so the two
 * cannot disagree.
 *
 * Memory   plans live in the arena; they borrow from the section, the patch and the delta
 * Threads  the owner's
 * Errors   TOO_LARGE: the arena is full
 */
#ifndef DOC_DOC_EDIT_H
#define DOC_DOC_EDIT_H

#include "doc/doc_node.h"

enum edit_op { EDIT_KEEP, EDIT_SET, EDIT_DELETE, EDIT_INSIDE };

struct edit {
    struct span key;
    struct doc_node old; /* the member of this key in the old section, {NULL} when there is none */
    struct doc_node value; /* EDIT_SET: the new node, as it stands in the delta */
    struct edits *inside;  /* EDIT_INSIDE */
    uint32_t next_old;     /* chain of those with an old member, in its order: position + 1 */
    enum edit_op op;
};

/* The edits of one object's members. */
struct edits {
    struct edit *list;
    uint32_t count, room;
    uint32_t first_old; /* head of the chain, position + 1; 0 for none */
    bool rebuild;       /* the edits are all members of the new object, in their order */
};

/* Room for the edits of `key_max` keys. */
MUST_USE enum status doc_edits_init(struct edits *e, size_t key_max, struct arena *a);
/* One more edit; there must be room. */
struct edit *doc_edits_add(struct edits *e, struct span key);

/* Find for each edit the old member of its key, in one walk over `old`'s members. In a rebuild an
 * old member without an edit gets one, EDIT_DELETE; there must be room. `old` may be of any type:
 * only an object has members. */
MUST_USE enum status doc_edits_match(struct edits *e, struct doc_node old, struct arena *a);

/* The new section. `delta_len` bounds what it grows by. */
MUST_USE enum status doc_edits_build(const struct edits *e, struct span old, size_t delta_len,
                                     const struct node_mark *mark, struct arena *a,
                                     struct span *out);

#endif

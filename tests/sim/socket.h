/* socket.h — the client's side of a WebSocket, as much as the simulator needs.
 *
 * Errors   what a server may not send ends the process (report.h)
 * Source   RFC 6455
 */
#ifndef SIM_SOCKET_H
#define SIM_SOCKET_H

#include "base/buf.h"

/* The opening handshake. */
void socket_put_request(struct buf *out);
/* Take the answer when all of it has come. */
bool socket_take_answer(struct buf *in);
/* These bytes as one or two masked frames, sometimes with a ping in between. */
void socket_put_frames(struct buf *out, struct span bytes, uint64_t *seed);
/* Move the payloads of whole binary frames from `in` to `app`. */
void socket_take_frames(struct buf *in, struct buf *app);

#endif

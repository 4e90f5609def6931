/* The constants of Philox 4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011).
 *
 * Philox maps a 128-bit counter and a 64-bit key to 128 random bits, without any state. */
#ifndef FLASHWASM_PHILOX_H
#define FLASHWASM_PHILOX_H

enum { PHILOX_ROUNDS = 10 };

#define PHILOX_M0 0xD2511F53u /* The counter's words are multiplied by these, */
#define PHILOX_M1 0xCD9E8D57u
#define PHILOX_W0 0x9E3779B9u /* and these are added to the key after each round. */
#define PHILOX_W1 0xBB67AE85u

#endif

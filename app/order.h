/* order.h - blocks that choose alike, beside each other.
 *
 * Purpose: an order of each layer's blocks for the map.  Two blocks are alike if tokens that
 *          share a unit in one of them share one in the other, more often than chance makes
 *          them (adjusted Rand index: 1 the same division of the tokens, 0 chance).  Which
 *          number a unit has in its block does not matter.
 * Owns:    block_order_free.  Zero-initialise before use.
 * Errors:  none.  Threads: one owner at a time.
 *
 * SPDX-License-Identifier: MIT */
#ifndef TERRA_APP_ORDER_H
#define TERRA_APP_ORDER_H

#include "app/timeline.h"

struct block_order {
    uint32_t *at; /* [layers][blocks]: which block is at each place */
    uint32_t layers, blocks;
    const struct choice_rows *rows; /* that it was made from; NULL: none */
    size_t n;                       /* as many of them */
};

/* From the busiest block (most flips) on, the next is the one most alike of those left; blocks
 * that a narrower layer lacks come last.  A sample of the rows is looked at. */
void block_order_make(struct block_order *o, const struct choice_rows *r);
void block_order_free(struct block_order *o);

/* Without an order (NULL) a block's place is its index. */
uint32_t block_at(const struct block_order *o, uint32_t layer, uint32_t place);
uint32_t block_place(const struct block_order *o, uint32_t layer, uint32_t block);

#endif
